//! Clusters: which are in force, which warm, and when a change needs a new one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tidegate_proxy::cluster::Cluster;

use super::endpoints::EndpointsBook;
use super::outside::Outside;
use super::view::{Entry, Origin, State};
use super::wording::{self, Failed};
use super::{Tools, record};
use crate::limits;
use crate::resource::{Gone, Kept, Kind, Raw, Update};
use crate::translate::cluster::ClusterConfig;
use crate::translate::secret::{SecretName, Secrets};
use crate::translate::{Context, Reject, cluster as translate};

mod alike;
mod version;

use alike::Alike;
use tidegate_proxy::process::give_way;
use version::{Facts, Slot, Version};

/// What clusters need of other kinds.
pub(super) struct Parts<'a> {
    pub(super) secrets: &'a Secrets,
    pub(super) endpoints: &'a EndpointsBook,
}

/// All clusters by name, static ones among them.
#[derive(Default)]
pub(super) struct Clusters {
    /// Each in a box: the tree has room for more than there are.
    slots: BTreeMap<Arc<str>, Box<Slot>>,
    warming: BTreeSet<Arc<str>>,
    /// The clusters that use the endpoints of a name.
    users: HashMap<Arc<str>, Users>,
    /// The files that endpoints come from.
    files: BTreeSet<Arc<Path>>,
    /// What was removed a moment ago: routes that go with it may still be on their way.
    lingering: Vec<(Arc<Cluster>, Instant)>,
    no_prefix: Arc<str>,
    alike: Alike,
}

/// Who uses the endpoints of a name.
#[derive(Default)]
struct Users {
    clusters: BTreeSet<Arc<str>>,
    by_control_plane: bool,
}

impl Clusters {
    /// Takes an update; says which resources were refused.
    ///
    /// # Errors
    /// When the whole response is refused; then nothing has changed.
    pub(super) fn apply<O: Outside>(
        &mut self,
        update: &Update,
        (context, parts): (&Context, &Parts<'_>),
        tools: &mut Tools<'_, O>,
    ) -> Result<Vec<Failed>, String> {
        let mut failed = Vec::new();
        let mut read = Vec::new();
        let mut seen = BTreeSet::new();
        for raw in &update.resources {
            give_way();
            if !seen.insert(&raw.name) {
                failed.push((
                    Arc::clone(&raw.name),
                    wording::duplicate(Kind::Cluster, &raw.name),
                ));
                continue;
            }
            if self.is_static(&raw.name) {
                continue;
            }
            if self.is_as_before(raw) {
                self.forget_failure(raw, tools);
                continue;
            }
            match translate::cluster(&raw.body, context) {
                Ok(config) => read.push((raw, config)),
                Err(Reject::Message(why)) => return Err(why),
                Err(Reject::Resource(why)) => self.refuse(raw.clone().into(), why, &mut failed, tools),
            }
        }
        let many = read.len() > self.slots.len() / limits::CHANGED_ONE_BY_ONE;
        for (raw, config) in read {
            give_way();
            if let Err(why) = self.install(raw.clone(), config, Origin::Dynamic, parts, tools) {
                self.refuse(raw.clone().into(), why, &mut failed, tools);
            }
        }
        for name in self.removed_by(update, &seen) {
            self.remove(&name, tools);
        }
        if many {
            // They came one by one, and mostly in order, which leaves each node of the tree half empty.
            self.slots = std::mem::take(&mut self.slots).into_iter().collect();
        }
        self.index();
        wording::in_order(&mut failed, update);
        Ok(failed)
    }

    /// Takes a cluster of the bootstrap.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(super) fn add_static<O: Outside>(
        &mut self,
        raw: Raw,
        config: ClusterConfig,
        parts: &Parts<'_>,
        tools: &mut Tools<'_, O>,
    ) -> Result<(), String> {
        if self.slots.contains_key(&raw.name) {
            return Err(format!("cluster manager: duplicate cluster '{}'", raw.name));
        }
        self.install(raw, config, Origin::Static, parts, tools)?;
        self.index();
        Ok(())
    }

    fn is_static(&self, name: &str) -> bool {
        let slot = self.slots.get(name);
        let version = slot.and_then(|slot| slot.active.as_ref().or(slot.warming.as_deref()));
        version.is_some_and(|version| version.entry.origin == Origin::Static)
    }

