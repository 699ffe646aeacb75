//! Listeners: which accept, which warm until their routes and secrets are there, and what a change keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_proxy::listener::settings::ListenAddress;
use tidegate_proxy::route::RouteTable;

use super::outside::{Opening, Outside};
use super::view::{Entry, Origin, State};
use super::wording::{self, Failed};
use super::{Tools, record};
use crate::limits;
use crate::resource::{Gone, Kind, Raw, Update};
use crate::translate::listener::{ChainConfig, ListenerConfig, RouteSource};
use crate::translate::routes::RoutesConfig;
use crate::translate::secret::{SecretName, Secrets};
use crate::translate::{Context, Reject, listener as translate};

mod built;
mod version;

use built::Built;
use version::{Slot, Socket, Version};

/// What listeners need of other kinds.
pub(super) struct Needs<'a> {
    pub(super) secrets: &'a Secrets,
    /// Whether the routes of this name are there.
    pub(super) routes: &'a dyn Fn(&str) -> bool,
    /// The first cluster that inline routes name and that is not there, as Envoy says it.
    pub(super) unknown: &'a dyn Fn(&RoutesConfig) -> Option<String>,
    /// Whether listeners accept yet.
    pub(super) live: bool,
}

/// All listeners by name, static ones among them.
pub(super) struct Listeners {
    slots: BTreeMap<Arc<str>, Slot>,
    draining: Vec<Draining>,
    drain_time: Duration,
}

/// What a listener leaves behind for connections that it accepted.
struct Draining {
    entry: Arc<Entry>,
    config: Arc<ListenerConfig>,
    until: Instant,
}

impl Draining {
    /// The tables that its connections find their routes in.
    fn tables(&self) -> BTreeSet<&str> {
        self.config
            .chains()
            .map(|chain| &*chain.http.route_table)
            .collect()
    }
}

impl Listeners {
    pub(super) fn new(drain_time: Duration) -> Self {
        Self {
            slots: BTreeMap::new(),
            draining: Vec::new(),
            drain_time,
        }
    }

