//! What a route changes about the fields of a request and of its response.
//!
//! ```
//! use http::StatusCode;
//! use tidegate_proxy::route::{HeaderMutations, Mutation, Route, Write};
//!
//! let to_upstream = [Mutation::write("x-path", "%REQ(:path)%", Write::Overwrite)?];
//! let to_client = [Mutation::remove("server")?, Mutation::write("x-served-by", "edge", Write::Append)?];
//! let mut route = Route::respond(StatusCode::OK, "hello");
//! route.headers = HeaderMutations::new(to_upstream, to_client)?;
//! assert!(!route.headers.is_empty());
//! // Framing is the connection's own.
//! assert!(Mutation::remove("transfer-encoding").is_err());
//! # Ok::<(), tidegate_proxy::route::InvalidField>(())
//! ```

use std::collections::HashSet;
use std::sync::Arc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};

use super::InvalidField;
use super::format::{Context, Template};
use crate::config::limits;

mod levels;

pub(crate) use levels::{Levels, Needs};

/// Changes to the fields of a request on its way to the upstream, and to those of the response on its way back, at one
/// level: a share of a split, a route, a virtual host or a table. Cheap to clone; without a change it costs nothing.
#[derive(Clone, Debug, Default)]
pub struct HeaderMutations(Option<Arc<Both>>);

/// All changes in one piece: each route and each share of a split may have some.
#[derive(Debug)]
struct Both {
    /// Those of requests, and then those of responses.
    mutations: Box<[Mutation]>,
    /// How many are of requests.
    requests: u32,
    /// [`List::independent`] of either.
    independent: [bool; 2],
}

/// The changes of one level to one message. What they read is the message as it came to the level, its removals apart; fields
/// are removed first, then overwritten, then added, each in the order of the list.
#[derive(Clone, Copy)]
struct List<'a> {
    mutations: &'a [Mutation],
    /// Whether no change meets another one's field, so that one after the other comes to the same and nothing is set aside.
    independent: bool,
}

/// One change to one field.
#[derive(Clone, Debug)]
pub struct Mutation {
    name: HeaderName,
    change: Change,
    /// Without effect where it is removed.
    write: Write,
    empty: Empty,
}

/// What becomes of a value that was made and is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Empty {
    LeftOut,
    Written,
}

/// What a [`Mutation`] does; for explanations and for other data planes.
#[derive(Clone, Copy, Debug)]
pub enum MutationRule<'a> {
    /// It removes the field.
    Remove,
    /// It writes a value as it stands.
    Constant(Write, &'a HeaderValue),
    /// It writes a value that is made for each request.
    Made(Write, &'a Template),
}

#[derive(Clone, Debug)]
enum Change {
    Remove,
    Constant(HeaderValue),
    Made(Template),
}

/// What happens to a field that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Write {
    /// The value is added to it (`APPEND_IF_EXISTS_OR_ADD`).
    Append,
    /// It stays; the value is added only where there is none (`ADD_IF_ABSENT`).
    AddIfAbsent,
    /// It is replaced (`OVERWRITE_IF_EXISTS_OR_ADD`).
    #[default]
    Overwrite,
    /// It is replaced, and nothing is added where there is none (`OVERWRITE_IF_EXISTS`).
    OverwriteIfPresent,
}

/// In which order the levels change a field, so which of two that overwrite it has the last word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MutationOrder {
    /// First the share of the split, then the route, the virtual host, the table, which so wins. Envoy's default.
    #[default]
    TableLast,
    /// First the share of the split, then the table, the virtual host and the route, which so wins
    /// (`most_specific_header_mutations_wins`).
    MostSpecificLast,
}

