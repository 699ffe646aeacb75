//! From YAML to a tree, with scalars as Envoy reads them: which are numbers and booleans, and which stay text.

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle};

use super::problem::Problem;
use super::tree::{Entry, Node, Position, Value};
use crate::limits::{TEXT_NESTING_MAX, TEXT_NODES_MAX};

/// The first document of `text`; the others are ignored, as Envoy does.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let options = granit_parser::options! {
        emit_comments: false,
        block_nesting_limit: TEXT_NESTING_MAX,
        flow_nesting_limit: TEXT_NESTING_MAX,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder::default();
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| Problem::new(position(error.marker()), error.info()))?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        builder.event(event, position(&span.start))?;
    }
    builder
        .root
        .ok_or_else(|| Problem::new(Position::START, "there is nothing in it"))
}

/// The parser counts columns from 0.
fn position(marker: &Marker) -> Position {
    let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position {
        line: clamp(marker.line()).max(1),
        column: clamp(marker.col()).saturating_add(1),
    }
}

/// Makes a tree of events.
#[derive(Default)]
struct Builder {
    open: Vec<Frame>,
    root: Option<Node>,
    /// What aliases stand for.
    anchors: HashMap<usize, (Node, Size)>,
    nodes: usize,
}

/// How much a node holds.
#[derive(Clone, Copy)]
struct Size {
    /// Itself and all that is in it.
    nodes: usize,
    /// How deeply it nests.
    depth: usize,
}

/// A collection whose end has not come.
struct Frame {
    at: Position,
    anchor: usize,
    open: Open,
    /// How many nodes there were when it began.
    nodes: usize,
    /// How deeply what is in it nests.
    depth: usize,
}

enum Open {
    List(Vec<Node>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<Entry>,
    index: HashMap<Box<str>, usize>,
    /// A key that waits for its value; without a name it is dropped with it.
    key: Option<(Position, Option<Box<str>>)>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, at: Position) -> Result<(), Problem> {
        match event {
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(Problem::new(at, "an alias stands inside what it stands for"));
                };
                if self.open.len() + size.depth > TEXT_NESTING_MAX {
                    return Err(Problem::new(at, "aliases nest too deeply"));
                }
                let (value, size) = (node.value.clone(), *size);
                self.count(size.nodes, at)?;
                self.add(Node { at, value }, size.depth)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, at)?;
                let ignored = tag.as_ref().is_some_and(|tag| tag.suffix() == "ignore");
                let is_text = style != ScalarStyle::Plain
                    || tag
                        .as_ref()
                        .is_some_and(|tag| tag.handle().is_empty() && tag.suffix() == "!");
                if let Some(Frame {
                    open: Open::Map(map), ..
                }) = self.open.last_mut()
                    && map.key.is_none()
                {
                    let name: Box<str> = if !is_text && is_null(&text) {
                        "null".into()
                    } else {
                        text.into()
                    };
                    map.key = Some((at, (!ignored).then_some(name)));
                    return Ok(());
                }
                let value = if is_text {
                    Value::Text(text.into())
                } else {
                    plain(&text)
                };
                let node = Node { at, value };
                self.anchor(anchor, &node, Size { nodes: 1, depth: 1 });
                self.add(node, 1)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(at, anchor, Open::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.begin(at, anchor, Open::Map(OpenMap::default())),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, at: Position, anchor: usize, open: Open) -> Result<(), Problem> {
        if let Some(Frame {
            open: Open::Map(map), ..
        }) = self.open.last()
            && map.key.is_none()
        {
            return Err(Problem::new(at, "bad conversion: a key is a string"));
        }
        self.count(1, at)?;
        let nodes = self.nodes;
        self.open.push(Frame {
            at,
            anchor,
            open,
            nodes,
            depth: 0,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(frame) = self.open.pop() else {
            return Ok(());
        };
        let value = match frame.open {
            Open::List(items) => Value::List(items),
            Open::Map(map) => Value::Map(map.entries),
        };
        let node = Node { at: frame.at, value };
        let size = Size {
            nodes: self.nodes - frame.nodes + 1,
            depth: frame.depth + 1,
        };
        self.anchor(frame.anchor, &node, size);
        self.add(node, size.depth)
    }

    /// What has no anchor has the number 0.
    fn anchor(&mut self, anchor: usize, node: &Node, size: Size) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
    }

    fn add(&mut self, node: Node, depth: usize) -> Result<(), Problem> {
        if let Some(frame) = self.open.last_mut() {
            frame.depth = frame.depth.max(depth);
        }
        match self.open.last_mut().map(|frame| &mut frame.open) {
            None => self.root = Some(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map(map)) => return map.add(node),
        }
        Ok(())
    }

    /// Copies of anchored nodes count as often as they are made, so that a short text cannot become a huge tree.
    fn count(&mut self, more: usize, at: Position) -> Result<(), Problem> {
        self.nodes += more;
        if self.nodes > TEXT_NODES_MAX {
            let message = format!("there are more than {TEXT_NODES_MAX} values, aliases expanded");
            return Err(Problem::new(at, message));
        }
        Ok(())
    }
}

impl OpenMap {
    /// The last of equal keys wins, as in Envoy.
    fn add(&mut self, node: Node) -> Result<(), Problem> {
        let Some((at, name)) = self.key.take() else {
            // An alias as a key.
            let Value::Text(name) = node.value else {
                return Err(Problem::new(node.at, "bad conversion: a key is a string"));
            };
            self.key = Some((node.at, Some(name)));
            return Ok(());
        };
        let Some(name) = name else {
            return Ok(());
        };
        let entry = Entry {
            at,
            name: name.clone(),
            node,
        };
        match self
            .index
            .get(&name)
            .and_then(|&index| self.entries.get_mut(index))
        {
            Some(before) => *before = entry,
            None => {
                self.index.insert(name, self.entries.len());
                self.entries.push(entry);
            }
        }
        Ok(())
    }
}

/// A scalar without quotes. Envoy makes numbers of 32-bit integers only: other numbers stay text, which fields of numbers
/// take as well.
fn plain(text: &str) -> Value {
    if is_null(text) {
        return Value::Null;
    }
    if let Some(value) = boolean(text) {
        return Value::Bool(value);
    }
    match integer(text) {
        Some(number) if i32::try_from(number).is_ok() => Value::Number(number.to_string().into()),
        Some(number) => Value::Text(number.to_string().into()),
        None => Value::Text(text.into()),
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// The words of YAML 1.1, in lower case, upper case, or with a capital.
fn boolean(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let value = match lower.as_str() {
        "y" | "yes" | "true" | "on" => true,
        "n" | "no" | "false" | "off" => false,
        _ => return None,
    };
    let mut rest = text.chars();
    rest.next();
    let uniform = text == lower
        || text == text.to_ascii_uppercase()
        || rest.as_str().chars().all(|letter| letter.is_ascii_lowercase());
    uniform.then_some(value)
}

/// Decimal, or as in C hexadecimal and octal.
fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) if !hex.starts_with(['+', '-']) => i64::from_str_radix(hex, 16).ok()?,
        Some(_) => return None,
        None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(digits, 8).ok()?,
        None => digits.parse().ok()?,
    };
    Some(sign * magnitude)
}
