//! Envoy's header mutations as the proxy's: which fields are removed, which are added, and how.

use std::collections::HashSet;

use envoy_types::pb::envoy::config::core::v3::HeaderValueOption;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use http::{HeaderName, HeaderValue};
use tidegate_proxy::route::{HeaderMutations, InvalidField, Mutation, Write};

use super::Reject;
use super::constraint::{Checked, Rules};
use super::notes::Notes;

mod commands;

/// The lists of one level: a share of a split, a route, a virtual host, a table, or a filter.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderLists<'a> {
    /// `request_headers_to_add`.
    pub request_add: &'a [HeaderValueOption],
    /// `request_headers_to_remove`.
    pub request_remove: &'a [String],
    /// `response_headers_to_add`.
    pub response_add: &'a [HeaderValueOption],
    /// `response_headers_to_remove`.
    pub response_remove: &'a [String],
}

/// How many fields one level may add.
const ADDED_MAX: usize = 1000;

/// The constraints of a list of fields to add.
///
/// # Errors
/// Where one is broken.
pub fn check_added(rules: Rules, field: &str, options: &[HeaderValueOption]) -> Checked {
    rules.items_max(field, options, ADDED_MAX)?;
    rules.each(field, options, |option| {
        let rules = Rules::of("HeaderValueOption");
        rules.required("Header", option.header.as_ref(), |header| {
            let rules = Rules::of("HeaderValue");
            rules.not_empty("Key", &header.key)?;
            rules.header_length("Key", header.key.len())?;
            rules.header_text("Key", &header.key)?;
            rules.header_length("Value", header.value.len())?;
            rules.header_text("Value", &header.value)?;
            rules.header_length("RawValue", header.raw_value.len())
        })?;
        rules.defined::<HeaderAppendAction>("AppendAction", option.append_action)
    })
}

/// The constraints of a list of fields to remove, whose names have at least so many characters: 0 or 1.
///
/// # Errors
/// Where one is broken.
pub fn check_removed(rules: Rules, field: &str, names: &[String], least: usize) -> Checked {
    for (index, name) in names.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if name.len() < least {
            rules.not_empty(&field, name)?;
        }
        rules.header_text(&field, name)?;
    }
    Ok(())
}

impl HeaderLists<'_> {
    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.request_add.is_empty()
            && self.request_remove.is_empty()
            && self.response_add.is_empty()
            && self.response_remove.is_empty()
    }

    /// The mutations of this level.
    ///
    /// # Errors
    /// As Envoy: for a change of the host or of a field of HTTP/2's own, and for a value that is no format.
    pub fn mutations(&self, notes: &mut Notes) -> Result<HeaderMutations, Reject> {
        self.mutations_of(&mut HashSet::new(), notes)
    }

    /// The same, with names that are in memory once for all who are given the same `names`.
    pub(super) fn mutations_of(
        &self,
        names: &mut HashSet<HeaderName>,
        notes: &mut Notes,
    ) -> Result<HeaderMutations, Reject> {
        let request = list("request_headers", self.request_add, self.request_remove, notes)?;
        let response = list("response_headers", self.response_add, self.response_remove, notes)?;
        let [request, response] = [request, response].map(|list| {
            let shared = list.into_iter().map(|mutation| mutation.sharing_name(names));
            shared.collect::<Vec<_>>()
        });
        HeaderMutations::new(request, response).map_err(|error| Reject::Resource(error.to_string()))
    }
}

/// The changes of one direction, in the order in which Envoy makes them: removals, then what replaces, then what is added.
fn list(
    what: &str,
    added: &[HeaderValueOption],
    removed: &[String],
    notes: &mut Notes,
) -> Result<Vec<Mutation>, Reject> {
    let mut mutations = Vec::with_capacity(added.len() + removed.len());
    for name in removed {
        if is_pseudo(name) {
            let why = ":-prefixed or host headers may not be removed";
            return Err(Reject::Resource(why.to_owned()));
        }
        match Mutation::remove(name) {
            Ok(mutation) => mutations.push(mutation),
            Err(error) => notes.add(&format!("{what}_to_remove"), error.to_string()),
        }
    }
    let mut appended = Vec::new();
    for option in added {
        let write = write(option)?;
        let Some(mutation) = addition(option, write)? else {
            continue;
        };
        match (mutation, write) {
            (Err(why), write) => {
                notes.add(&format!("{what}_to_add"), why);
                mutations.extend(in_its_place(option, write));
            }
            (Ok(mutation), Write::Append | Write::AddIfAbsent) => appended.push(mutation),
            (Ok(mutation), Write::Overwrite | Write::OverwriteIfPresent) => mutations.push(mutation),
        }
    }
    mutations.append(&mut appended);
    Ok(mutations)
}

/// What becomes of a field that cannot be written: one that was to replace what the other side says is taken away, or clients
/// could say themselves what only this proxy is to say, such as whose certificate they have.
fn in_its_place(option: &HeaderValueOption, write: Write) -> Option<Mutation> {
    let replaces = matches!(write, Write::Overwrite | Write::OverwriteIfPresent);
    let header = option.header.as_ref().filter(|_| replaces)?;
    Mutation::remove(&header.key).ok()
}

/// A field that is added; the inner error is why that has no effect. `None` where Envoy writes nothing either.
fn addition(option: &HeaderValueOption, write: Write) -> Result<Option<Result<Mutation, String>>, Reject> {
    let Some(header) = &option.header else {
        return Ok(None);
    };
    if is_pseudo(&header.key) {
        let why = ":-prefixed or host headers may not be modified";
        return Err(Reject::Resource(why.to_owned()));
    }
    let told = |result: Result<Mutation, InvalidField>| Ok(Some(result.map_err(|error| error.to_string())));
    let constant = |value: &[u8]| {
        let name = HeaderName::from_bytes(header.key.as_bytes());
        match (name, HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) => told(Mutation::constant(name, value, write)),
            _ => Ok(Some(Err(format!(
                "no field can have the name '{}', or its value",
                header.key
            )))),
        }
    };
    if header.value.is_empty() {
        return match (header.raw_value.is_empty(), option.keep_empty_value) {
            (true, false) => Ok(None),
            _ => constant(&header.raw_value),
        };
    }
    match commands::unsupported(&header.value)? {
        Some(command) => Ok(Some(Err(format!(
            "{}: %{command}% is not known to header values",
            header.key
        )))),
        None => told(
            Mutation::write(&header.key, &header.value, write).map(|mutation| {
                if option.keep_empty_value {
                    mutation.keeping_empty()
                } else {
                    mutation
                }
            }),
        ),
    }
}

#[expect(
    deprecated,
    reason = "control planes still send the form that Envoy has deprecated"
)]
fn write(option: &HeaderValueOption) -> Result<Write, Reject> {
    let action = HeaderAppendAction::try_from(option.append_action).unwrap_or_default();
    match &option.append {
        Some(_) if action != HeaderAppendAction::AppendIfExistsOrAdd => Err(Reject::Resource(
            "Both append and append_action are set and it's not allowed".to_owned(),
        )),
        Some(append) if !append.value => Ok(Write::Overwrite),
        _ => Ok(match action {
            HeaderAppendAction::AppendIfExistsOrAdd => Write::Append,
            HeaderAppendAction::AddIfAbsent => Write::AddIfAbsent,
            HeaderAppendAction::OverwriteIfExistsOrAdd => Write::Overwrite,
            HeaderAppendAction::OverwriteIfExists => Write::OverwriteIfPresent,
        }),
    }
}

/// What no header mutation may touch, as it decides where a request goes.
fn is_pseudo(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}

#[cfg(test)]
mod tests;
