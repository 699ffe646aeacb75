//! What a client wants, has and refuses of one kind of resources.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::refusal::{Refusal, blamed, context};
use super::{Outgoing, Protocol};
use crate::resource::Kind;
use crate::server::resources::{Resource, Resources, Set, version_of};

mod request;

/// Whether a step adds and changes, or removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Make,
    Break,
}

/// What a client wants, has and refuses of one kind.
#[derive(Debug)]
pub(crate) struct Subscription {
    kind: Kind,
    /// Whether all are wanted.
    wildcard: bool,
    /// Which are wanted by name.
    names: BTreeSet<Arc<str>>,
    /// Whether names were ever said: then none means none, no longer all.
    has_named: bool,
    /// What the client has, as far as is known.
    held: HashMap<Arc<str>, Held>,
    /// Names that it was told there is nothing of.
    absent: BTreeSet<Arc<str>>,
    /// What it is to be told once more that there is nothing of.
    denied: BTreeSet<Arc<str>>,
    /// Whether it waits for an answer, even for one with nothing in it.
    owed: bool,
    in_flight: Option<InFlight>,
    nonce: Option<u64>,
    refused: BTreeMap<Arc<str>, Refusal>,
    refused_whole: Option<Refusal>,
    /// Whether anything changed since there was nothing to send.
    unsettled: bool,
    accepted: Option<Box<str>>,
    sent: u64,
    error: Option<Arc<str>>,
}

/// A resource that the client has.
#[derive(Clone, Debug)]
struct Held {
    hash: u128,
    /// Itself, where this stream has sent it.
    resource: Option<Arc<Resource>>,
}

/// A response that was neither accepted nor refused yet.
#[derive(Debug)]
struct InFlight {
    at: Instant,
    /// Whether others have waited long enough for it.
    overdue: bool,
    version: Box<str>,
    hash: u128,
    resources: Vec<Arc<Resource>>,
    removed: Vec<Arc<str>>,
    /// Whether it was all there is.
    whole: bool,
}

