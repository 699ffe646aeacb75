//! What operators may see of the store: an immutable picture, made anew with each change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use tidegate_proxy::process::give_way;

use crate::resource::{Gone, Kept, Kind, Raw, Update};
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

/// The resources of one kind that were accepted from control planes.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Of which kind.
    pub kind: Kind,
    /// The version of the kind that was last accepted.
    pub version: Arc<str>,
    /// The newest of each name, by name.
    pub resources: Vec<Kept>,
}

impl Accepted {
    /// What has a store accept it again.
    #[must_use]
    pub fn update(&self) -> Update {
        let resources = self.resources.iter();
        Update {
            kind: self.kind,
            version: Arc::clone(&self.version),
            resources: resources
                .map(|kept| Raw::new(Arc::clone(&kept.name), Arc::clone(&kept.version), kept.body()))
                .collect(),
            gone: Gone::Named(Vec::new()),
        }
    }
}

impl View {
    /// What was accepted from control planes, newest versions, in the order in which a store takes it.
    #[must_use]
    pub fn accepted(&self) -> Vec<Accepted> {
        let kinds = [
            Kind::Cluster,
            Kind::Endpoints,
            Kind::Listener,
            Kind::Secret,
            Kind::Routes,
        ];
        let accepted = |kind: Kind| {
            let mut newest: BTreeMap<&Arc<str>, &Kept> = BTreeMap::new();
            for entry in self.resources.get(&kind).into_iter().flatten() {
                give_way();
                let counts = matches!(entry.state, State::Active | State::Warming);
                if counts && entry.origin == Origin::Dynamic {
                    // What warms comes after what is in force.
                    newest.insert(&entry.raw.name, &entry.raw);
                }
            }
            Accepted {
                kind,
                version: self.versions.get(&kind).cloned().unwrap_or_default(),
                resources: newest.into_values().inspect(|_| give_way()).cloned().collect(),
            }
        };
        kinds.into_iter().map(accepted).collect()
    }

    /// The resources that are in memory as they came, those that were refused too.
    pub(super) fn bodies(&self) -> impl Iterator<Item = &Kept> {
        self.resources.values().flatten().flat_map(|entry| {
            let attempt = entry.error.as_ref().map(|failure| &failure.attempt);
            std::iter::once(&entry.raw).chain(attempt)
        })
    }
}

/// One resource.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it came.
    pub raw: Kept,
    /// Where it came from.
    pub origin: Origin,
    /// Whether it is in force.
    pub state: State,
    /// When it last changed.
    pub updated: SystemTime,
    /// What was last tried to replace it, and refused; also of a resource that was never accepted, whose `raw` is then empty.
    pub error: Option<Arc<Failure>>,
    /// What of it has no effect.
    pub notes: Box<[Note]>,
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
    pub attempt: Kept,
    /// Why.
    pub details: String,
    /// When.
    pub at: SystemTime,
}
