//! Which requests a route takes.
//!
//! ```
//! use http::{Method, Request};
//! use tidegate_proxy::route::{HeaderMatch, Matcher, PathMatch};
//!
//! let matcher = Matcher {
//!     path: PathMatch::segments("/api")?,
//!     methods: vec![Method::GET],
//!     headers: vec![HeaderMatch::exact("x-version", "2")?],
//!     ..Matcher::default()
//! };
//! let request = Request::get("/api/users").header("x-version", "2").body(()).expect("it is valid");
//! assert!(matcher.matches(&request));
//! let other = Request::get("/apis").header("x-version", "2").body(()).expect("it is valid");
//! assert!(!matcher.matches(&other));
//! # Ok::<(), tidegate_proxy::route::InvalidField>(())
//! ```

use http::header::{HOST, HeaderMap, HeaderName};
use http::{Method, Request};

use super::hash::cookie;
use super::{InvalidField, PathMatch, TextMatch};
use crate::respond::Dialect;

pub mod explain;
pub mod path;

/// The requests that a route takes: every condition has to hold. The default takes all.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    /// What the path has to look like; the query is no part of it.
    pub path: PathMatch,
    /// The methods of which it takes one; empty takes all.
    pub methods: Vec<Method>,
    /// Conditions on header fields.
    pub headers: Vec<HeaderMatch>,
    /// Conditions on query parameters.
    pub query: Vec<QueryMatch>,
    /// Conditions on cookies.
    pub cookies: Vec<CookieMatch>,
    /// The share of the requests that meet the rest and that it takes; the others are left to the next routes.
    pub fraction: Option<Fraction>,
    /// Whether only gRPC calls are taken.
    pub protocol: ProtocolMatch,
}

/// Which protocol on top of HTTP a request has to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtocolMatch {
    /// Whatever it speaks.
    #[default]
    Any,
    /// gRPC, by its content type.
    Grpc,
}

/// A share of requests, dealt out by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    /// How many of [`Fraction::of`] are taken.
    pub take: u32,
    /// Out of how many; 0 takes none.
    pub of: u32,
}

/// A condition on a header field of a request.
#[derive(Clone, Debug)]
pub struct HeaderMatch {
    field: Field,
    condition: Condition,
    sense: Sense,
    missing: Missing,
}

/// What a [`HeaderMatch`] looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Header(HeaderName),
    Method,
    /// Path and query, as the route sees them.
    Path,
    /// `https` or `http`, by which the client came.
    Scheme,
}

/// A condition as its constructor took it; for explanations and for other data planes.
#[derive(Clone, Copy, Debug)]
pub enum Rule<'a> {
    /// It is there, with whatever value.
    Present,
    /// It is not there.
    Absent,
    /// A value meets this.
    Text(&'a TextMatch),
    /// A value is a number from `start` to below `end`.
    Range {
        /// The first number.
        start: i64,
        /// The number behind the last.
        end: i64,
    },
}

#[derive(Clone, Debug)]
enum Condition {
    Present,
    Absent,
    Text(TextMatch),
    Range { start: i64, end: i64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    Plain,
    Inverted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Fails,
    IsEmpty,
}

/// A condition on a cookie; of several of a name the first counts. A request without it does not meet it.
#[derive(Clone, Debug)]
pub struct CookieMatch {
    name: Box<str>,
    condition: TextMatch,
    sense: Sense,
}

/// A condition on a query parameter. Of one that is repeated the first counts; nothing is percent-decoded.
#[derive(Clone, Debug)]
pub struct QueryMatch {
    name: Box<str>,
    condition: Condition,
}

impl Matcher {
    /// Whether the request, normalised, meets every condition.
    #[must_use]
    pub fn matches<B>(&self, request: &Request<B>) -> bool {
        self.path.matches(request.uri().path())
            && self.takes_method(request.method())
            && self.headers.iter().all(|header| header.matches(request))
            && (self.query.is_empty() || self.matches_query(request.uri().query().unwrap_or_default()))
            && self
                .cookies
                .iter()
                .all(|cookie| cookie.matches(request.headers()))
            && self.takes_protocol(request.headers())
            && self.fraction.is_none_or(Fraction::takes_this_one)
    }

