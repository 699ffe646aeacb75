//! The fields of one map: each is asked for by name, and those that nobody asked for are unknown.

use std::collections::BTreeMap;

use serde_json::Value;

use super::field::Field;
use super::{Context, join};
use crate::problem::Position;
use crate::suggest;
use crate::yaml::Entry;

/// A map whose keys are known to the code that reads it.
pub(super) struct Fields<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) path: String,
    pub(super) position: Position,
    rest: Vec<&'a Entry>,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(map: &Field<'a>, entries: &'a [Entry]) -> Self {
        Self {
            context: map.context,
            path: map.path.clone(),
            position: map.position,
            rest: entries.iter().collect(),
            asked: Vec::new(),
        }
    }

    /// The field with this name; none if it is absent or null.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Field<'a>> {
        self.asked.push(name);
        let index = self.rest.iter().position(|entry| entry.key == name)?;
        let entry = self.rest.remove(index);
        if entry.value.is_null() {
            None
        } else {
            Some(Field::of_entry(self.context, &self.path, entry))
        }
    }

    /// The field with this name, whose absence is told.
    pub(super) fn require(&mut self, name: &'static str, hint: &str) -> Option<Field<'a>> {
        let field = self.take(name);
        if field.is_none() {
            self.missing(name, hint);
        }
        field
    }

    /// A text; absence is the empty text.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.take(name)?.text()
    }

    /// A text that has to be there and not empty.
    pub(super) fn require_text(&mut self, name: &'static str, hint: &str) -> Option<String> {
        let text = self.require(name, hint)?.text()?;
        if text.is_empty() {
            self.missing(name, hint);
            return None;
        }
        Some(text)
    }

    /// True or false; absence is false.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        self.take(name).and_then(|field| field.boolean()).unwrap_or(false)
    }

    /// Legal fields that are dropped unseen.
    pub(super) fn drop_all(&mut self, names: &[&'static str]) {
        for name in names {
            self.take(name);
        }
    }

    /// Tells that a field is missing, in Knative's words.
    pub(super) fn missing(&self, name: &str, hint: &str) {
        self.refuse(name, "missing field(s)", hint);
    }

    /// Tells that the field `name` of this map is wrong.
    pub(super) fn refuse(&self, name: &str, message: impl Into<String>, hint: &str) {
        self.context
            .report
            .add(self.position, &join(&self.path, name), message, hint);
    }

    /// The fields among `names` that are there, as they are.
    pub(super) fn json(&mut self, names: &[&'static str]) -> BTreeMap<String, Value> {
        names
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.take(name)?.json())))
            .collect()
    }

    /// Tells every field that nobody asked for.
    pub(super) fn finish(mut self) {
        self.asked.sort_unstable();
        for entry in &self.rest {
            let hint = suggest::among(&entry.key, self.asked.iter().copied());
            let path = join(&self.path, &entry.key);
            self.context
                .report
                .add(entry.position, &path, "unknown field", &hint);
        }
    }
}
