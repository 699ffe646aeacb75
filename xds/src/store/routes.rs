//! Route configurations that come apart from their listeners, and those that wait for clusters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_proxy::route::RouteTable;

use super::view::{Entry, Origin, State};
use super::wording::Failed;
use super::{Changes, Now, record};
use crate::resource::{Kind, Raw, Update};
use crate::translate::routes::RoutesConfig;
use crate::translate::{Context, Reject, routes as translate};

/// All route configurations by name.
#[derive(Default)]
pub(super) struct RouteBook {
    known: BTreeMap<Arc<str>, Known>,
}

#[derive(Default)]
struct Known {
    accepted: Option<(Arc<Entry>, RoutesConfig)>,
    refused: Option<Arc<Entry>>,
}

/// An update that was read, and what is left to do of it.
#[derive(Default)]
pub(super) struct Read {
    resources: Vec<(Raw, Result<RoutesConfig, String>)>,
}

impl RouteBook {
    /// Reads what is wanted of an update and has changed.
    ///
    /// # Errors
    /// When the whole response is refused.
    pub(super) fn read(
        &mut self,
        update: &Update,
        wanted: &BTreeSet<Arc<str>>,
        context: &Context,
        changes: &mut Changes,
    ) -> Result<Read, String> {
        let mut read = Read::default();
        let before = self.known.values().filter_map(|known| known.accepted.as_ref());
        let before: Vec<RoutesConfig> = before.map(|(_, config)| config.clone()).collect();
        let mut made = translate::Shared::default();
        for raw in update.resources.iter().filter(|raw| wanted.contains(&raw.name)) {
            let known = self.known.get_mut(&raw.name);
            if let Some((entry, _)) = known.and_then(|known| known.accepted.as_mut())
                && entry.raw.hash == raw.hash
            {
                if entry.error.is_some() {
                    record::with_error(entry, None);
                    changes.view.insert(Kind::Routes);
                }
                continue;
            }
            let others = read.resources.iter().filter_map(|(_, read)| read.as_ref().ok());
            let shared: Vec<&RoutesConfig> = before.iter().chain(others).collect();
            match translate::sharing(&raw.body, &shared, &mut made, context) {
                Ok(config) => read.resources.push((raw.clone(), Ok(config))),
                Err(Reject::Message(why)) => return Err(why),
                Err(Reject::Resource(why)) => read.resources.push((raw.clone(), Err(why))),
            }
        }
        Ok(read)
    }

    /// Puts into force what was read; says what was refused, also because `unknown` finds a cluster that is not there.
    pub(super) fn take(
        &mut self,
        read: Read,
        unknown: impl Fn(&RoutesConfig) -> Option<String>,
        (changes, now): (&mut Changes, Now),
    ) -> Vec<Failed> {
        let mut failed = Vec::new();
        for (raw, config) in read.resources {
            changes.view.insert(Kind::Routes);
            let name = Arc::clone(&raw.name);
            let known = self.known.entry(Arc::clone(&name)).or_default();
            let config = config.and_then(|config| match unknown(&config) {
                Some(why) => Err(why),
                None => Ok(config),
            });
            match config {
                Ok(config) => {
                    changes.snapshot = true;
                    changes.counts.noted(&config.notes);
                    changes.counts.routes.reloaded(&name);
                    known.refused = None;
                    let notes = config.notes.clone();
                    let entry = record::accepted(raw, Origin::Dynamic, State::Active, notes, now);
                    known.accepted = Some((entry, config));
                }
                Err(why) => {
                    match &mut known.accepted {
                        Some((entry, _)) => {
                            record::with_error(entry, Some(record::failure(raw, why.clone(), now)));
                        }
                        None => known.refused = Some(record::refused(raw, why.clone(), now)),
                    }
                    failed.push((name, why));
                }
            }
        }
        failed
    }

    /// Whether the routes of this name are there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.known.get(name).is_some_and(|known| known.accepted.is_some())
    }

    /// Forgets what nobody wants any more.
    pub(super) fn keep(&mut self, wanted: &BTreeSet<Arc<str>>, changes: &mut Changes) {
        let before = self.known.len();
        self.known.retain(|name, _| wanted.contains(name));
        if self.known.len() < before {
            changes.view.insert(Kind::Routes);
            changes.snapshot = true;
        }
    }

    /// The tables of a snapshot.
    pub(super) fn tables(&self) -> impl Iterator<Item = (Arc<str>, Arc<RouteTable>)> {
        self.known.iter().filter_map(|(name, known)| {
            let (_, config) = known.accepted.as_ref()?;
            Some((Arc::clone(name), Arc::clone(&config.table)))
        })
    }

    /// What is told of all.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.known.values().flat_map(|known| {
            let accepted = known.accepted.iter().map(|(entry, _)| entry);
            accepted.chain(&known.refused)
        })
    }
}

impl Read {
    /// What has changed.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.resources.iter().map(|(raw, _)| &raw.name)
    }

    /// Whether a cluster that it needs is not there.
    pub(super) fn lacks(&self, unknown: impl Fn(&RoutesConfig) -> Option<String>) -> bool {
        let configs = self
            .resources
            .iter()
            .filter_map(|(_, config)| config.as_ref().ok());
        configs.into_iter().any(|config| unknown(config).is_some())
    }
}