    fn takes_method(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }

    fn takes_protocol(&self, headers: &HeaderMap) -> bool {
        self.protocol == ProtocolMatch::Any || Dialect::of(headers) == Dialect::Grpc
    }

    fn matches_query(&self, query: &str) -> bool {
        self.query.iter().all(|condition| condition.matches(query))
    }
}

impl Fraction {
    fn takes_this_one(self) -> bool {
        self.of > 0 && fastrand::u32(..self.of) < self.take
    }
}

impl HeaderMatch {
    /// The field is there, with whatever value.
    ///
    /// # Errors
    /// Each constructor fails for a name that no field can have. `:method`, `:path` (with the query), `:authority` and
    /// `:scheme` stand for what HTTP/2 calls so.
    pub fn present(name: &str) -> Result<Self, InvalidField> {
        Self::new(name, Condition::Present)
    }

    /// The field is not there.
    ///
    /// # Errors
    /// As [`HeaderMatch::present`].
    pub fn absent(name: &str) -> Result<Self, InvalidField> {
        Self::new(name, Condition::Absent)
    }

    /// One of the field's values is exactly this.
    ///
    /// # Errors
    /// As [`HeaderMatch::present`].
    pub fn exact(name: &str, value: &str) -> Result<Self, InvalidField> {
        Self::text(name, TextMatch::exact(value))
    }

    /// One of the field's values meets the condition.
    ///
    /// # Errors
    /// As [`HeaderMatch::present`].
    pub fn text(name: &str, condition: TextMatch) -> Result<Self, InvalidField> {
        Self::new(name, Condition::Text(condition))
    }

    /// One of the field's values is a decimal number in `start..end`.
    ///
    /// # Errors
    /// As [`HeaderMatch::present`], and for a range without a number in it.
    pub fn range(name: &str, start: i64, end: i64) -> Result<Self, InvalidField> {
        if start >= end {
            let why = "the range ends before it starts";
            return Err(InvalidField::new("header range", &format!("{start}..{end}"), why));
        }
        Self::new(name, Condition::Range { start, end })
    }

    /// The opposite. A field that is not there still does not match, unless the condition is about that.
    #[must_use]
    pub fn inverted(self) -> Self {
        Self {
            sense: Sense::Inverted,
            ..self
        }
    }

    /// The same with a field that is not there taken as an empty one.
    #[must_use]
    pub fn missing_is_empty(self) -> Self {
        Self {
            missing: Missing::IsEmpty,
            ..self
        }
    }

