//! How often have resources come, changed and been refused?
//!
//! Written by the store alone, and read by whoever shows statistics, as it was a moment ago.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits;
use crate::session::Number;
use crate::translate::Note;
use crate::translate::unknown::UNKNOWN_FIELDS;
use xxhash_rust::xxh3::xxh3_64;

/// What a store has counted since it began.
#[derive(Debug, Default)]
pub struct Counts {
    /// Clusters (`cluster_manager.cluster_…`).
    pub clusters: Changed,
    /// Listeners (`listener_manager.listener_…`).
    pub listeners: Changed,
    /// Listeners that kept their sockets when they changed (`listener_manager.listener_in_place_updated`).
    pub in_place: Number,
    /// Different messages of control planes with unknown fields (`server.dynamic_unknown_fields`).
    pub unknown_fields: Number,
    told: Mutex<HashSet<u64>>,
    /// Route configurations by name (`http.<prefix>.rds.<name>.…`).
    pub routes: Named,
    /// Endpoints by the cluster that uses them (`cluster.<name>.…`).
    pub endpoints: Named,
    /// Secrets by name (`sds.<name>.…`).
    pub secrets: Named,
}

/// How a set of resources has changed.
#[derive(Debug, Default)]
pub struct Changed {
    /// Those that were not there before.
    pub added: Number,
    /// Those that took the place of another version.
    pub modified: Number,
    /// Those that are gone.
    pub removed: Number,
}

/// What is counted of each name that is subscribed to.
#[derive(Debug, Default)]
pub struct Named(Mutex<BTreeMap<Arc<str>, Updates>>);

/// What has come under one name.
#[derive(Clone, Debug, Default)]
pub struct Updates {
    /// The connection manager that asked for it first; empty where none did.
    pub prefix: Arc<str>,
    /// Responses that had it and are in force.
    pub success: u64,
    /// Responses that were refused.
    pub rejected: u64,
    /// How often its files had changed and could not be used.
    pub rotations_failed: u64,
    /// How often it was put into force anew.
    pub reloads: u64,
    /// The version that was last accepted; empty before the first.
    pub version: Arc<str>,
}

impl Changed {
    /// One has come; `before` says whether another version of it was there.
    pub(super) fn came(&self, before: bool) {
        if before {
            self.modified.increment();
        } else {
            self.added.increment();
        }
    }
}

impl Named {
    /// All of them, as they are now.
    #[must_use]
    pub fn all(&self) -> BTreeMap<Arc<str>, Updates> {
        self.lock().clone()
    }

    pub(super) fn succeeded<'a>(&self, names: impl Iterator<Item = &'a Arc<str>>, version: &Arc<str>) {
        let mut all = self.lock();
        for name in names {
            if let Some(updates) = all.get_mut(name) {
                updates.success += 1;
                updates.version = Arc::clone(version);
            }
        }
    }

    /// A response was refused: everybody who waits for one of its kind has none.
    pub(super) fn refused(&self) {
        self.lock().values_mut().for_each(|updates| updates.rejected += 1);
    }

    pub(super) fn rotation_failed(&self, name: &str) {
        if let Some(updates) = self.lock().get_mut(name) {
            updates.rotations_failed += 1;
        }
    }

    pub(super) fn reloaded(&self, name: &str) {
        if let Some(updates) = self.lock().get_mut(name) {
            updates.reloads += 1;
        }
    }

    /// Counts these names from now on, for the connection managers of these prefixes, and forgets all others.
    pub(super) fn keep<'a>(&self, wanted: impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>)> + Clone) {
        let mut all = self.lock();
        // Mostly nothing has changed.
        if wanted.clone().count() == all.len() && wanted.clone().all(|(name, _)| all.contains_key(name)) {
            return;
        }
        let mut before = std::mem::take(&mut *all);
        for (name, prefix) in wanted {
            if all.contains_key(name) {
                continue;
            }
            let updates = before.remove(name).unwrap_or_else(|| Updates {
                prefix: Arc::clone(prefix),
                ..Updates::default()
            });
            all.insert(Arc::clone(name), updates);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Updates>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// A resource of a control plane was accepted, with these notes. What is said of unknown fields counts once, whichever
    /// resources have them.
    pub(super) fn noted(&self, notes: &[Note]) {
        for description in notes
            .iter()
            .filter_map(|note| note.what.strip_prefix(UNKNOWN_FIELDS))
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.len() < limits::UNKNOWN_FIELDS_COUNTED_MAX && told.insert(xxh3_64(description.as_bytes()))
            {
                self.unknown_fields.increment();
                tracing::warn!("Unknown field: {description}");
            }
        }
    }
}
