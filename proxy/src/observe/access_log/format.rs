//! How is a format string read, once, and a line written from it?

use super::operators::{Operator, Value};
use super::{DEFAULT_FORMAT, Fields, escape, json};
use crate::observe::record::Entry;

/// A compiled format of lines.
#[derive(Clone, Debug)]
pub struct Format {
    layout: Layout,
}

#[derive(Clone, Debug)]
enum Layout {
    Text(Template),
    Json(json::Node),
}

/// A format that means nothing, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("access log format, at byte {position}: {problem}")]
pub struct FormatError {
    /// The offset in the format string.
    pub position: usize,
    /// What is wrong there, with the operator's name.
    pub problem: String,
}

impl Format {
    /// Envoy's text format: text with `%OPERATOR%`, `%OPERATOR(ARGUMENT)%` or `%OPERATOR(ARGUMENT):LENGTH%` in it; `%%` is a
    /// percent sign. It has to end with a line end, if lines are wanted. What is not known is `-`.
    ///
    /// # Errors
    /// With the position and the name of an operator that is not known or has a wrong argument.
    pub fn text(format: &str) -> Result<Self, FormatError> {
        let layout = Layout::Text(Template::parse(format)?);
        Ok(Self { layout })
    }

    /// A JSON object on each line. A string in `shape` is a format: of one operator alone it becomes a number where that is
    /// one, or null where it is not known; other values stay as they are.
    ///
    /// # Errors
    /// As [`Format::text`]; positions count within the string that is wrong, which the message names.
    pub fn json(shape: &serde_json::Value) -> Result<Self, FormatError> {
        let layout = Layout::Json(json::Node::parse(shape, "")?);
        Ok(Self { layout })
    }

    /// In JSON, leaves out what is not known, and the objects that are empty then. Nothing else changes.
    #[must_use]
    pub fn omit_empty(self) -> Self {
        let layout = match self.layout {
            Layout::Json(node) => Layout::Json(node.omit_empty()),
            text @ Layout::Text(_) => text,
        };
        Self { layout }
    }

    pub(super) fn line(&self, entry: &Entry<'_>) -> Vec<u8> {
        let mut line = Vec::with_capacity(256);
        match &self.layout {
            Layout::Text(template) => template.write(entry, &mut line),
            Layout::Json(node) => node.line(entry, &mut line),
        }
        line
    }

    pub(super) fn fields(&self, fields: &mut Fields) {
        match &self.layout {
            Layout::Text(template) => template.fields(fields),
            Layout::Json(node) => node.fields(fields),
        }
    }
}

impl Default for Format {
    /// [`DEFAULT_FORMAT`].
    fn default() -> Self {
        let parsed = Template::parse(DEFAULT_FORMAT);
        Self {
            layout: Layout::Text(parsed.unwrap_or_default()),
        }
    }
}

/// Text with operators in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Box<str>),
    Field(Operator, Option<usize>),
}

impl Template {
    pub(super) fn parse(format: &str) -> Result<Self, FormatError> {
        let (mut parts, mut plain, mut at) = (Vec::new(), String::new(), 0);
        while let Some(rest) = format.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(percent) = rest.find('%') else {
                plain.push_str(rest);
                break;
            };
            plain.push_str(rest.get(..percent).unwrap_or_default());
            at += percent;
            let command = rest.get(percent + 1..).unwrap_or_default();
            if command.starts_with('%') {
                plain.push('%');
                at += 2;
                continue;
            }
            let failed = |problem: String| FormatError {
                position: at,
                problem,
            };
            let (command, length) = Command::read(command).map_err(|problem| failed(problem.to_owned()))?;
            let operator = Operator::parse(command.name, command.argument).map_err(failed)?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain).into()));
            }
            parts.push(Part::Field(operator, command.bytes_max));
            at += 1 + length;
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Self { parts })
    }

    /// The value of the only operator, where the format is one and nothing else.
    pub(super) fn single(&self, entry: &Entry<'_>) -> Option<Single> {
        let [Part::Field(operator, bytes_max)] = &*self.parts else {
            return None;
        };
        Some(match operator.value(entry) {
            Value::Unknown => Single::Unknown,
            Value::Number(number) => Single::Number(number),
            Value::Text(text) => Single::Text(escape::utf8(shortened(&text, *bytes_max))),
        })
    }

    /// The line for JSON, which escapes it as a whole.
    pub(super) fn joined(&self, entry: &Entry<'_>) -> String {
        let mut joined = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => joined.push_str(text),
                Part::Field(operator, bytes_max) => match operator.value(entry) {
                    Value::Unknown => joined.push('-'),
                    Value::Number(number) => joined.push_str(&number.to_string()),
                    Value::Text(text) => joined.push_str(&escape::utf8(shortened(&text, *bytes_max))),
                },
            }
        }
        joined
    }

    fn write(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Field(operator, bytes_max) => match operator.value(entry) {
                    Value::Unknown => out.push(b'-'),
                    Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
                    Value::Text(text) => escape::text(shortened(&text, *bytes_max), out),
                },
            }
        }
    }

    pub(super) fn fields(&self, fields: &mut Fields) {
        for part in &self.parts {
            if let Part::Field(operator, _) = part {
                operator.fields(fields);
            }
        }
    }
}

/// What a format of one operator says.
pub(super) enum Single {
    Unknown,
    Number(u64),
    Text(String),
}

fn shortened(text: &[u8], bytes_max: Option<usize>) -> &[u8] {
    let length = bytes_max.map_or(text.len(), |max| max.min(text.len()));
    text.get(..length).unwrap_or(text)
}

/// What stands between two percent signs.
struct Command<'a> {
    name: &'a str,
    argument: Option<&'a str>,
    bytes_max: Option<usize>,
}

impl<'a> Command<'a> {
    /// Reads up to the closing percent sign; says how many bytes that was, with the sign.
    fn read(text: &'a str) -> Result<(Self, usize), &'static str> {
        let name_end = text
            .find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
            .ok_or("the operator is not closed with '%'")?;
        let (name, mut rest) = text.split_at(name_end);
        let mut argument = None;
        if let Some(open) = rest.strip_prefix('(') {
            let (inside, after) = open.split_once(')').ok_or("the '(' is not closed")?;
            (argument, rest) = (Some(inside), after);
        }
        let mut bytes_max = None;
        if let Some(length) = rest.strip_prefix(':') {
            let digits = length.find('%').ok_or("the operator is not closed with '%'")?;
            let (number, after) = length.split_at(digits);
            bytes_max = Some(
                number
                    .parse()
                    .map_err(|_| "the length after ':' is not a number")?,
            );
            rest = after;
        }
        let after = rest
            .strip_prefix('%')
            .ok_or("the operator is not closed with '%'")?;
        let command = Self {
            name,
            argument,
            bytes_max,
        };
        Ok((command, text.len() - after.len()))
    }
}
