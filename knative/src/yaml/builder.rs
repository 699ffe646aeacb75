//! How parser events become a tree: keys, duplicates, merges, aliases and the bounds on them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;

use granit_parser::{Event, ScalarStyle, Tag};

use super::node::{Content, Entry, Node};
use super::scalar::ScalarType;
use crate::limits::{NESTING_MAX, NODES_MAX};
use crate::problem::Position;
use crate::report::Report;

/// Builds the tree of one document after the other.
pub(super) struct Builder<'r> {
    report: &'r Report,
    open: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    is_broken: bool,
}

/// A collection whose end has not come.
struct Frame {
    position: Position,
    anchor: usize,
    content: Open,
}

enum Open {
    List(Vec<Node>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<Entry>,
    /// Where each key is in `entries`.
    index: HashMap<String, usize>,
    /// A key that waits for its value.
    key: Option<Key>,
    /// The maps that `<<` names, in order.
    merged: Vec<Node>,
}

enum Key {
    Name(String, Position),
    Merge,
    /// Told already; its value is dropped.
    Refused,
}

impl<'r> Builder<'r> {
    pub(super) fn new(report: &'r Report) -> Self {
        Self {
            report,
            open: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            nodes: 0,
            is_broken: false,
        }
    }

    /// A document begins.
    pub(super) fn begin(&mut self) {
        self.open.clear();
        self.anchors.clear();
        self.root = None;
        self.is_broken = false;
    }

    /// A document ended in a syntax error.
    pub(super) fn abandon(&mut self) {
        self.begin();
    }

    /// A document ended; none if it was broken or empty.
    pub(super) fn finish(&mut self) -> Option<Node> {
        let root = self.root.take().filter(|root| !self.is_broken && !root.is_null());
        self.begin();
        root
    }

