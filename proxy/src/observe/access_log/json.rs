//! How does a line become a JSON object?

use serde_json::{Map, Value};

use super::Fields;
use super::format::{FormatError, Single, Template};
use crate::observe::record::Entry;

/// A JSON value with formats for strings.
#[derive(Clone, Debug)]
pub(super) struct Node {
    shape: Shape,
    empty: Empty,
}

#[derive(Clone, Debug)]
enum Shape {
    Format(Template),
    Object(Vec<(Box<str>, Self)>),
    List(Vec<Self>),
    Fixed(Value),
}

/// What becomes of a value that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Empty {
    Null,
    Omitted,
}

impl Node {
    pub(super) fn parse(shape: &Value, place: &str) -> Result<Self, FormatError> {
        Ok(Self {
            shape: Shape::parse(shape, place)?,
            empty: Empty::Null,
        })
    }

    pub(super) fn omit_empty(self) -> Self {
        Self {
            empty: Empty::Omitted,
            ..self
        }
    }

    pub(super) fn line(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let value = self.shape.value(entry, self.empty).unwrap_or(Value::Null);
        // A vector takes everything, and every value has strings for keys.
        if let Err(error) = serde_json::to_writer(&mut *out, &value) {
            tracing::debug!(%error, "an access log line could not be written as JSON");
        }
        out.push(b'\n');
    }

    pub(super) fn fields(&self, fields: &mut Fields) {
        self.shape.fields(fields);
    }
}

impl Shape {
    /// The depth of `shape` is bounded by what parsed it.
    fn parse(shape: &Value, place: &str) -> Result<Self, FormatError> {
        Ok(match shape {
            Value::String(format) => {
                let template = Template::parse(format).map_err(|error| FormatError {
                    problem: format!("in '{place}': {}", error.problem),
                    ..error
                })?;
                Self::Format(template)
            }
            Value::Object(members) => Self::Object(
                members
                    .iter()
                    .map(|(key, value)| {
                        let place = if place.is_empty() {
                            key.clone()
                        } else {
                            format!("{place}.{key}")
                        };
                        Ok((key.as_str().into(), Self::parse(value, &place)?))
                    })
                    .collect::<Result<_, FormatError>>()?,
            ),
            Value::Array(items) => Self::List(
                items
                    .iter()
                    .map(|item| Self::parse(item, place))
                    .collect::<Result<_, _>>()?,
            ),
            other => Self::Fixed(other.clone()),
        })
    }

    fn value(&self, entry: &Entry<'_>, empty: Empty) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::Format(template) => match template.single(entry) {
                Some(Single::Unknown) => (empty == Empty::Null).then_some(Value::Null),
                Some(Single::Number(number)) => Some(number.into()),
                Some(Single::Text(text)) => Some(text.into()),
                None => Some(template.joined(entry).into()),
            },
            Self::List(items) => {
                let items = items.iter().filter_map(|item| item.value(entry, empty));
                Some(items.collect())
            }
            Self::Object(members) => {
                let known = members
                    .iter()
                    .filter_map(|(key, shape)| Some((key.to_string(), shape.value(entry, empty)?)));
                let object: Map<_, _> = known.collect();
                let gone = empty == Empty::Omitted && object.is_empty() && !members.is_empty();
                (!gone).then_some(Value::Object(object))
            }
        }
    }

    fn fields(&self, fields: &mut Fields) {
        match self {
            Self::Fixed(_) => {}
            Self::Format(template) => template.fields(fields),
            Self::List(items) => items.iter().for_each(|item| item.fields(fields)),
            Self::Object(members) => members.iter().for_each(|(_, shape)| shape.fields(fields)),
        }
    }
}
