//! Endpoints that come apart from their clusters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_proxy::process::give_way;

use super::view::{Entry, Origin, State};
use super::wording::Failed;
use super::{Changes, Now, record};
use crate::resource::{Kind, Update};
use crate::translate::endpoints::{self as translate, EndpointsConfig};
use crate::translate::{Context, Reject};

/// All endpoints by the name that clusters subscribe to.
#[derive(Default)]
pub(super) struct EndpointsBook {
    known: BTreeMap<Arc<str>, Known>,
}

#[derive(Default)]
struct Known {
    entry: Option<Arc<Entry>>,
    refused: Option<Arc<Entry>>,
    config: Option<EndpointsConfig>,
}

impl EndpointsBook {
    /// Takes what is wanted of an update; says which names have something new, and which were refused.
    ///
    /// # Errors
    /// When the whole response is refused; then nothing has changed.
    pub(super) fn apply(
        &mut self,
        update: &Update,
        wanted: &BTreeSet<Arc<str>>,
        context: &Context,
        (changes, now): (&mut Changes, Now),
    ) -> Result<(Vec<Arc<str>>, Vec<Failed>), String> {
        let (mut read, mut failed) = (Vec::new(), Vec::new());
        let wanted = update.resources.iter().filter(|raw| wanted.contains(&raw.name));
        for raw in wanted {
            give_way();
            let known = self.known.get_mut(&raw.name);
            if let Some(entry) = known.and_then(|known| known.entry.as_mut())
                && entry.raw.hash == raw.hash
            {
                record::with_error(entry, None);
                continue;
            }
            match translate::endpoints(&raw.body, context) {
                Ok(config) if config.name != raw.name => {
                    let (expected, name) = (&raw.name, &config.name);
                    let why = format!("Unexpected EDS cluster (expecting {expected}): {name}");
                    failed.push((raw, why));
                }
                Ok(config) => read.push((raw, config)),
                Err(Reject::Message(why)) => return Err(why),
                Err(Reject::Resource(why)) => failed.push((raw, why)),
            }
        }
        let mut came = Vec::new();
        for (raw, config) in read {
            give_way();
            came.push(Arc::clone(&raw.name));
            let known = self.known.entry(Arc::clone(&raw.name)).or_default();
            changes.view.insert(Kind::Endpoints);
            changes.counts.noted(&config.notes);
            known.refused = None;
            let (raw, notes) = (raw.clone(), config.notes.clone());
            known.config = Some(config);
            known.entry = Some(record::accepted(raw, Origin::Dynamic, State::Active, notes, now));
        }
        let failed = failed.into_iter().map(|(raw, why)| {
            changes.view.insert(Kind::Endpoints);
            let known = self.known.entry(Arc::clone(&raw.name)).or_default();
            match &mut known.entry {
                Some(entry) => {
                    record::with_error(entry, Some(record::failure(raw.clone(), why.clone(), now)));
                }
                None => known.refused = Some(record::refused(raw.clone(), why.clone(), now)),
            }
            (Arc::clone(&raw.name), why)
        });
        Ok((came, failed.collect()))
    }

    /// The endpoints of this name, where they are known.
    pub(super) fn get(&self, name: &str) -> Option<&EndpointsConfig> {
        self.known.get(name)?.config.as_ref()
    }

    /// Forgets what nobody wants any more.
    pub(super) fn keep(&mut self, wanted: &BTreeSet<Arc<str>>, changes: &mut Changes) {
        let before = self.known.len();
        self.known.retain(|name, _| wanted.contains(name));
        if self.known.len() < before {
            changes.view.insert(Kind::Endpoints);
        }
    }

    /// What is told of all.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.known
            .values()
            .flat_map(|known| known.entry.iter().chain(&known.refused))
    }
}
