//! From JSON to a tree, as leniently as Envoy: trailing commas, single quotes and names without quotes are taken.

use super::problem::Problem;
use super::tree::{Entry, Node, Position, Value};
use crate::limits::{TEXT_NESTING_MAX, TEXT_NODES_MAX};

/// The value that is the whole of `text`.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let mut parser = Parser {
        rest: text,
        at: Position::START,
        nodes: 0,
    };
    let node = parser.value(0)?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.problem("extraneous characters after end of JSON object")),
    }
}

struct Parser<'t> {
    rest: &'t str,
    at: Position,
    nodes: usize,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        let first = self.peek();
        let at = self.at;
        self.nodes += 1;
        if self.nodes > TEXT_NODES_MAX {
            return Err(self.problem(format!("there are more than {TEXT_NODES_MAX} values")));
        }
        if depth > TEXT_NESTING_MAX {
            return Err(self.problem("JSON content was too deeply nested"));
        }
        let value = match first {
            None => return Err(self.problem("unexpected EOF")),
            Some('{') => self.map(depth)?,
            Some('[') => self.list(depth)?,
            Some('"' | '\'') => Value::Text(self.string()?.into()),
            Some('-' | '0'..='9') => self.number()?,
            Some(_) => match self.word() {
                "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => return Err(self.unexpected()),
            },
        };
        if matches!(value, Value::Null | Value::Bool(_)) {
            self.skip(self.word().len());
        }
        Ok(Node { at, value })
    }

    fn map(&mut self, depth: usize) -> Result<Value, Problem> {
        self.skip(1);
        let mut entries = Vec::new();
        loop {
            let first = self.peek();
            let at = self.at;
            let name = match first {
                Some('}') => break self.skip(1),
                Some('"' | '\'') => self.string()?,
                _ if !self.word().is_empty() => {
                    let name = self.word().to_owned();
                    self.skip(name.len());
                    name
                }
                _ => return Err(self.unexpected()),
            };
            if self.peek() != Some(':') {
                return Err(self.expected(':'));
            }
            self.skip(1);
            let node = self.value(depth + 1)?;
            let name = name.into();
            entries.push(Entry { at, name, node });
            self.comma('}')?;
        }
        Ok(Value::Map(entries))
    }

    fn list(&mut self, depth: usize) -> Result<Value, Problem> {
        self.skip(1);
        let mut items = Vec::new();
        while self.peek() != Some(']') {
            items.push(self.value(depth + 1)?);
            self.comma(']')?;
        }
        self.skip(1);
        Ok(Value::List(items))
    }

    /// After an item comes a comma or the end.
    fn comma(&mut self, end: char) -> Result<(), Problem> {
        match self.peek() {
            Some(',') => self.skip(1),
            Some(found) if found == end => {}
            _ => return Err(self.expected(',')),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, Problem> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let number = self.rest.get(..end).unwrap_or_default();
        let digits = number.strip_prefix('-').unwrap_or(number);
        let whole = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        if whole > 1 && digits.starts_with('0') {
            return Err(self.problem("number cannot have extraneous leading zero"));
        }
        if digits
            .get(whole..)
            .is_some_and(|rest| rest == "." || rest.starts_with(".e"))
        {
            return Err(self.problem("number cannot have trailing period"));
        }
        if number.parse::<f64>().is_err()
            || digits.contains(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'e' | 'E'))
        {
            return Err(self.problem(format!("invalid number: '{number}'")));
        }
        let value = Value::Number(number.into());
        self.skip(end);
        Ok(value)
    }

    fn string(&mut self) -> Result<String, Problem> {
        let quote = self.rest.chars().next();
        self.skip(1);
        let mut string = String::new();
        loop {
            let Some(character) = self.rest.chars().next() else {
                return Err(self.problem("unexpected EOF in a string"));
            };
            match character {
                _ if Some(character) == quote => break self.skip(1),
                '\\' => {
                    let (character, length) =
                        escape(self.rest).ok_or_else(|| self.problem("invalid escape in a string"))?;
                    string.push(character);
                    self.skip(length);
                }
                _ => {
                    string.push(character);
                    self.skip(character.len_utf8());
                }
            }
        }
        Ok(string)
    }

    /// Letters, digits and underscores that come next.
    fn word(&self) -> &str {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        self.rest.get(..end).unwrap_or_default()
    }

    /// The next character that is no white space.
    fn peek(&mut self) -> Option<char> {
        let trimmed = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.skip(self.rest.len() - trimmed.len());
        self.rest.chars().next()
    }

    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        for character in skipped.chars() {
            if character == '\n' {
                self.at.line = self.at.line.saturating_add(1);
                self.at.column = 1;
            } else {
                self.at.column = self.at.column.saturating_add(1);
            }
        }
        self.rest = rest;
    }

    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.at, message)
    }

    fn unexpected(&self) -> Problem {
        match self.rest.chars().next() {
            Some(found) => self.problem(format!("unexpected character: '{found}'")),
            None => self.problem("unexpected EOF"),
        }
    }

    fn expected(&self, wanted: char) -> Problem {
        match self.rest.chars().next() {
            Some(found) => self.problem(format!("unexpected character: '{found}'; expected '{wanted}'")),
            None => self.problem("unexpected EOF"),
        }
    }
}

/// What an escape at the start of `text` stands for, and how many bytes it has.
fn escape(text: &str) -> Option<(char, usize)> {
    let character = match text.as_bytes().get(1)? {
        b'u' => {
            let high = unit(text, 2)?;
            if !(0xd800..0xdc00).contains(&high) {
                return Some((char::from_u32(high)?, 6));
            }
            let low = (text.get(6..8)? == "\\u").then(|| unit(text, 8)).flatten()?;
            let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
            return Some((char::from_u32(0x10000 + ((high - 0xd800) << 10) + low)?, 12));
        }
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        found @ (b'"' | b'\'' | b'\\' | b'/') => char::from(*found),
        _ => return None,
    };
    Some((character, 2))
}

fn unit(text: &str, from: usize) -> Option<u32> {
    let digits = text.get(from..from + 4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}