/// Fields that frame messages, belong to one connection, or are set by a host rewrite: a mutation of one would make what
/// was matched differ from what is sent.
const OUT_OF_REACH: [HeaderName; 10] = [
    HOST,
    CONNECTION,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    TRAILER,
    TE,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

impl Mutation {
    /// Removes the field.
    ///
    /// # Errors
    /// When the name is none, or one that frames messages or belongs to a connection.
    pub fn remove(name: &str) -> Result<Self, InvalidField> {
        Ok(Self {
            name: reachable(name)?,
            change: Change::Remove,
            write: Write::default(),
            empty: Empty::LeftOut,
        })
    }

    /// Writes a value that may have commands in it, see [`Template`]. One that comes out empty is not written.
    ///
    /// # Errors
    /// As [`Mutation::remove`] and [`Template::parse`].
    pub fn write(name: &str, value: &str, write: Write) -> Result<Self, InvalidField> {
        let template = Template::parse(value)?;
        let change = match template.constant() {
            Some(constant) => Change::Constant(constant),
            None => Change::Made(template),
        };
        Ok(Self {
            name: reachable(name)?,
            change,
            write,
            empty: Empty::LeftOut,
        })
    }

    /// Writes a value as it stands, also an empty one.
    ///
    /// # Errors
    /// As [`Mutation::remove`].
    pub fn constant(name: HeaderName, value: HeaderValue, write: Write) -> Result<Self, InvalidField> {
        Ok(Self {
            name: reachable(name.as_str())?,
            change: Change::Constant(value),
            write,
            empty: Empty::Written,
        })
    }

    /// The same, with its field's name shared with all others that are in `names`, where it is put if it is not there.
    #[must_use]
    pub fn sharing_name(mut self, names: &mut HashSet<HeaderName>) -> Self {
        match names.get(&self.name) {
            Some(known) => self.name = known.clone(),
            None => _ = names.insert(self.name.clone()),
        }
        self
    }

    /// The field that it changes.
    #[must_use]
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// What it does.
    #[must_use]
    pub fn rule(&self) -> MutationRule<'_> {
        match &self.change {
            Change::Remove => MutationRule::Remove,
            Change::Constant(value) => MutationRule::Constant(self.write, value),
            Change::Made(template) => MutationRule::Made(self.write, template),
        }
    }

    /// The same, and a value that comes out empty is written too (`keep_empty_value`).
    #[must_use]
    pub fn keeping_empty(self) -> Self {
        Self {
            empty: Empty::Written,
            ..self
        }
    }

    /// Whether a value that comes out empty is written too.
    #[must_use]
    pub fn keeps_empty(&self) -> bool {
        self.empty == Empty::Written
    }

    fn reads_request(&self) -> bool {
        matches!(&self.change, Change::Made(template) if template.reads_request())
    }

    /// What it does to a message that is as `headers` say; `None` where that is nothing. `request` are the fields that `%REQ`
    /// reads where those are not `headers` themselves.
    fn due(
        &self,
        headers: &HeaderMap,
        context: &Context<'_>,
        request: Option<&HeaderMap>,
    ) -> Option<Due<'_>> {
        let name = &self.name;
        let is_due = match self.write {
            Write::AddIfAbsent => !headers.contains_key(name),
            Write::OverwriteIfPresent => headers.contains_key(name),
            Write::Append | Write::Overwrite => true,
        };
        let value = match &self.change {
            Change::Remove => return Some(Due::Remove(name)),
            Change::Constant(_) | Change::Made(_) if !is_due => return None,
            Change::Constant(value) => value.clone(),
            Change::Made(template) => {
                let made = match request {
                    Some(request) => template.value(context, request, Some(headers)),
                    None => template.value(context, headers, None),
                };
                made.filter(|value| !value.is_empty() || self.empty == Empty::Written)?
            }
        };
        Some(match self.write {
            Write::Append | Write::AddIfAbsent => Due::Add(name, value),
            Write::Overwrite | Write::OverwriteIfPresent => Due::Overwrite(name, value),
        })
    }
}

impl HeaderMutations {
    /// These changes, each list in its order.
    ///
    /// # Errors
    /// When a list has more than [`limits::HEADER_MUTATIONS_MAX`].
    pub fn new(
        request: impl IntoIterator<Item = Mutation>,
        response: impl IntoIterator<Item = Mutation>,
    ) -> Result<Self, InvalidField> {
        let mut all = Vec::new();
        let mut list = |field, mutations: &mut dyn Iterator<Item = Mutation>| {
            let before = all.len();
            all.extend(mutations.take(limits::HEADER_MUTATIONS_MAX + 1));
            if all.len() - before > limits::HEADER_MUTATIONS_MAX {
                let why = format!("there are more than {}", limits::HEADER_MUTATIONS_MAX);
                return Err(InvalidField::new(field, "", why));
            }
            Ok(all.len())
        };
        let requests = list("request header mutations", &mut request.into_iter())?;
        list("response header mutations", &mut response.into_iter())?;
        Ok(Self::of(all, requests))
    }

    /// These changes, the first so many those of requests.
    fn of(mutations: Vec<Mutation>, requests: usize) -> Self {
        let (request, response) = mutations.split_at(requests);
        let independent = [request, response].map(are_independent);
        let is_none = mutations.is_empty();
        let both = || Both {
            mutations: mutations.into(),
            // No list is longer than its bound.
            requests: u32::try_from(requests).unwrap_or(u32::MAX),
            independent,
        };
        Self((!is_none).then(|| Arc::new(both())))
    }

    /// Whether there is no change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The changes to requests, in their order.
    #[must_use]
    pub fn request(&self) -> &[Mutation] {
        self.0.as_ref().map_or(&[], |both| both.request().mutations)
    }

