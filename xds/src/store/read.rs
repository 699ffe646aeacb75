//! What others may know of the store, and what of it outlives a restart.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::counts::Counts;
use super::view::{Accepted, View};
use super::{Stage, Store, Ticket};
use crate::client::Wanted;
use crate::resource::Kind;
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

    /// What was accepted from control planes, newest versions, in the order in which [`Store::apply`] takes it.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.view.load().accepted()
    }
}