    fn is_as_before(&self, raw: &Raw) -> bool {
        let slot = self.slots.get(&raw.name);
        let newest = slot.and_then(|slot| slot.warming.as_deref().or(slot.active.as_ref()));
        newest.is_some_and(|version| version.entry.raw.hash == raw.hash)
    }

    /// Puts a version into force, or lets it warm.
    fn install<O: Outside>(
        &mut self,
        raw: Raw,
        mut config: ClusterConfig,
        origin: Origin,
        parts: &Parts<'_>,
        tools: &mut Tools<'_, O>,
    ) -> Result<(), String> {
        let name = Arc::clone(&raw.name);
        if config.settings.name == name {
            // One text for all who name it.
            config.settings.name = Arc::clone(&name);
        }
        self.alike.share(&mut config.settings);
        let notes = config.notes.clone();
        if origin == Origin::Dynamic {
            tools.changes.counts.noted(&notes);
        }
        let entry = record::accepted(raw, origin, State::Warming, notes, tools.now);
        let mut version = Version {
            entry,
            facts: Facts::of(&config),
            config: Some(Arc::new(config)),
            cluster: None,
            unfit: false,
            overprovisioning_percent: None,
            awaits_endpoints: None,
            holds_start: tools.now.at + limits::INITIAL_FETCH_TIMEOUT,
        };
        let before = self.slots.get(&name).and_then(|slot| slot.active.as_ref());
        let kept = before.and_then(|before| version.takes_over(before));
        if kept.is_some() {
            version.cluster = kept;
        } else {
            version.build(parts, tools)?;
        }
        tools.changes.counts.clusters.came(self.knows(&name));
        self.place(&name, version, tools);
        Ok(())
    }

    /// Puts a version where it belongs now.
    fn place<O: Outside>(&mut self, name: &Arc<str>, mut version: Version, tools: &mut Tools<'_, O>) {
        let slot = self.slots.entry(Arc::clone(name)).or_default();
        slot.refused = None;
        tools.changes.view.insert(Kind::Cluster);
        if version.is_ready(tools.now) {
            version.in_force();
            tools.changes.clusters.push(Arc::clone(name));
            tools.changes.snapshot |= !slot.active.as_ref().is_some_and(|old| old.is_same(&version));
            slot.active = Some(version);
            slot.warming = None;
            self.warming.remove(name);
            self.lingering.retain(|(cluster, _)| cluster.name() != name);
        } else {
            slot.warming = Some(Box::new(version));
            self.warming.insert(Arc::clone(name));
        }
    }

    fn refuse<O>(&mut self, raw: Kept, why: String, failed: &mut Vec<Failed>, tools: &mut Tools<'_, O>) {
        tools.changes.view.insert(Kind::Cluster);
        let name = Arc::clone(&raw.name);
        let slot = self.slots.entry(Arc::clone(&name)).or_default();
        match slot.warming.as_deref_mut().or(slot.active.as_mut()) {
            Some(version) => {
                let failure = record::failure(raw, why.clone(), tools.now);
                record::with_error(&mut version.entry, Some(failure));
            }
            None => slot.refused = Some(record::refused(raw, why.clone(), tools.now)),
        }
        failed.push((name, why));
    }

    fn forget_failure<O>(&mut self, raw: &Raw, tools: &mut Tools<'_, O>) {
        let slot = self.slots.get_mut(&raw.name);
        let version = slot.and_then(|slot| slot.warming.as_deref_mut().or(slot.active.as_mut()));
        if let Some(version) = version
            && version.entry.error.is_some()
        {
            record::with_error(&mut version.entry, None);
            tools.changes.view.insert(Kind::Cluster);
        }
    }

    fn removed_by(&self, update: &Update, seen: &BTreeSet<&Arc<str>>) -> Vec<Arc<str>> {
        let removed: Vec<Arc<str>> = match &update.gone {
            Gone::Rest => {
                let names = self.slots.keys().filter(|name| !seen.contains(name));
                names.cloned().collect()
            }
            Gone::Named(names) => names.clone(),
        };
        let dynamic = removed.into_iter().filter(|name| !self.is_static(name));
        dynamic.collect()
    }

