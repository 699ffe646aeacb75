//! Envoy's messages as people write and read them: YAML and JSON to encoded messages, and back.
//!
//! Takes what Envoy takes, and says line, column and field of what it refuses.

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use crate::limits::{TEXT_BYTES_MAX, TEXT_NESTING_MAX};

mod json;
mod problem;
mod read;
mod schema;
mod shapes;
mod tree;
mod value;
mod write;
mod yaml;

pub use problem::Problem;
pub use schema::{Schema, is_known_to_envoy};
pub(crate) use shapes::{Content, Shapes, fields};
pub use tree::Position;
pub use value::Json;
pub use write::Secrets;

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
    /// An encoded message.
    Binary,
    /// The text format of protocol buffers.
    ProtoText,
}

impl Format {
    /// The format of a file, by what its name ends in, in any case; anything else counts as JSON, as in Envoy.
    #[must_use]
    pub fn of_file(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("yaml" | "yml") => Self::Yaml,
            Some("pb") => Self::Binary,
            Some("pb_text") => Self::ProtoText,
            _ => Self::Json,
        }
    }
}

/// What unknown fields and unknown enum values do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// They refuse the text.
    #[default]
    Refused,
    /// They are passed over, and listed.
    Ignored,
}

/// A message that was read, with what it takes to say where its parts stand.
#[derive(Clone, Debug)]
pub struct Parsed {
    message: DynamicMessage,
    /// Absent for formats without lines.
    tree: Option<tree::Node>,
    /// What was passed over: unknown fields, and extensions of which nothing is known but that Envoy has them.
    pub ignored: Vec<Problem>,
}

impl Parsed {
    /// The encoded message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        self.message.encode_to_vec().into()
    }

    /// Puts another message of the same type over this one, as protocol buffers merge: single values are replaced, lists get
    /// longer. [`Self::position`] still goes by this one's text.
    ///
    /// # Errors
    /// When it is of another type.
    pub fn merge(&mut self, over: &Self) -> Result<(), Problem> {
        self.message
            .merge(over.encode())
            .map_err(|error| Problem::new(Position::START, error.to_string()))?;
        self.ignored.extend(over.ignored.iter().cloned());
        Ok(())
    }

    /// How many items the list at this path of names has; none where there is no such list.
    #[must_use]
    pub fn items(&self, path: &[&str]) -> usize {
        let mut message = std::borrow::Cow::Borrowed(&self.message);
        for (index, name) in path.iter().enumerate() {
            let Some(value) = message.get_field_by_name(name).map(std::borrow::Cow::into_owned) else {
                return 0;
            };
            match value {
                Value::Message(inner) => message = std::borrow::Cow::Owned(inner),
                Value::List(items) if index + 1 == path.len() => return items.len(),
                _ => return 0,
            }
        }
        0
    }

    /// Where a field stands, named as in [`Problem::path`]; the nearest around it, where it is not written.
    #[must_use]
    pub fn position(&self, path: &str) -> Position {
        self.tree.as_ref().map_or(Position::START, |tree| tree.find(path))
    }

    /// The message as JSON.
    #[must_use]
    pub fn to_json(&self, secrets: Secrets) -> Json {
        let bytes = self.encode();
        to_json(self.message.descriptor().full_name(), &bytes, secrets).unwrap_or(Json::Null)
    }
}

/// [`Schema::parse`] with the descriptors that this text needs.
///
/// # Errors
/// As there.
pub fn parse(text: &[u8], format: Format, name: &str, unknown: Unknown) -> Result<Parsed, Problem> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(too_long());
    }
    Schema::for_contents(&[name], [text]).parse(text, format, name, unknown)
}

/// [`Schema::to_json`] with the descriptors that this message needs. Loads them anew, which takes milliseconds: for many
/// messages, make one schema.
#[must_use]
pub fn to_json(type_url: &str, bytes: &[u8], secrets: Secrets) -> Option<Json> {
    let name = type_url.rsplit('/').next().unwrap_or(type_url);
    Schema::for_contents(&[name], [bytes]).to_json(type_url, bytes, secrets)
}

fn parse_with(
    schema: &Schema,
    text: &[u8],
    format: Format,
    name: &str,
    unknown: Unknown,
) -> Result<Parsed, Problem> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(too_long());
    }
    let refused = |message: String| Problem::new(Position::START, message);
    let descriptor = schema
        .message(name)
        .ok_or_else(|| refused(format!("there is no message {name}")))?;
    let plain = |message| Parsed {
        message,
        tree: None,
        ignored: Vec::new(),
    };
    let utf8 = || std::str::from_utf8(text).map_err(|_| refused("it is not UTF-8".to_owned()));
    let tree = match format {
        Format::Yaml => yaml::parse(utf8()?)?,
        Format::Json => json::parse(utf8()?)?,
        Format::Binary => {
            let message = DynamicMessage::decode(descriptor, text)
                .map_err(|_| refused(format!("Unable to parse file as a binary protobuf (type {name})")))?;
            return Ok(plain(message));
        }
        Format::ProtoText => {
            if nesting(text) > TEXT_NESTING_MAX {
                return Err(refused("it nests too deeply".to_owned()));
            }
            let message = DynamicMessage::parse_text_format(descriptor, utf8()?).map_err(|error| {
                refused(format!(
                    "Unable to parse file as a text protobuf (type {name}): {error}"
                ))
            })?;
            return Ok(plain(message));
        }
    };
    let mut reader = read::Reader::new(schema);
    let message = reader.message(&tree, &descriptor)?;
    let mut ignored = reader.opaque;
    if unknown == Unknown::Ignored {
        ignored.extend(reader.unknown);
    } else if let Some(first) = reader.unknown.into_iter().next() {
        return Err(first);
    }
    Ok(Parsed {
        message,
        tree: Some(tree),
        ignored,
    })
}

/// How deeply brackets nest, those in strings and comments counted too.
fn nesting(text: &[u8]) -> usize {
    let mut open = 0_usize;
    let mut deepest = 0;
    for byte in text {
        match byte {
            b'{' | b'<' => open += 1,
            b'}' | b'>' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

fn too_long() -> Problem {
    let message = format!("it is longer than {} MiB", TEXT_BYTES_MAX >> 20);
    Problem::new(Position::START, message)
}

#[cfg(test)]
mod tests;
