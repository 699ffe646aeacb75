//! One node of a document: what it holds and where it stands.

use std::collections::BTreeMap;

use serde_json::{Number, Value};

use super::scalar::ScalarType;
use crate::problem::Position;

/// A node of a document.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it begins.
    pub(crate) position: Position,
    /// What it holds.
    pub(crate) content: Content,
    /// What it costs to copy: its nodes, itself included, and one more for every 64 bytes of text.
    pub(super) size: usize,
    /// How deep it is: 1 for a scalar.
    pub(super) depth: usize,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Text, a number, a boolean or null.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order it was written; keys are unique.
    Map(Vec<Entry>),
}

/// A scalar: its text without quotes, and its type.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    /// The text without quotes and escapes.
    pub(crate) text: String,
    /// What the text stands for.
    pub(crate) ty: ScalarType,
}

/// A key of a map with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The key's text.
    pub(crate) key: String,
    /// Where the key begins.
    pub(crate) position: Position,
    /// The value.
    pub(crate) value: Node,
}

impl Entry {
    /// Where a person looks for this field: at a scalar itself, at the key of anything longer.
    pub(crate) fn field_position(&self) -> Position {
        match &self.value.content {
            Content::Scalar(scalar) if scalar.ty != ScalarType::Null => self.value.position,
            _ => self.position,
        }
    }
}

impl Node {
    pub(super) fn scalar(position: Position, text: String, ty: ScalarType) -> Self {
        let size = 1 + text.len() / 64;
        Self {
            position,
            content: Content::Scalar(Scalar { text, ty }),
            size,
            depth: 1,
        }
    }

    pub(super) fn list(position: Position, items: Vec<Self>) -> Self {
        let (size, depth) = measure(items.iter());
        Self {
            position,
            content: Content::List(items),
            size,
            depth,
        }
    }

    pub(super) fn map(position: Position, entries: Vec<Entry>) -> Self {
        let (size, depth) = measure(entries.iter().map(|entry| &entry.value));
        Self {
            position,
            content: Content::Map(entries),
            size,
            depth,
        }
    }

    /// Whether nothing stands here.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.ty == ScalarType::Null)
    }

    /// The entry of a map with this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.content {
            Content::Scalar(scalar) => scalar.ty.describe(),
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }

    /// The same content as JSON, keys in order, nulls in maps left out as Kubernetes does.
    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(scalar) => scalar.to_json(),
            Content::List(items) => items.iter().map(Self::to_json).collect(),
            Content::Map(entries) => {
                let sorted: BTreeMap<&str, &Self> = entries
                    .iter()
                    .filter(|entry| !entry.value.is_null())
                    .map(|entry| (entry.key.as_str(), &entry.value))
                    .collect();
                Value::Object(
                    sorted
                        .into_iter()
                        .map(|(key, node)| (key.to_owned(), node.to_json()))
                        .collect(),
                )
            }
        }
    }
}

impl Scalar {
    fn to_json(&self) -> Value {
        match self.ty {
            ScalarType::Null => Value::Null,
            ScalarType::Boolean(value) => Value::Bool(value),
            ScalarType::Integer(value) => Value::from(value),
            ScalarType::Float(value) => {
                // Infinity and NaN have no place in JSON; their text does.
                Number::from_f64(value).map_or_else(|| Value::from(self.text.as_str()), Value::Number)
            }
            ScalarType::Text => Value::from(self.text.as_str()),
        }
    }
}

/// Size and depth of a collection with these children.
fn measure<'a>(children: impl Iterator<Item = &'a Node>) -> (usize, usize) {
    children.fold((1, 1), |(size, depth), child| {
        (size + child.size, depth.max(child.depth + 1))
    })
}
