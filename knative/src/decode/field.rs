//! One field of an object on its way to a typed value.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::fields::Fields;
use super::{Context, join};
use crate::object::Quantity;
use crate::problem::Position;
use crate::yaml::{Content, Entry, Node, Scalar, ScalarType};

/// A field: its value, its path and where to point at.
pub(super) struct Field<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) path: String,
    pub(super) position: Position,
    node: &'a Node,
}

impl<'a> Field<'a> {
    /// The document itself.
    pub(super) fn root(context: &'a Context<'a>, node: &'a Node) -> Self {
        Self {
            context,
            path: String::new(),
            position: node.position,
            node,
        }
    }

    /// The field that an entry of the map at `path` is.
    pub(super) fn of_entry(context: &'a Context<'a>, path: &str, entry: &'a Entry) -> Self {
        Self {
            context,
            path: join(path, &entry.key),
            position: entry.field_position(),
            node: &entry.value,
        }
    }

    pub(super) fn node(&self) -> &'a Node {
        self.node
    }

    /// Tells that this field is wrong, and what to do.
    pub(super) fn refuse(&self, message: impl Into<String>, hint: &str) {
        self.context.report.add(self.position, &self.path, message, hint);
    }

    /// Tells that the field at the end of `keys` below this one is wrong.
    pub(super) fn refuse_below(&self, keys: &[&str], message: impl Into<String>, hint: &str) {
        let mut path = self.path.clone();
        let (mut position, mut node) = (self.position, Some(self.node));
        for key in keys {
            path = join(&path, key);
            let entry = node.and_then(|node| node.get(key));
            position = entry.map_or(position, Entry::field_position);
            node = entry.map(|entry| &entry.value);
        }
        self.context.report.add(position, &path, message, hint);
    }

    /// The text of a scalar whatever its type; empty for anything else.
    pub(super) fn scalar_text(&self) -> &'a str {
        match &self.node.content {
            Content::Scalar(scalar) if !self.node.is_null() => &scalar.text,
            _ => "",
        }
    }

    /// Tells that the value is invalid, in Knative's words.
    pub(super) fn refuse_value(&self, value: impl std::fmt::Display, hint: &str) {
        self.refuse(format!("invalid value: {value}"), hint);
    }

    /// Text, which has to be quoted if it looks like something else.
    pub(super) fn text(&self) -> Option<String> {
        match &self.node.content {
            Content::Scalar(Scalar {
                text,
                ty: ScalarType::Text,
            }) => Some(text.clone()),
            Content::Scalar(scalar) if scalar.ty != ScalarType::Null => {
                let hint = format!("write {:?} with the quotes", scalar.text);
                self.refuse(format!("expected text, found {}", self.node.describe()), &hint);
                None
            }
            _ => self.unexpected("text"),
        }
    }

    /// True or false.
    pub(super) fn boolean(&self) -> Option<bool> {
        match &self.node.content {
            Content::Scalar(Scalar {
                ty: ScalarType::Boolean(value),
                ..
            }) => Some(*value),
            Content::Scalar(Scalar {
                text,
                ty: ScalarType::Text,
            }) if text == "true" || text == "false" => {
                self.refuse("expected true or false, found text", "remove the quotes");
                None
            }
            _ => self.unexpected("true or false"),
        }
    }

    /// A whole number within bounds.
    pub(super) fn integer(&self, bounds: RangeInclusive<i64>) -> Option<i64> {
        let value = self.any_integer()?;
        if bounds.contains(&value) {
            return Some(value);
        }
        let (least, most) = (bounds.start(), bounds.end());
        self.refuse(
            format!("expected {least} <= {value} <= {most}"),
            "choose a number within these bounds",
        );
        None
    }

    /// A whole number that is at least 0 and fits `u32`.
    pub(super) fn unsigned(&self) -> Option<u32> {
        u32::try_from(self.integer(0..=i64::from(i32::MAX))?).ok()
    }

    fn any_integer(&self) -> Option<i64> {
        let Content::Scalar(scalar) = &self.node.content else {
            return self.unexpected("a whole number");
        };
        match scalar.ty {
            ScalarType::Integer(value) => Some(value),
            // 1e3 and 2.0 are whole numbers in JSON, which is what a cluster would see.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole numbers below 2^53 are exact in an f64"
            )]
            ScalarType::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(value as i64),
            ScalarType::Text if scalar.text.parse::<i64>().is_ok() => {
                self.refuse("expected a whole number, found text", "remove the quotes");
                None
            }
            _ => self.unexpected("a whole number"),
        }
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Vec<Self> {
        let Content::List(items) = &self.node.content else {
            self.unexpected::<()>("a list");
            return Vec::new();
        };
        let item = |(index, node): (usize, &'a Node)| Self {
            context: self.context,
            path: format!("{}[{index}]", self.path),
            position: node.position,
            node,
        };
        items.iter().enumerate().map(item).collect()
    }

    /// A list of texts.
    pub(super) fn texts(&self) -> Vec<String> {
        self.items().iter().filter_map(Self::text).collect()
    }

    /// The fields of a map whose keys are known.
    pub(super) fn fields(&self) -> Option<Fields<'a>> {
        match &self.node.content {
            Content::Map(entries) => Some(Fields::new(self, entries)),
            _ => self.unexpected("a map"),
        }
    }

    /// The fields of a map whose keys are free, with their keys.
    pub(super) fn entries(&self) -> Vec<(String, Self)> {
        match &self.node.content {
            Content::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), Self::of_entry(self.context, &self.path, entry)))
                .collect(),
            _ => {
                self.unexpected::<()>("a map");
                Vec::new()
            }
        }
    }

    /// A map of texts with free keys; a key without value has the empty text.
    pub(super) fn text_map(&self) -> BTreeMap<String, String> {
        let text = |field: &Self| {
            if field.node.is_null() {
                Some(String::new())
            } else {
                field.text()
            }
        };
        self.entries()
            .into_iter()
            .filter_map(|(key, field)| Some((key, text(&field)?)))
            .collect()
    }

    /// Whether text stands here, and no number.
    pub(super) fn is_text(&self) -> bool {
        matches!(
            &self.node.content,
            Content::Scalar(Scalar {
                ty: ScalarType::Text,
                ..
            })
        )
    }

    /// A Kubernetes quantity, written as text or number.
    pub(super) fn quantity(&self) -> Option<Quantity> {
        let Content::Scalar(scalar) = &self.node.content else {
            return self.unexpected("a quantity");
        };
        match Quantity::parse(&scalar.text) {
            Some(quantity) if !self.node.is_null() => Some(quantity),
            _ => {
                self.refuse_value(&scalar.text, "write a quantity such as 500m, 0.5, 128Mi or 1G");
                None
            }
        }
    }

    /// Whatever it is.
    pub(super) fn json(&self) -> Value {
        self.node.to_json()
    }

    /// Tells that something else was expected.
    pub(super) fn unexpected<T>(&self, expected: &str) -> Option<T> {
        let hint = match &self.node.content {
            Content::Scalar(_) if expected == "a list" => "begin each item in a line of its own with a dash",
            Content::Scalar(_) if expected == "a map" => "indent the fields below it",
            _ => "",
        };
        self.refuse(
            format!("expected {expected}, found {}", self.node.describe()),
            hint,
        );
        None
    }
}