impl Subscription {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            wildcard: false,
            names: BTreeSet::new(),
            has_named: false,
            held: HashMap::new(),
            absent: BTreeSet::new(),
            denied: BTreeSet::new(),
            owed: false,
            in_flight: None,
            nonce: None,
            refused: BTreeMap::new(),
            refused_whole: None,
            unsettled: true,
            accepted: None,
            sent: 0,
            error: None,
        }
    }

    /// The version that the client last accepted.
    pub(crate) fn accepted(&self) -> Option<&str> {
        self.accepted.as_deref()
    }

    /// How many resources were sent, those that were sent again counted again.
    pub(crate) fn sent_count(&self) -> u64 {
        self.sent
    }

    /// What it said when it last refused something, until it accepts a response.
    pub(crate) fn error(&self) -> Option<&Arc<str>> {
        self.error.as_ref()
    }

    /// The resources that are kept from it because it refused them.
    pub(crate) fn refused(&self) -> impl Iterator<Item = &Arc<str>> {
        self.refused.keys()
    }

    /// Whether a response is on its way.
    pub(crate) fn is_waiting(&self) -> bool {
        self.in_flight.is_some()
    }

    pub(super) fn has_refused(&self) -> bool {
        !self.refused.is_empty() || self.refused_whole.is_some()
    }

    pub(super) fn look_again(&mut self) {
        self.unsettled = true;
    }

    /// When the response was sent that others wait for.
    pub(super) fn sent_at(&self) -> Option<Instant> {
        let waited_for = self.in_flight.as_ref().filter(|in_flight| !in_flight.overdue);
        waited_for.map(|in_flight| in_flight.at)
    }

    /// When something refused is tried again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        let all = self.refused.values().chain(&self.refused_whole);
        let pending = all.filter(|_| !self.unsettled && self.in_flight.is_none());
        pending.map(Refusal::until).min()
    }

    pub(super) fn wake(&mut self, now: Instant) {
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.overdue |= now >= in_flight.at + crate::limits::ORDER_WAIT;
        }
        let mut refusals = self.refused.values().chain(&self.refused_whole);
        self.unsettled |= refusals.any(|refusal| refusal.until() <= now);
    }

    pub(super) fn holds(&self, resource: &Resource) -> bool {
        let held = self.held.get(resource.name());
        held.is_some_and(|held| held.hash == resource.hash())
    }

    /// What the client has of this name is of no use to it any more.
    pub(super) fn forget(&mut self, name: &str) {
        self.unsettled |= self.held.remove(name).is_some();
    }

    /// The next response, if there is something to say. Its nonce is the caller's to give.
    pub(super) fn next(
        &mut self,
        protocol: Protocol,
        phase: Phase,
        set: &Set,
        resources: &Resources,
        now: Instant,
    ) -> Option<Outgoing> {
        if self.in_flight.is_some() || !self.unsettled {
            return None;
        }
        let whole = protocol == Protocol::Sotw && self.kind.is_wildcard();
        let choice = Choice {
            subscription: self,
            set,
            resources,
            now,
        };
        let outgoing = match (protocol, phase) {
            (Protocol::Sotw, _) if whole => choice.world(phase),
            (Protocol::Sotw, Phase::Make) => choice.news(),
            (Protocol::Sotw, Phase::Break) => None,
            (Protocol::Delta, Phase::Make) => choice.additions(),
            (Protocol::Delta, Phase::Break) => choice.removals(),
        };
        let outgoing = outgoing.filter(|outgoing| {
            let refused = self.refused_whole.as_ref();
            !refused.is_some_and(|refused| refused.holds_back(content(outgoing), 0, now))
        });
        if phase == Phase::Break && outgoing.is_none() {
            self.settle(now);
        }
        outgoing
    }

    /// There is nothing to say until something changes.
    fn settle(&mut self, now: Instant) {
        self.unsettled = false;
        // Whose time has come and is not there to be tried any more.
        self.refused.retain(|_, refusal| refusal.until() > now);
        self.refused_whole = self.refused_whole.filter(|refusal| refusal.until() > now);
    }

    /// Takes note of a response that is on its way.
    pub(super) fn sent(&mut self, outgoing: &Outgoing, now: Instant) {
        self.nonce = Some(outgoing.nonce);
        self.owed = false;
        self.sent += outgoing.resources.len() as u64;
        for name in &outgoing.removed {
            self.denied.remove(name);
        }
        self.in_flight = Some(InFlight {
            at: now,
            overdue: false,
            version: outgoing.version.clone(),
            hash: content(outgoing),
            resources: outgoing.resources.clone(),
            removed: outgoing.removed.clone(),
            whole: outgoing.whole,
        });
    }

    /// The client has taken what is on its way.
    fn accept(&mut self) {
        let Some(in_flight) = self.in_flight.take() else {
            return;
        };
        self.unsettled = true;
        self.error = None;
        self.accepted = Some(in_flight.version);
        self.refused_whole = None;
        if in_flight.whole {
            self.held.clear();
        }
        for resource in in_flight.resources {
            let held = Held {
                hash: resource.hash(),
                resource: Some(Arc::clone(&resource)),
            };
            self.absent.remove(resource.name());
            if self
                .refused
                .get(resource.name())
                .is_some_and(|refusal| refusal.is_of(resource.hash()))
            {
                self.refused.remove(resource.name());
            }
            self.held.insert(Arc::clone(resource.name()), held);
        }
        for name in in_flight.removed {
            self.held.remove(&name);
            self.absent.insert(name);
        }
    }

    /// The client has refused what is on its way, or a part of it.
    fn refuse(&mut self, message: &str, resources: &Resources, now: Instant) {
        let Some(in_flight) = self.in_flight.take() else {
            return;
        };
        self.unsettled = true;
        self.error = Some(message.into());
        let mut blamed = blamed(message, &in_flight.resources);
        // What it has and got once more is not what it refuses.
        blamed.retain(|name| {
            let sent = in_flight.resources.iter().find(|sent| sent.name() == name);
            sent.is_some_and(|sent| !self.holds(sent))
        });
        if blamed.is_empty() {
            let refusal = Refusal::next(self.refused_whole.as_ref(), in_flight.hash, 0, now);
            self.refused_whole = Some(refusal);
            return;
        }
        for sent in &in_flight.resources {
            if blamed.contains(sent.name()) {
                let before = self.refused.get(sent.name());
                let refusal = Refusal::next(before, sent.hash(), context(sent, resources), now);
                self.refused.insert(Arc::clone(sent.name()), refusal);
            }
        }
    }
}

