//! What others may know of the store, and what of it outlives a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::counts::Counts;
use super::view::{Origin, State, View};
use super::{Stage, Store, Ticket};
use crate::client::Wanted;
use crate::resource::{Gone, Kind, Raw, Update};
use crate::translate::secret::SecretSource;

impl<O> Store<O> {
    /// Which names are wanted now.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The files that resources come from (`path_config_source`).
    pub fn files(&self) -> BTreeSet<(Kind, Arc<std::path::Path>)> {
        let used = self.books.clusters.secrets();
        let used = used.chain(self.books.listeners.secrets());
        let secrets = used.filter_map(|secret| match &secret.source {
            SecretSource::File(path) => Some((Kind::Secret, Arc::clone(path))),
            SecretSource::Static | SecretSource::Ads => None,
        });
        let endpoints = self.books.clusters.files();
        let endpoints = endpoints.map(|path| (Kind::Endpoints, Arc::clone(path)));
        secrets.chain(endpoints).collect()
    }

    /// How far the start has got.
    pub fn stage(&self) -> Stage {
        self.init.stage()
    }

    /// The update that waits for clusters.
    pub fn held(&self) -> Option<Ticket> {
        self.held.as_ref().map(|held| held.ticket)
    }

    /// What operators may see; follows every change.
    pub fn view(&self) -> &Arc<ArcSwap<View>> {
        &self.view
    }

    /// What has been counted; goes on while the store does.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.changes.counts
    }

    /// Grows with each change of what operators may see.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The world that it acts on.
    pub fn outside(&mut self) -> &mut O {
        &mut self.outside
    }

    /// What was accepted from control planes, newest versions, as [`Store::apply`] takes it in this order.
    pub fn accepted(&self) -> Vec<Update> {
        let view = self.view.load();
        let kinds = [
            Kind::Cluster,
            Kind::Endpoints,
            Kind::Listener,
            Kind::Secret,
            Kind::Routes,
        ];
        let update = |kind: Kind| {
            let mut newest: BTreeMap<&Arc<str>, &Raw> = BTreeMap::new();
            for entry in view.resources.get(&kind).into_iter().flatten() {
                let counts = matches!(entry.state, State::Active | State::Warming);
                if counts && entry.origin == Origin::Dynamic {
                    // What warms comes after what is in force.
                    newest.insert(&entry.raw.name, &entry.raw);
                }
            }
            Update {
                kind,
                version: self.versions.get(&kind).cloned().unwrap_or_default(),
                resources: newest.into_values().cloned().collect(),
                gone: Gone::Named(Vec::new()),
            }
        };
        kinds.into_iter().map(update).collect()
    }
}