    /// The field that it looks at, as its constructors take it.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.field {
            Field::Header(HOST) => ":authority",
            Field::Header(name) => name.as_str(),
            Field::Method => ":method",
            Field::Path => ":path",
            Field::Scheme => ":scheme",
        }
    }

    /// What it says about the field.
    #[must_use]
    pub fn rule(&self) -> Rule<'_> {
        self.condition.rule()
    }

    /// Whether it is [`HeaderMatch::inverted`].
    #[must_use]
    pub fn is_inverted(&self) -> bool {
        self.sense == Sense::Inverted
    }

    /// Whether a field that is not there is an empty one: [`HeaderMatch::missing_is_empty`].
    #[must_use]
    pub fn takes_missing_as_empty(&self) -> bool {
        self.missing == Missing::IsEmpty
    }

    fn new(name: &str, condition: Condition) -> Result<Self, InvalidField> {
        let field = match name {
            ":method" => Field::Method,
            ":path" => Field::Path,
            ":scheme" => Field::Scheme,
            ":authority" => Field::Header(HOST),
            _ => Field::Header(
                HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| InvalidField::new("header name", name, "no field can have this name"))?,
            ),
        };
        Ok(Self {
            field,
            condition,
            sense: Sense::Plain,
            missing: Missing::Fails,
        })
    }

    fn matches<B>(&self, request: &Request<B>) -> bool {
        let met = match &self.field {
            Field::Header(name) => self.met_by_field(request.headers(), name),
            // Normalising has left there what the client came by.
            Field::Scheme => self.met_by_field(request.headers(), &X_FORWARDED_PROTO),
            Field::Method => Some(self.condition.met_by(request.method().as_str().as_bytes())),
            Field::Path => {
                let target = request.uri().path_and_query();
                let path = target.map_or("/", |target| target.as_str());
                Some(self.condition.met_by(path.as_bytes()))
            }
        };
        // `None`: there is nothing to compare, which is no match, inverted or not.
        met.is_some_and(|met| met == (self.sense == Sense::Plain))
    }

    fn met_by_field(&self, headers: &HeaderMap, name: &HeaderName) -> Option<bool> {
        let empty = self.missing == Missing::IsEmpty;
        match &self.condition {
            Condition::Present => Some(empty || headers.contains_key(name)),
            Condition::Absent => Some(!empty && !headers.contains_key(name)),
            _ if !headers.contains_key(name) => empty.then(|| self.condition.met_by(b"")),
            condition => Some(
                headers
                    .get_all(name)
                    .iter()
                    .any(|value| condition.met_by(value.as_bytes())),
            ),
        }
    }
}

impl Condition {
    fn rule(&self) -> Rule<'_> {
        match self {
            Self::Present => Rule::Present,
            Self::Absent => Rule::Absent,
            Self::Text(condition) => Rule::Text(condition),
            Self::Range { start, end } => Rule::Range {
                start: *start,
                end: *end,
            },
        }
    }

    /// Whether a text that is there meets it.
    fn met_by(&self, text: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Absent => false,
            Self::Text(condition) => condition.matches(text),
            Self::Range { start, end } => str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse::<i64>().ok())
                .is_some_and(|number| (*start..*end).contains(&number)),
        }
    }
}

impl CookieMatch {
    /// The cookie's value meets the condition.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>, condition: TextMatch) -> Self {
        Self {
            name: name.into(),
            condition,
            sense: Sense::Plain,
        }
    }

    /// The opposite, which a request without the cookie meets too.
    #[must_use]
    pub fn inverted(self) -> Self {
        Self {
            sense: Sense::Inverted,
            ..self
        }
    }

    fn matches(&self, headers: &HeaderMap) -> bool {
        let value = cookie(headers, &self.name);
        let met = value.is_some_and(|value| self.condition.matches(value));
        met == (self.sense == Sense::Plain)
    }
}

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

impl QueryMatch {
    /// The parameter is there, with whatever value.
    #[must_use]
    pub fn present(name: impl Into<Box<str>>) -> Self {
        Self {
            name: name.into(),
            condition: Condition::Present,
        }
    }

    /// The parameter is not there.
    #[must_use]
    pub fn absent(name: impl Into<Box<str>>) -> Self {
        Self {
            name: name.into(),
            condition: Condition::Absent,
        }
    }

    /// The parameter's value meets the condition; one without `=` is empty.
    #[must_use]
    pub fn text(name: impl Into<Box<str>>, condition: TextMatch) -> Self {
        Self {
            name: name.into(),
            condition: Condition::Text(condition),
        }
    }

    /// The parameter that it looks at.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says about the parameter.
    #[must_use]
    pub fn rule(&self) -> Rule<'_> {
        self.condition.rule()
    }

    fn matches(&self, query: &str) -> bool {
        match (parameter(query, &self.name), &self.condition) {
            (found, Condition::Absent) => found.is_none(),
            (Some(value), condition) => condition.met_by(value.as_bytes()),
            (None, _) => false,
        }
    }
}

/// The value of the first parameter of this name, as it stands.
pub(crate) fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

#[cfg(test)]
mod tests;
