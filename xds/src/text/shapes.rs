//! Which fields does a message of Envoy's have? Just enough to find those that it has not.

use std::collections::HashMap;

use prost::encoding::decode_varint;

use super::schema::DESCRIPTORS;

/// The numbers of the fields of all messages, and what those that are messages are. Takes about a megabyte, and some milliseconds
/// to read: kept by those who need it again.
#[derive(Debug)]
pub(crate) struct Shapes {
    messages: HashMap<String, Vec<Field>>,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    number: u64,
    /// The message that it holds, if it holds messages.
    message: Option<&'static str>,
}

/// A field of an encoded message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'b> {
    /// Anything that is no bytes.
    Plain(u64),
    /// Text, bytes, a message or a packed list.
    Bytes(&'b [u8]),
}

impl Shapes {
    /// Reads them.
    pub(crate) fn read() -> Self {
        let mut messages = HashMap::new();
        for file in all(DESCRIPTORS, 1) {
            let package = all(file, 2).next().map_or("", text);
            for message in all(file, 4) {
                collect(package, message, &mut messages);
            }
        }
        Self { messages }
    }

    /// Whether there is a message of this name.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.messages.contains_key(name)
    }

    /// Where the field of this number stands among those of a message as they are declared; none where it has no such field.
    pub(crate) fn place(&self, message: &str, number: u64) -> Option<usize> {
        let fields = self.messages.get(message)?;
        fields.iter().position(|field| field.number == number)
    }

    /// The message that a field holds, if it holds messages.
    pub(crate) fn message(&self, message: &str, place: usize) -> Option<&'static str> {
        self.messages.get(message)?.get(place)?.message
    }
}

/// A message and those nested in it.
fn collect(outer: &str, message: &'static [u8], messages: &mut HashMap<String, Vec<Field>>) {
    let name = format!("{outer}.{}", all(message, 1).next().map_or("", text));
    for nested in all(message, 3) {
        collect(&name, nested, messages);
    }
    let fields = all(message, 2).filter_map(|field| {
        let number = fields(field).find_map(|(tag, value)| match value {
            Content::Plain(number) if tag == 3 => Some(number),
            _ => None,
        })?;
        // Enumerations have the name of a type as well.
        let is_message =
            fields(field).any(|(tag, value)| matches!((tag, value), (5, Content::Plain(MESSAGE))));
        let message = all(field, 6).next().filter(|_| is_message);
        Some(Field {
            number,
            message: message.map(|name| text(name).trim_start_matches('.')),
        })
    });
    messages.insert(name, fields.collect());
}

/// `TYPE_MESSAGE`.
const MESSAGE: u64 = 11;

fn text(bytes: &'static [u8]) -> &'static str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn all(bytes: &'static [u8], number: u64) -> impl Iterator<Item = &'static [u8]> {
    fields(bytes).filter_map(move |(tag, value)| match value {
        Content::Bytes(bytes) if tag == number => Some(bytes),
        _ => None,
    })
}

/// The fields of an encoded message, up to what is none.
pub(crate) fn fields<'b>(mut bytes: &'b [u8]) -> impl Iterator<Item = (u64, Content<'b>)> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let key = decode_varint(&mut bytes).ok()?;
        let fixed = |length: usize, bytes: &mut &'b [u8]| {
            let (content, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Some(content)
        };
        let value = match key & 7 {
            0 => Content::Plain(decode_varint(&mut bytes).ok()?),
            1 => {
                fixed(8, &mut bytes)?;
                Content::Plain(0)
            }
            2 => {
                let length = decode_varint(&mut bytes).ok()?;
                Content::Bytes(fixed(usize::try_from(length).ok()?, &mut bytes)?)
            }
            5 => {
                fixed(4, &mut bytes)?;
                Content::Plain(0)
            }
            _ => return None,
        };
        Some((key >> 3, value))
    })
}
