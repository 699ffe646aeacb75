//! What operators may see of the store: an immutable picture, made anew with each change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::resource::{Kind, Raw};
use crate::translate::Note;

/// Everything that is known, at one point in time; read by admin endpoints through an `ArcSwap`.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The resources of each kind, by name. A name is there twice while a changed resource warms.
    pub resources: BTreeMap<Kind, Vec<Arc<Entry>>>,
    /// The version of each kind that was last accepted; empty before the first.
    pub versions: BTreeMap<Kind, Arc<str>>,
    /// Whether what is in force was read from disk and no control plane has confirmed it yet.
    pub stale: bool,
}

/// One resource.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it came.
    pub raw: Raw,
    /// Where it came from.
    pub origin: Origin,
    /// Whether it is in force.
    pub state: State,
    /// When it last changed.
    pub updated: SystemTime,
    /// What was last tried to replace it, and refused; also of a resource that was never accepted, whose `raw` is then empty.
    pub error: Option<Arc<Failure>>,
    /// What of it has no effect.
    pub notes: Vec<Note>,
}

/// Where a resource came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The bootstrap.
    Static,
    /// A control plane, or a file in its place.
    Dynamic,
}

/// How far a resource has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// In force.
    Active,
    /// Accepted, and waiting for what it names.
    Warming,
    /// Replaced or removed, while its connections finish.
    Draining,
    /// Never accepted.
    Refused,
}

/// An update of a resource that was refused.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What was refused.
    pub attempt: Raw,
    /// Why.
    pub details: String,
    /// When.
    pub at: SystemTime,
}
