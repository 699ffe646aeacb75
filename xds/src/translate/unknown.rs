//! Whether a resource has fields that nobody here knows, and what Envoy says of them.
//!
//! Decoding drops them without a word. What is left is encoded by the same rules as what came, so a size below what came tells
//! that something may have been dropped; only then the bytes are looked through, field by field, by Envoy's descriptors. What is
//! in an `Any` is a message of its own, as it is for Envoy: it refuses its resource alone, and not the response.

use std::sync::{Arc, OnceLock};

use prost::{Message, Name};

use super::notes::Notes;
use super::{Context, Reject, UnknownFields};
use crate::limits;
use crate::text::{Content, Shapes, fields};

mod packed;

/// How a [`Note`](super::Note) about unknown fields begins, for whoever counts them.
pub const UNKNOWN_FIELDS: &str = "it has unknown fields: ";

/// Envoy's messages, read when they are first asked for and kept with the [`Context`].
#[derive(Clone, Debug, Default)]
pub struct Descriptors(Arc<OnceLock<Shapes>>);

impl Descriptors {
    fn shapes(&self) -> &Shapes {
        self.0.get_or_init(Shapes::read)
    }
}

/// Looks for unknown fields of a resource that came as these bytes, and of what it packs in `Any`s.
///
/// # Errors
/// When there are, and the context has them refused.
pub fn check<M: Message + Name>(
    message: &M,
    body: &[u8],
    context: &Context,
    notes: &mut Notes,
) -> Result<(), Reject> {
    part(message, body, &[], context, notes)
}

/// [`check`] for a part of a resource that is in messages of these names, outermost first.
///
/// # Errors
/// When there are unknown fields, and the context has them refused.
pub fn part<M: Message + Name>(
    message: &M,
    body: &[u8],
    within: &[&str],
    context: &Context,
    notes: &mut Notes,
) -> Result<(), Reject> {
    if context.unknown_fields == UnknownFields::Uncounted {
        return Ok(());
    }
    if message.encoded_len() < body.len() {
        let found = Search::run(context, &M::full_name(), within, body);
        tell(found, context, notes).map_err(Reject::Message)?;
    }
    for any in packed::all(body) {
        if !any.is_clean() {
            let found = Search::run(context, any.name, &[], any.value);
            tell(found, context, notes).map_err(Reject::Resource)?;
        }
    }
    Ok(())
}

/// Takes note of what was found; or says what refuses it.
fn tell(found: Vec<String>, context: &Context, notes: &mut Notes) -> Result<(), String> {
    for description in found {
        if context.unknown_fields == UnknownFields::Rejected {
            return Err(format!("Protobuf message ({description}) has unknown fields"));
        }
        notes.add("", format!("{UNKNOWN_FIELDS}{description}"));
    }
    Ok(())
}

/// A search through a message.
struct Search<'a> {
    shapes: &'a Shapes,
    /// The messages around, outermost first.
    within: Vec<String>,
    found: Vec<String>,
}

impl<'a> Search<'a> {
    /// What Envoy says of each message in `body` that has unknown fields, outer ones first.
    fn run(context: &'a Context, name: &str, within: &[&str], body: &[u8]) -> Vec<String> {
        let mut search = Self {
            shapes: context.descriptors.shapes(),
            within: within.iter().map(|name| (*name).to_owned()).collect(),
            found: Vec::new(),
        };
        if search.shapes.knows(name) {
            search.message(name, body);
        }
        search.found
    }

    fn message(&mut self, name: &str, body: &[u8]) {
        if self.found.len() >= limits::NOTES_MAX || self.within.len() >= limits::TEXT_NESTING_MAX {
            return;
        }
        let (mut unknown, mut inner) = (Vec::new(), Vec::new());
        for (number, value) in fields(body) {
            match (self.shapes.place(name, number), value) {
                (None, _) => unknown.push(number),
                (Some(place), Content::Bytes(bytes)) => inner.push((place, bytes)),
                (Some(_), Content::Plain(_)) => {}
            }
        }
        if !unknown.is_empty() {
            self.found.push(self.describe(name, &unknown));
        }
        // As they are declared, not as they came.
        inner.sort_by_key(|(place, _)| *place);
        self.within.push(name.to_owned());
        for (place, bytes) in inner {
            if let Some(message) = self.shapes.message(name, place) {
                self.message(message, bytes);
            }
        }
        self.within.pop();
    }

    fn describe(&self, name: &str, unknown: &[u64]) -> String {
        let shown = unknown.iter().take(limits::UNKNOWN_FIELDS_SHOWN_MAX);
        let numbers: Vec<String> = shown.map(u64::to_string).collect();
        let within = match self.within.is_empty() {
            true => "root".to_owned(),
            false => self.within.join("::"),
        };
        format!(
            "type {name}({within}) with unknown field set {{{}}}",
            numbers.join(", ")
        )
    }
}

#[cfg(test)]
mod tests;
