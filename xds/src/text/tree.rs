//! What do YAML and JSON have in common? A tree whose nodes know where they stand.

use std::fmt;

/// A place in a text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl Position {
    /// Where every text begins.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.line, self.column)
    }
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// A value as JSON knows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A number without quotes, as it was written.
    Number(Box<str>),
    Text(Box<str>),
    List(Vec<Node>),
    /// In the order of the text; JSON may have a name twice, YAML not.
    Map(Vec<Entry>),
}

/// A name with its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) at: Position,
    pub(super) name: Box<str>,
    pub(super) node: Node,
}

impl Value {
    /// What it is, as messages say it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl Node {
    /// The node that `path` names, such as `static_resources.clusters[0].name`, or the nearest around it that is there.
    pub(super) fn find(&self, path: &str) -> Position {
        let mut node = self;
        let mut at = self.at;
        for step in steps(path) {
            let next = match (&node.value, step) {
                (Value::Map(entries), Step::Name(name)) => entries
                    .iter()
                    .rfind(|entry| same_name(&entry.name, name))
                    .map(|entry| (entry.at, &entry.node)),
                (Value::List(items), Step::Index(index)) => items.get(index).map(|item| (item.at, item)),
                // A lone item stands for a list of it, and an `Any` is written as what it holds.
                (_, Step::Index(0)) | (_, Step::Name("<any>")) => Some((at, node)),
                _ => None,
            };
            let Some((place, inner)) = next else { break };
            at = place;
            node = inner;
        }
        at
    }
}

enum Step<'p> {
    Name(&'p str),
    Index(usize),
}

/// Splits `a.b[0]["c"]`.
fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split(['.', '[', ']'])
        .filter(|part| !part.is_empty())
        .map(|part| match part.parse() {
            Ok(index) => Step::Index(index),
            Err(_) => Step::Name(part.trim_matches('"')),
        })
}

/// Whether two spellings, `aB` and `a_b`, name the same field.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    one == other || snake(one) == snake(other)
}

/// `aB` as `a_b`.
pub(super) fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}