    /// Takes one event inside a document.
    pub(super) fn event(&mut self, event: Event<'_>, position: Position) {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let ty = self.scalar_type(&text, style, tag.as_deref(), position);
                self.node(Node::scalar(position, text.into_owned(), ty), anchor);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag, "seq", position);
                self.open.push(Frame {
                    position,
                    anchor,
                    content: Open::List(Vec::new()),
                });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag, "map", position);
                self.open.push(Frame {
                    position,
                    anchor,
                    content: Open::Map(OpenMap::default()),
                });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, position),
            _ => {}
        }
    }

    fn refuse(&mut self, position: Position, message: impl Into<String>, hint: &str) {
        self.is_broken = true;
        self.report.add(position, "", message, hint);
    }

    fn close(&mut self) {
        let Some(Frame {
            position,
            anchor,
            content,
        }) = self.open.pop()
        else {
            return;
        };
        let node = match content {
            Open::List(items) => Node::list(position, items),
            Open::Map(mut map) => {
                for node in std::mem::take(&mut map.merged) {
                    self.merge(&mut map, node);
                }
                Node::map(position, map.entries)
            }
        };
        self.node(node, anchor);
    }

    /// A complete node goes where it belongs: the root, a list, a key or the value of a key.
    fn node(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
            // The copy for aliases is memory too.
            self.count(node.size, node.position);
        }
        self.count(1, node.position);
        if self.is_broken && self.nodes > NODES_MAX {
            return;
        }
        let Some(mut frame) = self.open.pop() else {
            self.root = Some(node);
            return;
        };
        match &mut frame.content {
            Open::List(items) => items.push(node),
            Open::Map(map) => match map.key.take() {
                None => map.key = Some(self.key(map, node)),
                Some(Key::Name(key, position)) => map.insert(key, position, node),
                Some(Key::Merge) => map.merged.push(node),
                Some(Key::Refused) => {}
            },
        }
        self.open.push(frame);
    }

    /// What a node in the place of a key means.
    fn key(&mut self, map: &OpenMap, node: Node) -> Key {
        let Content::Scalar(scalar) = node.content else {
            self.refuse(
                node.position,
                "a key has to be text",
                "lists and maps cannot be keys",
            );
            return Key::Refused;
        };
        if scalar.text == "<<" {
            return Key::Merge;
        }
        match map.position_of(&scalar.text) {
            None => Key::Name(scalar.text, node.position),
            Some(first) => {
                let message = format!("duplicate key {:?}", scalar.text);
                self.refuse(
                    node.position,
                    message,
                    &format!("it is set in line {} already", first.line),
                );
                Key::Refused
            }
        }
    }

    fn merge(&mut self, map: &mut OpenMap, node: Node) {
        let position = node.position;
        match node.content {
            Content::Map(entries) => {
                self.count(entries.len(), position);
                for entry in entries {
                    map.insert(entry.key, entry.position, entry.value);
                }
            }
            Content::List(nodes) if nodes.iter().all(|node| matches!(node.content, Content::Map(_))) => {
                for node in nodes {
                    self.merge(map, node);
                }
            }
            _ => self.refuse(
                position,
                "<< has to name a map or a list of maps",
                "name one by an alias, such as <<: *base",
            ),
        }
    }

    fn alias(&mut self, anchor: usize, position: Position) {
        let Some(node) = self.anchors.get(&anchor) else {
            self.refuse(
                position,
                "the alias stands inside what it names",
                "write the value out",
            );
            return self.node(Node::scalar(position, String::new(), ScalarType::Null), 0);
        };
        let (size, depth) = (node.size, node.depth);
        if self.open.len() + depth > NESTING_MAX {
            self.refuse(
                position,
                format!("aliases nest deeper than {NESTING_MAX} levels"),
                "write the values out",
            );
            return self.node(Node::scalar(position, String::new(), ScalarType::Null), 0);
        }
        if self.nodes.saturating_add(size) > NODES_MAX {
            return self.count(size, position);
        }
        let node = node.clone();
        self.count(size, position);
        self.node(node, 0);
    }

    /// Counts nodes against the bound of the file.
    fn count(&mut self, nodes: usize, position: Position) {
        let was_within = self.nodes <= NODES_MAX;
        self.nodes = self.nodes.saturating_add(nodes);
        if was_within && self.nodes > NODES_MAX {
            self.refuse(
                position,
                format!("the file holds more than {NODES_MAX} values"),
                "split it into several files",
            );
        }
        self.is_broken |= self.nodes > NODES_MAX;
    }

    fn scalar_type(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        position: Position,
    ) -> ScalarType {
        let Some(tag) = tag else {
            return if style == ScalarStyle::Plain {
                ScalarType::of_plain(text)
            } else {
                ScalarType::Text
            };
        };
        match tag.core_suffix() {
            Some("str") => ScalarType::Text,
            Some("int" | "float" | "bool" | "null") => ScalarType::of_plain(text),
            // "!" alone asks for text (YAML 1.2 §6.8.1).
            _ if tag.handle().is_empty() && tag.suffix() == "!" => ScalarType::Text,
            _ => {
                self.refuse(
                    position,
                    format!("tag {} is not known", tag.original()),
                    "remove the tag",
                );
                ScalarType::Text
            }
        }
    }

    fn check_tag(&mut self, tag: Option<Cow<'_, Tag>>, expected: &str, position: Position) {
        if let Some(tag) = tag
            && tag.core_suffix() != Some(expected)
        {
            self.refuse(
                position,
                format!("tag {} is not known here", tag.original()),
                "remove the tag",
            );
        }
    }
}

impl OpenMap {
    /// The first value of a key stays: what is written comes before what is merged.
    fn insert(&mut self, key: String, position: Position, value: Node) {
        if let MapEntry::Vacant(vacant) = self.index.entry(key.clone()) {
            vacant.insert(self.entries.len());
            self.entries.push(Entry { key, position, value });
        }
    }

    fn position_of(&self, key: &str) -> Option<Position> {
        self.entries
            .get(*self.index.get(key)?)
            .map(|entry| entry.position)
    }
}
