//! How a tree becomes an object: one field after the other, every mistake told and none of them final.
//!
//! Decoders return something even where they told a mistake; [`load`](crate::load) drops it all if any was told.

mod container;
mod core;
mod env;
mod field;
mod fields;
mod image;
mod metadata;
mod object;
mod probe;
mod revision;
mod shape;
mod spec;
mod template;
mod traffic;
mod volume;

use std::collections::BTreeMap;

use crate::defaults::Defaults;
use crate::object::Object;
use crate::problem::Position;
use crate::report::Report;
use crate::source::Source;
use crate::yaml::{Content, Node};

use field::Field;

/// What every decoder needs beside its field.
pub(crate) struct Context<'a> {
    /// Where mistakes are told.
    pub(crate) report: &'a Report,
    /// What authors need not say.
    pub(crate) defaults: &'a Defaults,
}

/// The object that a document holds; none if it is of no known kind.
pub(crate) fn object(context: &Context<'_>, document: &Node) -> Option<Object> {
    object::decode(&Field::root(context, document))
}

/// Where the object in this document comes from.
fn source(document: &Field<'_>) -> Source {
    let file = document.context.report.file();
    Source::new(file, document.position, positions(document.node()))
}

/// The path of the field `name` in the object at `path`.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The positions of all fields of a document, by path.
fn positions(document: &Node) -> BTreeMap<String, Position> {
    let mut positions = BTreeMap::new();
    gather(document, "", &mut positions);
    positions
}

fn gather(node: &Node, path: &str, positions: &mut BTreeMap<String, Position>) {
    match &node.content {
        Content::Scalar(_) => {}
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                gather(item, &path, positions);
                positions.insert(path, item.position);
            }
        }
        Content::Map(entries) => {
            for entry in entries {
                let path = join(path, &entry.key);
                gather(&entry.value, &path, positions);
                positions.insert(path, entry.field_position());
            }
        }
    }
}