    fn remove<O>(&mut self, name: &Arc<str>, tools: &mut Tools<'_, O>) {
        let Some(slot) = self.slots.remove(name) else {
            return;
        };
        tools.changes.view.insert(Kind::Cluster);
        if slot.versions().next().is_some() {
            tools.changes.counts.clusters.removed.increment();
        }
        self.warming.remove(name);
        if let Some(cluster) = slot.active.and_then(|active| active.cluster) {
            self.lingering
                .push((cluster, tools.now.at + limits::CLUSTERS_LINGER));
        }
    }

    fn index(&mut self) {
        self.users.clear();
        self.files.clear();
        self.alike.tidy();
        for (name, slot) in &self.slots {
            give_way();
            for version in slot.versions() {
                if let Some((service, file)) = version.eds() {
                    let users = self.users.entry(Arc::clone(service)).or_default();
                    users.clusters.insert(Arc::clone(name));
                    match file {
                        Some(file) => _ = self.files.insert(Arc::clone(file)),
                        None => users.by_control_plane = true,
                    }
                }
            }
        }
    }

    /// Endpoints of this name have come, or it was said that there are none.
    pub(super) fn endpoints_came<O: Outside>(
        &mut self,
        service: &str,
        parts: &Parts<'_>,
        tools: &mut Tools<'_, O>,
    ) {
        let known = parts.endpoints.get(service);
        let users = self.users.get(service).map(|users| users.clusters.clone());
        for name in &users.unwrap_or_default() {
            let Some(slot) = self.slots.get_mut(name) else {
                continue;
            };
            for version in slot.active.iter_mut().chain(slot.warming.as_deref_mut()) {
                version.awaits_endpoints = None;
                if let (Some(cluster), Some(known)) = (&version.cluster, known) {
                    cluster.set_endpoints(known.endpoints.clone());
                    tools.changes.clusters.push(Arc::clone(name));
                }
            }
            let percent = known.and_then(|known| known.overprovisioning_percent);
            if slot
                .versions()
                .any(|version| version.overprovisioning_percent != percent)
            {
                self.renew(name, parts, tools);
            }
            self.look_at(name, parts, tools);
        }
    }