    /// The changes to responses, in their order.
    #[must_use]
    pub fn response(&self) -> &[Mutation] {
        self.0.as_ref().map_or(&[], |both| both.response().mutations)
    }

    /// The fields that every request gets with the same value; for explanations.
    pub fn constant_request_fields(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let mutations = self.request().iter();
        mutations.filter_map(|mutation| match &mutation.change {
            Change::Constant(value) => Some((&mutation.name, value)),
            _ => None,
        })
    }

    fn apply_to_request(&self, headers: &mut HeaderMap, context: &Context<'_>) {
        if let Some(both) = &self.0 {
            both.request().apply(headers, context, None);
        }
    }

    fn apply_to_response(&self, headers: &mut HeaderMap, context: &Context<'_>, request: &HeaderMap) {
        if let Some(both) = &self.0 {
            both.response().apply(headers, context, Some(request));
        }
    }
}

/// Whether no change meets another one's field.
fn are_independent(mutations: &[Mutation]) -> bool {
    let meets = |(place, one): (usize, &Mutation)| {
        let reads = matches!(&one.change, Change::Made(template) if template.reads_fields());
        let mut others = mutations.iter().take(place);
        reads && mutations.len() > 1 || others.any(|other| other.name == one.name)
    };
    !mutations.iter().enumerate().any(meets)
}

impl Both {
    fn request(&self) -> List<'_> {
        let (request, _) = self.parts();
        List {
            mutations: request,
            independent: self.independent[0],
        }
    }

    fn response(&self) -> List<'_> {
        let (_, response) = self.parts();
        List {
            mutations: response,
            independent: self.independent[1],
        }
    }

    fn parts(&self) -> (&[Mutation], &[Mutation]) {
        let parts = self.mutations.split_at_checked(self.requests as usize);
        parts.unwrap_or((&self.mutations, &[]))
    }
}

impl List<'_> {
    /// Makes the changes. `request` are the fields that `%REQ` reads where those are not `headers` itself.
    fn apply(self, headers: &mut HeaderMap, context: &Context<'_>, request: Option<&HeaderMap>) {
        if self.independent {
            for mutation in self.mutations {
                if let Some(change) = mutation.due(headers, context, request) {
                    change.make(headers);
                }
            }
            return;
        }
        for mutation in self.mutations {
            if matches!(mutation.change, Change::Remove) {
                headers.remove(&mutation.name);
            }
        }
        let writes = self
            .mutations
            .iter()
            .filter(|mutation| !matches!(mutation.change, Change::Remove));
        let due = writes.filter_map(|mutation| mutation.due(headers, context, request));
        let (overwrite, add): (Vec<_>, Vec<_>) = due.partition(|due| matches!(due, Due::Overwrite(..)));
        for change in overwrite.into_iter().chain(add) {
            change.make(headers);
        }
    }
}

/// A change that is to be made, its value made already.
enum Due<'a> {
    Remove(&'a HeaderName),
    Overwrite(&'a HeaderName, HeaderValue),
    Add(&'a HeaderName, HeaderValue),
}

impl Due<'_> {
    fn make(self, headers: &mut HeaderMap) {
        match self {
            Self::Remove(name) => _ = headers.remove(name),
            Self::Overwrite(name, value) => _ = headers.insert(name, value),
            Self::Add(name, value) => _ = headers.append(name, value),
        }
    }
}

/// Requests get these fields, which replace what the client sent. A field that no route may set is left out.
impl FromIterator<(HeaderName, HeaderValue)> for HeaderMutations {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        let mutation = |(name, value)| {
            Mutation::constant(name, value, Write::Overwrite)
                .inspect_err(|error| tracing::warn!(%error, "a route cannot set this field: it is left out"))
                .ok()
        };
        let made = fields.into_iter().filter_map(mutation);
        let request: Vec<Mutation> = made.take(limits::HEADER_MUTATIONS_MAX).collect();
        let requests = request.len();
        Self::of(request, requests)
    }
}

impl<const N: usize> From<[(HeaderName, HeaderValue); N]> for HeaderMutations {
    fn from(fields: [(HeaderName, HeaderValue); N]) -> Self {
        Self::from_iter(fields)
    }
}

fn reachable(name: &str) -> Result<HeaderName, InvalidField> {
    let field = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| InvalidField::new("header name", name, "no field can have this name"))?;
    if OUT_OF_REACH.contains(&field) {
        let why = "it frames messages or belongs to a connection, so no route may change it";
        return Err(InvalidField::new("header name", name, why));
    }
    Ok(field)
}

#[cfg(test)]
mod tests;
