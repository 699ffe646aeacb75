//! A message of the dump before it is written: its fields, and what makes their elements.

use std::sync::Arc;

use regex::Regex;
use tidegate_xds::text::Json;

use super::mask::Mask;

/// Which resources are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// What their names have to match, anywhere.
    pub(super) name: Option<Regex>,
    /// Whether endpoints are among them.
    pub(super) endpoints: bool,
}

impl Wanted {
    pub(super) fn wants(&self, name: &str) -> bool {
        self.name.as_ref().is_none_or(|pattern| pattern.is_match(name))
    }
}

/// Something that becomes JSON when it is written.
#[derive(Clone)]
pub(super) struct Part(Arc<dyn Fn() -> Json + Send + Sync>);

/// The elements of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    /// The name of their message.
    pub(super) name: &'static str,
    /// The names of its fields.
    pub(super) fields: &'static [&'static str],
}

/// A list of a message.
#[derive(Clone)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) element: Element,
    /// What every element is cut to.
    mask: Option<Mask>,
    parts: Vec<Part>,
}

/// A message.
#[derive(Clone)]
pub(super) struct Message {
    pub(super) name: &'static str,
    pub(super) scalars: Vec<(&'static str, Part)>,
    pub(super) lists: Vec<Field>,
}

impl Part {
    pub(super) fn new(make: impl Fn() -> Json + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    pub(super) fn json(&self) -> Json {
        (self.0)()
    }
}

impl Field {
    pub(super) fn new(name: &'static str, element: Element, parts: Vec<Part>) -> Self {
        Self {
            name,
            element,
            mask: None,
            parts,
        }
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        let Some(mask) = &self.mask else {
            return self.parts.clone();
        };
        let cut = |part: &Part| {
            let (part, mask) = (part.clone(), mask.clone());
            Part::new(move || mask.of(part.json()))
        };
        self.parts.iter().map(cut).collect()
    }
}

impl Message {
    /// Whether it has a field of this name.
    pub(super) fn has(&self, field: &str) -> bool {
        self.scalars.iter().any(|(name, _)| *name == field)
            || self.lists.iter().any(|list| list.name == field)
    }

    /// The elements of a list of it.
    pub(super) fn repeated(self, field: &str) -> Option<(Element, Vec<Part>)> {
        let list = self.lists.into_iter().find(|list| list.name == field)?;
        Some((list.element, list.parts()))
    }

    /// The message with the fields of `mask` alone; none where it does not have all of them. A path into a list is one that
    /// field masks do not have.
    pub(super) fn only(mut self, mask: &Mask) -> Option<Self> {
        if !mask.tops().all(|top| self.has(top)) || self.lists.iter().any(|list| mask.goes_into(list.name)) {
            return None;
        }
        self.scalars.retain(|(name, _)| mask.has(name));
        for (name, part) in &mut self.scalars {
            if let Some(inner) = mask.into(name) {
                let whole = part.clone();
                *part = Part::new(move || inner.of(whole.json()));
            }
        }
        self.lists.retain(|list| mask.has(list.name));
        Some(self)
    }
}