/// What tells one response from another.
fn content(outgoing: &Outgoing) -> u128 {
    let removed = outgoing.removed.iter().map(|name| name.as_bytes());
    let removed: Vec<u8> = removed.collect::<Vec<_>>().join(&0);
    xxhash_rust::xxh3::xxh3_128(&removed)
        ^ crate::server::resources::hash_of(&version_of(&outgoing.resources)).unwrap_or_default()
}

/// What to choose a response from.
struct Choice<'a> {
    subscription: &'a Subscription,
    set: &'a Set,
    resources: &'a Resources,
    now: Instant,
}

impl Choice<'_> {
    /// All that is wanted and there.
    fn wanted(&self) -> Vec<&Arc<Resource>> {
        if self.subscription.wildcard {
            return self.set.all().collect();
        }
        let names = self.subscription.names.iter();
        names.filter_map(|name| self.set.get(name)).collect()
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.subscription.wildcard || self.subscription.names.contains(name)
    }

    /// Whether the client has refused this, and it is not yet time to try again.
    fn is_refused(&self, resource: &Resource) -> bool {
        let refusal = self.subscription.refused.get(resource.name());
        refusal.is_some_and(|refusal| {
            refusal.holds_back(resource.hash(), context(resource, self.resources), self.now)
        })
    }

    /// All there is; before anything is removed, with what is to go.
    fn world(&self, phase: Phase) -> Option<Outgoing> {
        let held = &self.subscription.held;
        let last = |name: &Arc<str>| held.get(name)?.resource.clone();
        let mut all = Vec::new();
        for resource in self.wanted() {
            if self.is_refused(resource) {
                // Left out, it would be deleted.
                all.extend(last(resource.name()));
            } else {
                all.push(Arc::clone(resource));
            }
        }
        if phase == Phase::Make {
            let going = held
                .keys()
                .filter(|name| self.is_wanted(name) && self.set.get(name).is_none());
            all.extend(going.filter_map(last));
        }
        let same = all.len() == held.len() && all.iter().all(|resource| self.subscription.holds(resource));
        if same && !self.subscription.owed {
            return None;
        }
        all.sort_unstable_by(|one, other| one.name().cmp(other.name()));
        let version = version_of(&all);
        Some(self.response(version, all, Vec::new(), true))
    }

    /// What the client lacks, in a response that says nothing about the rest.
    fn news(&self) -> Option<Outgoing> {
        let news = self.lacking();
        let nothing = news.is_empty() && !self.subscription.owed;
        (!nothing).then(|| self.response(self.set.version().into(), news, Vec::new(), false))
    }

    fn additions(&self) -> Option<Outgoing> {
        let news = self.lacking();
        let subscription = self.subscription;
        let unknown = subscription.names.iter().filter(|name| {
            let known = self.set.get(name).is_some() || subscription.held.contains_key(*name);
            !known && !subscription.absent.contains(*name)
        });
        let denied = subscription
            .denied
            .iter()
            .filter(|name| self.set.get(name).is_none());
        let removed: BTreeSet<_> = unknown.chain(denied).cloned().collect();
        let nothing = news.is_empty() && removed.is_empty() && !subscription.owed;
        let removed = removed.into_iter().collect();
        (!nothing).then(|| self.response(self.set.version().into(), news, removed, false))
    }

    fn removals(&self) -> Option<Outgoing> {
        let held = self.subscription.held.keys();
        let mut gone: Vec<_> = held
            .filter(|name| self.set.get(name).is_none())
            .cloned()
            .collect();
        gone.sort_unstable();
        (!gone.is_empty()).then(|| self.response(self.set.version().into(), Vec::new(), gone, false))
    }

    fn lacking(&self) -> Vec<Arc<Resource>> {
        let wanted = self.wanted().into_iter();
        wanted
            .filter(|resource| !self.subscription.holds(resource) && !self.is_refused(resource))
            .cloned()
            .collect()
    }

    fn response(
        &self,
        version: Box<str>,
        resources: Vec<Arc<Resource>>,
        removed: Vec<Arc<str>>,
        whole: bool,
    ) -> Outgoing {
        Outgoing {
            kind: self.subscription.kind,
            version,
            nonce: 0,
            resources,
            removed,
            whole,
        }
    }
}
