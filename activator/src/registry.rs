//! Which revisions are there? The map from a cluster's name to its revision.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;

use crate::{
    limits,
    parking::Parking,
    throttle::{Refusal, Revision},
};

/// All revisions of the process by [`Revision::key`]. Requests read it without a lock.
pub struct Registry {
    revisions: ArcSwap<HashMap<Arc<str>, Arc<Revision>>>,
    parking: Arc<Parking>,
}

/// When a client of a deleted revision may ask again: by then its route is gone, or points to another revision.
const DELETED_RETRY_AFTER: Duration = Duration::from_secs(1);

impl Registry {
    /// A registry without revisions. Together they park at most [`limits::PARKED_MAX`] requests with
    /// [`limits::PARKED_HEAD_BYTES_MAX`] bytes of heads.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with_parking(limits::PARKED_MAX, limits::PARKED_HEAD_BYTES_MAX)
    }

    /// As [`new`](Self::new), with other bounds.
    #[must_use]
    pub fn with_parking(parked_max: usize, head_bytes_max: usize) -> Arc<Self> {
        let parking = Parking::new(parked_max, head_bytes_max);
        Arc::new(Self {
            revisions: ArcSwap::default(),
            parking,
        })
    }

    /// Adds a revision, in place of one with the same key. Do this before routes send requests to it: a request
    /// whose revision is not here passes the activator untouched.
    pub fn insert(&self, revision: &Arc<Revision>) {
        self.revisions.rcu(|revisions| {
            let mut revisions = HashMap::clone(revisions);
            revisions.insert(Arc::clone(revision.key()), Arc::clone(revision));
            revisions
        });
    }

    /// Adds revisions, as [`insert`](Self::insert) adds one: the map of all is copied once.
    pub fn insert_all(&self, all: &[Arc<Revision>]) {
        self.revisions.rcu(|revisions| {
            let mut revisions = HashMap::clone(revisions);
            let added = all.iter().map(|one| (Arc::clone(one.key()), Arc::clone(one)));
            revisions.extend(added);
            revisions
        });
    }

    /// Takes a revision out and refuses what is parked for it. Its leases go on.
    pub fn remove(&self, key: &str) -> Option<Arc<Revision>> {
        self.remove_all(&[key]).pop()
    }

    /// Takes revisions out, as [`remove`](Self::remove) takes out one: the map of all is copied once.
    pub fn remove_all(&self, keys: &[&str]) -> Vec<Arc<Revision>> {
        let before = self.revisions.rcu(|revisions| {
            let mut revisions = HashMap::clone(revisions);
            for key in keys {
                revisions.remove(*key);
            }
            revisions
        });
        let removed = keys.iter().filter_map(|key| before.get(*key));
        let removed: Vec<_> = removed.map(Arc::clone).collect();
        for revision in &removed {
            let message = format!("revision {} was deleted", revision.key());
            revision.refuse(Refusal {
                message,
                retry_after: DELETED_RETRY_AFTER,
            });
        }
        removed
    }

    /// The revision with this key. Takes no lock.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Arc<Revision>> {
        self.revisions.load().get(key).map(Arc::clone)
    }

    /// All revisions now, in no order.
    #[must_use]
    pub fn revisions(&self) -> Vec<Arc<Revision>> {
        self.revisions.load().values().map(Arc::clone).collect()
    }

    /// How many requests are parked now, of all revisions.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.parking.requests()
    }

    pub(crate) fn parking(&self) -> &Arc<Parking> {
        &self.parking
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.revisions.load().iter()).finish()
    }
}