    /// Takes an update; says which resources were refused.
    ///
    /// # Errors
    /// When the whole response is refused; then nothing has changed.
    pub(super) fn apply<O: Outside>(
        &mut self,
        update: &Update,
        (context, needs): (&Context, &Needs<'_>),
        tools: &mut Tools<'_, O>,
    ) -> Result<Vec<Failed>, String> {
        let (mut failed, mut read) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for raw in &update.resources {
            if !seen.insert(&raw.name) {
                failed.push((
                    Arc::clone(&raw.name),
                    wording::duplicate(Kind::Listener, &raw.name),
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
            match translate::listener(&raw.body, context) {
                Ok(config) => read.push((raw, config)),
                Err(Reject::Message(why)) => return Err(why),
                Err(Reject::Resource(why)) => self.refuse(raw, why, &mut failed, tools),
            }
        }
        // As Envoy: removals first, so that a listener may have the address of one that is gone.
        for name in self.removed_by(update, &seen) {
            self.remove(&name, tools);
        }
        for (raw, config) in read {
            if let Err(why) = self.install(raw.clone(), config, Origin::Dynamic, needs, tools) {
                self.refuse(raw, why, &mut failed, tools);
            }
        }
        wording::in_order(&mut failed, update);
        Ok(failed)
    }

    /// Takes a listener of the bootstrap.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(super) fn add_static<O: Outside>(
        &mut self,
        raw: Raw,
        config: ListenerConfig,
        needs: &Needs<'_>,
        tools: &mut Tools<'_, O>,
    ) -> Result<(), String> {
        self.install(raw, config, Origin::Static, needs, tools)
    }

    fn is_static(&self, name: &str) -> bool {
        let slot = self.slots.get(name);
        let version = slot.and_then(|slot| slot.versions().next());
        version.is_some_and(|version| version.entry.origin == Origin::Static)
    }

    fn is_as_before(&self, raw: &Raw) -> bool {
        let slot = self.slots.get(&raw.name);
        let newest = slot.and_then(|slot| slot.warming.as_ref().or(slot.active.as_ref()));
        newest.is_some_and(|version| version.entry.raw.hash == raw.hash)
    }

    fn install<O: Outside>(
        &mut self,
        raw: Raw,
        config: ListenerConfig,
        origin: Origin,
        needs: &Needs<'_>,
        tools: &mut Tools<'_, O>,
    ) -> Result<(), String> {
        for routes in config.chains().filter_map(ChainConfig::inline) {
            if routes.validate_clusters.unwrap_or(true)
                && let Some(why) = (needs.unknown)(routes)
            {
                return Err(why);
            }
        }
        for tls in config.chains().filter_map(|chain| chain.tls.as_ref()) {
            tls.check_static(needs.secrets)
                .map_err(|reject| reject.to_string())?;
        }
        let name = Arc::clone(&raw.name);
        let sockets = self.sockets(&name, &config, tools)?;
        let notes = config.notes.clone();
        if origin == Origin::Dynamic {
            tools.changes.counts.noted(&notes);
        }
        let version = Version {
            entry: record::accepted(raw, origin, State::Warming, notes, tools.now),
            config: Arc::new(config),
            sockets,
            built: Built::default(),
            served: false,
            since: tools.now.at,
        };
        let slot = self.slots.entry(Arc::clone(&name)).or_default();
        slot.refused = None;
        tools
            .changes
            .counts
            .listeners
            .came(slot.versions().next().is_some());
        tools.changes.view.insert(Kind::Listener);
        let replaced = slot.warming.replace(version);
        slot.give_back(replaced.map(|replaced| replaced.sockets), tools);
        self.look_at(&name, needs, tools);
        Ok(())
    }

    /// The addresses of a new version: those that its listener has stay, others are taken now.
    fn sockets<O: Outside>(
        &self,
        name: &Arc<str>,
        config: &ListenerConfig,
        tools: &mut Tools<'_, O>,
    ) -> Result<Vec<Socket>, String> {
        if self.is_taken_by_another(name, config) {
            let addresses: Vec<_> = config.addresses.iter().map(|(at, _)| at.to_string()).collect();
            return Err(wording::duplicate_address(name, &addresses));
        }
        let own: Vec<&Socket> = self.slots.get(name).map_or_else(Vec::new, |slot| {
            slot.versions().flat_map(|version| &version.sockets).collect()
        });
        let (mut sockets, mut opened) = (Vec::new(), Vec::new());
        for (address, versions) in &config.addresses {
            let kept = own
                .iter()
                .find(|own| own.address == *address && own.versions == *versions);
            if let Some(kept) = kept {
                sockets.push((*kept).clone());
                continue;
            }
            let opening = Opening {
                listener: name,
                address,
                versions: *versions,
                config: &config.sockets,
                direction: config.direction,
            };
            match tools.outside.open(&opening) {
                Ok(id) => {
                    opened.push(id);
                    sockets.push(Socket {
                        address: address.clone(),
                        versions: *versions,
                        id,
                    });
                }
                Err(why) => {
                    opened.into_iter().for_each(|id| tools.outside.close(id));
                    return Err(wording::cannot_bind(address, &why));
                }
            }
        }
        Ok(sockets)
    }

    fn is_taken_by_another(&self, name: &str, config: &ListenerConfig) -> bool {
        let others = self.slots.iter().filter(|(other, _)| &***other != name);
        let mut taken = others.flat_map(|(_, slot)| slot.versions().flat_map(|version| &version.sockets));
        let is_fixed = |address: &ListenAddress| match address {
            ListenAddress::Tcp(address) => address.port() != 0,
            ListenAddress::Unix(_) => true,
        };
        taken.any(|socket| {
            let mut wanted = config.addresses.iter().map(|(address, _)| address);
            is_fixed(&socket.address) && wanted.any(|wanted| *wanted == socket.address)
        })
    }

    fn refuse<O>(&mut self, raw: &Raw, why: String, failed: &mut Vec<Failed>, tools: &mut Tools<'_, O>) {
        tools.changes.view.insert(Kind::Listener);
        let slot = self.slots.entry(Arc::clone(&raw.name)).or_default();
        match slot.warming.as_mut().or(slot.active.as_mut()) {
            Some(version) => {
                let failure = record::failure(raw.clone(), why.clone(), tools.now);
                record::with_error(&mut version.entry, Some(failure));
            }
            None => slot.refused = Some(record::refused(raw.clone(), why.clone(), tools.now)),
        }
        failed.push((Arc::clone(&raw.name), why));
    }

    fn forget_failure<O>(&mut self, raw: &Raw, tools: &mut Tools<'_, O>) {
        let slot = self.slots.get_mut(&raw.name);
        let version = slot.and_then(|slot| slot.warming.as_mut().or(slot.active.as_mut()));
        if let Some(version) = version
            && version.entry.error.is_some()
        {
            record::with_error(&mut version.entry, None);
            tools.changes.view.insert(Kind::Listener);
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

    fn remove<O: Outside>(&mut self, name: &Arc<str>, tools: &mut Tools<'_, O>) {
        let Some(mut slot) = self.slots.remove(name) else {
            return;
        };
        tools.changes.view.insert(Kind::Listener);
        if slot.versions().next().is_some() {
            tools.changes.counts.listeners.removed.increment();
        }
        let (active, warming) = (slot.active.take(), slot.warming.take());
        let sockets = active.iter().chain(&warming).flat_map(|version| &version.sockets);
        let ids: BTreeSet<_> = sockets.map(|socket| socket.id).collect();
        ids.into_iter().for_each(|id| tools.outside.close(id));
        if let Some(active) = active {
            self.leave_behind(&active, tools);
        }
    }

    /// Connections that `version` accepted need its routes until they are drained.
    fn leave_behind<O>(&mut self, version: &Version, tools: &mut Tools<'_, O>) {
        if version.served {
            let mut entry = Arc::clone(&version.entry);
            record::in_state(&mut entry, State::Draining);
            let draining = Draining {
                entry,
                config: Arc::clone(&version.config),
                until: tools.now.at + self.drain_time + limits::DRAIN_MARGIN,
            };
            // A control plane may change a listener as often as it likes: what a later one keeps is not kept twice.
            let (name, kept) = (&draining.entry.raw.name, draining.tables());
            self.draining
                .retain(|earlier| earlier.entry.raw.name != *name || !earlier.tables().is_subset(&kept));
            if self.draining.len() >= limits::DRAINING_LISTENERS_MAX {
                let earlier = self.draining.remove(0);
                tracing::warn!(
                    listener = %earlier.entry.raw.name,
                    "too many versions of listeners drain: requests on connections of the oldest find no route"
                );
            }
            self.draining.push(draining);
            tools.changes.view.insert(Kind::Listener);
        }
        tools.changes.snapshot = true;
    }

    /// Puts a version into force that has all it needs, and one that was not served yet as well.
    fn look_at<O: Outside>(&mut self, name: &Arc<str>, needs: &Needs<'_>, tools: &mut Tools<'_, O>) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let mut replaced = None;
        if let Some(mut version) = slot.warming.take() {
            if version.is_ready(needs, tools.now.at) && version.prepare(slot.active.as_ref(), needs) {
                record::in_state(&mut version.entry, State::Active);
                tools.changes.view.insert(Kind::Listener);
                tools.changes.snapshot = true;
                replaced = slot.active.replace(version);
            } else {
                slot.warming = Some(version);
            }
        }
        let active = slot.active.as_mut();
        if let Some(active) = active.filter(|active| needs.live && !active.served) {
            active.serve(tools);
        }
        // Only now: a new address that overlaps an old one takes its connections before that is closed.
        if let Some(replaced) = replaced {
            slot.give_back(Some(replaced.sockets.clone()), tools);
            let now = slot.active.as_ref();
            if now.is_some_and(|now| now.has_sockets_of(&replaced)) {
                tools.changes.counts.in_place.increment();
            }
            self.leave_behind(&replaced, tools);
        }
    }

    /// Secrets have changed: chains that speak TLS by one of them do so anew, and no others.
    pub(super) fn secrets_changed<O: Outside>(
        &mut self,
        changed: &BTreeSet<Arc<str>>,
        needs: &Needs<'_>,
        tools: &mut Tools<'_, O>,
    ) {
        let names: Vec<_> = self.slots.keys().cloned().collect();
        for name in &names {
            let slot = self.slots.get_mut(name);
            let active = slot.and_then(|slot| slot.active.as_mut());
            let concerned =
                active.filter(|active| active.secrets().any(|secret| changed.contains(&secret.name)));
            if let Some(active) = concerned
                && active.prepare(None, needs)
            {
                active.served = false;
            }
            self.look_at(name, needs, tools);
        }
    }

    /// Puts into force what has warmed, and forgets what has drained.
    pub(super) fn tick<O: Outside>(&mut self, needs: &Needs<'_>, tools: &mut Tools<'_, O>) {
        let waiting = self.slots.iter().filter(|(_, slot)| {
            slot.warming.is_some() || slot.active.as_ref().is_some_and(|active| !active.served)
        });
        let waiting: Vec<_> = waiting.map(|(name, _)| Arc::clone(name)).collect();
        for name in &waiting {
            self.look_at(name, needs, tools);
        }
        let before = self.draining.len();
        self.draining.retain(|draining| draining.until > tools.now.at);
        if self.draining.len() < before {
            tools.changes.view.insert(Kind::Listener);
            tools.changes.snapshot = true;
        }
    }

    /// Whether something holds the start up.
    pub(super) fn hold_start(&self, needs: &Needs<'_>, now: Instant) -> bool {
        let mut warming = self.slots.values().filter_map(|slot| slot.warming.as_ref());
        warming.any(|version| !version.is_ready(needs, now))
    }

    /// When time alone changes something.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let warming = self.slots.values().filter_map(|slot| slot.warming.as_ref());
        let deadlines = warming.flat_map(Version::deadlines).filter(|at| *at > now);
        deadlines
            .chain(self.draining.iter().map(|draining| draining.until))
            .min()
    }

    fn configs(&self) -> impl Iterator<Item = &Arc<ListenerConfig>> + Clone {
        let versions = self.slots.values().flat_map(Slot::versions);
        let draining = self.draining.iter().map(|draining| &draining.config);
        versions.map(|version| &version.config).chain(draining)
    }

    /// The names of all routes that are used, also by what drains.
    pub(super) fn routes(&self) -> impl Iterator<Item = &Arc<str>> {
        let chains = self.configs().flat_map(|config| config.chains());
        chains.filter_map(|chain| match &chain.routes {
            RouteSource::Rds { name, .. } => Some(name),
            RouteSource::Inline(_) | RouteSource::None => None,
        })
    }

    /// The names of all routes that are used, with the connection manager that uses them.
    pub(super) fn route_users(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> + Clone {
        let chains = self.configs().flat_map(|config| config.chains());
        chains.filter_map(|chain| match &chain.routes {
            RouteSource::Rds { name, .. } => Some((name, &chain.stat_prefix)),
            RouteSource::Inline(_) | RouteSource::None => None,
        })
    }

    /// The tables that listeners bring themselves.
    pub(super) fn tables(&self) -> impl Iterator<Item = (Arc<str>, Arc<RouteTable>)> {
        // Those that drain come first: of two of one name the last stays.
        let draining = self.draining.iter().map(|draining| &draining.config);
        let active = self.slots.values().filter_map(|slot| slot.active.as_ref());
        let configs = draining.chain(active.map(|version| &version.config));
        configs.flat_map(|config| config.chains()).filter_map(|chain| {
            let routes = chain.inline()?;
            Some((Arc::clone(&chain.http.route_table), Arc::clone(&routes.table)))
        })
    }

    /// The secrets that are used.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        let versions = self.slots.values().flat_map(Slot::versions);
        versions.flat_map(Version::secrets)
    }

    /// What is told of all.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        let slots = self.slots.values().flat_map(|slot| {
            let versions = slot.versions().map(|version| &version.entry);
            versions.chain(&slot.refused)
        });
        slots.chain(self.draining.iter().map(|draining| &draining.entry))
    }

    /// How many came dynamically.
    pub(super) fn dynamic(&self) -> usize {
        let versions = self.slots.values().filter_map(|slot| slot.versions().next());
        versions
            .filter(|version| version.entry.origin == Origin::Dynamic)
            .count()
    }
}