    /// Secrets have changed: what speaks TLS by one of them does so anew.
    pub(super) fn secrets_changed<O: Outside>(
        &mut self,
        changed: &BTreeSet<Arc<str>>,
        parts: &Parts<'_>,
        tools: &mut Tools<'_, O>,
    ) {
        let named = |version: &Version| {
            let mut secrets = version.secrets();
            secrets.any(|secret| changed.contains(&secret.name))
        };
        let concerned: Vec<Arc<str>> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.versions().any(named))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for name in &concerned {
            self.renew(name, parts, tools);
        }
    }

    /// Builds the newest version of a cluster again.
    fn renew<O: Outside>(&mut self, name: &Arc<str>, parts: &Parts<'_>, tools: &mut Tools<'_, O>) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let Some(newest) = slot.warming.as_deref().or(slot.active.as_ref()) else {
            return;
        };
        let Some(mut version) = newest.afresh(tools.now) else {
            return;
        };
        match version.build(parts, tools) {
            Ok(()) => self.place(name, version, tools),
            Err(why) => {
                let raw = newest.entry.raw.clone();
                tracing::warn!(cluster = %name, why, "a changed secret does not fit: the cluster stays as it is");
                if let Some(warming) = &mut slot.warming {
                    warming.unfit = true;
                }
                self.refuse(raw, why, &mut Vec::new(), tools);
            }
        }
    }

    /// Puts into force what has warmed.
    pub(super) fn tick<O: Outside>(&mut self, parts: &Parts<'_>, tools: &mut Tools<'_, O>) {
        for name in self.warming.clone() {
            self.look_at(&name, parts, tools);
        }
        let (changes, now) = (&mut *tools.changes, tools.now.at);
        self.lingering.retain(|(cluster, until)| {
            let lingers = *until > now;
            if !lingers {
                changes.snapshot = true;
                changes.clusters.push(Arc::clone(cluster.name()));
            }
            lingers
        });
    }

    fn look_at<O: Outside>(&mut self, name: &Arc<str>, parts: &Parts<'_>, tools: &mut Tools<'_, O>) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let Some(mut version) = slot.warming.take() else {
            return;
        };
        if version.cluster.is_none()
            && !version.unfit
            && let Err(why) = version.build(parts, tools)
        {
            tracing::warn!(cluster = %name, why, "a cluster cannot be put into force");
            version.is_unfit(why, tools);
        }
        if version.is_ready(tools.now) {
            self.place(name, *version, tools);
        } else {
            slot.warming = Some(version);
        }
    }

    /// Whether something holds the start up.
    pub(super) fn hold_start(&self, now: Instant) -> bool {
        let mut warming = self.warming.iter().filter_map(|name| self.slots.get(name));
        warming.any(|slot| slot.warming.as_ref().is_some_and(|one| one.holds_start > now))
    }

    /// When time alone changes something.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let warming = self.warming.iter().filter_map(|name| self.slots.get(name));
        let warming = warming.filter_map(|slot| slot.warming.as_deref()).map(|version| {
            match version.awaits_endpoints {
                Some(until) => until.unwrap_or(version.holds_start).max(now),
                // Look-ups and checks do not say when they are done.
                None if version.cluster.is_some() => now + limits::WARMING_POLL,
                None => version.holds_start,
            }
        });
        let later = warming.filter(|at| *at > now);
        later.chain(self.lingering.iter().map(|(_, until)| *until)).min()
    }

    /// Whether there is a cluster of this name, also one that warms.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.slots
            .get(name)
            .is_some_and(|slot| slot.versions().next().is_some())
    }

    /// The clusters of a snapshot.
    pub(super) fn published(&self) -> impl Iterator<Item = Arc<Cluster>> {
        let slots = self.slots.values().inspect(|_| give_way());
        let active = slots.filter_map(|slot| slot.active.as_ref());
        let lingering = self.lingering.iter().map(|(cluster, _)| Arc::clone(cluster));
        lingering.chain(active.filter_map(|version| version.cluster.clone()))
    }

    /// The cluster of this name that takes requests, if there is one.
    pub(super) fn in_force(&self, name: &str) -> Option<&Arc<Cluster>> {
        let slot = self.slots.get(name);
        let active = slot.and_then(|slot| slot.active.as_ref()?.cluster.as_ref());
        let mut lingering = self.lingering.iter().map(|(cluster, _)| cluster);
        active.or_else(|| lingering.find(|cluster| &**cluster.name() == name))
    }

    /// The names of all endpoints that are used, and whether they come from the control plane.
    pub(super) fn services(&self) -> impl Iterator<Item = (&Arc<str>, bool)> {
        let users = self.users.iter().inspect(|_| give_way());
        users.map(|(name, users)| (name, users.by_control_plane))
    }

    /// The clusters that use the endpoints of this name.
    pub(super) fn users_of(&self, service: &str) -> impl Iterator<Item = &Arc<str>> {
        self.users
            .get(service)
            .into_iter()
            .flat_map(|users| &users.clusters)
    }

    /// The clusters whose endpoints come apart from them; nothing of a connection manager is theirs.
    pub(super) fn endpoint_users(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> + Clone {
        let users = self.users.values().inspect(|_| give_way());
        users.flat_map(|users| users.clusters.iter().map(|cluster| (cluster, &self.no_prefix)))
    }

    /// The files that endpoints come from.
    pub(super) fn files(&self) -> impl Iterator<Item = &Arc<Path>> {
        self.files.iter()
    }

    /// The secrets that are used.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        let slots = self.slots.values().inspect(|_| give_way());
        let versions = slots.flat_map(|slot| slot.versions());
        versions.flat_map(Version::secrets)
    }

    /// What is told of all.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        let slots = self.slots.values().inspect(|_| give_way());
        slots.flat_map(|slot| {
            let versions = slot.versions().map(|version| &version.entry);
            versions.chain(&slot.refused)
        })
    }

    /// How many came dynamically.
    pub(super) fn dynamic(&self) -> usize {
        let entries = self.entries().filter(|entry| entry.state != State::Refused);
        entries.filter(|entry| entry.origin == Origin::Dynamic).count()
    }
}
