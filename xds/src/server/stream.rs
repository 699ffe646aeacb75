//! One stream of one client as a pure state machine: requests and new resources in, responses out, in an order that makes before
//! it breaks.
//!
//! Of each kind at most one response is on its way: the next waits for its ACK or NACK, so that a slow client gets the newest
//! state and not all of those between. Changes of listeners and routes wait for the clusters that came before them, for at most
//! [`ORDER_WAIT`](crate::limits::ORDER_WAIT); what is to go goes when everything else was taken, in the opposite order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};

use super::resources::{Resource, Resources};
use crate::limits::ORDER_WAIT;
use crate::resource::Kind;

pub(super) mod refusal;
pub(super) mod subscription;

use self::subscription::{Phase, Subscription};

/// Which of the two protocols a stream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The state of the world: a response is all there is of its kind, or all that is new of it.
    Sotw,
    /// Changes only, with a version for each resource.
    Delta,
}

/// What one stream has told a client and heard from it.
#[derive(Debug)]
pub(super) struct Stream {
    protocol: Protocol,
    resources: Arc<Resources>,
    subscriptions: BTreeMap<Kind, Subscription>,
    nonces: u64,
}

/// A response, to be encoded as the stream's protocol has it.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) kind: Kind,
    pub(super) version: Box<str>,
    pub(super) nonce: u64,
    pub(super) resources: Vec<Arc<Resource>>,
    pub(super) removed: Vec<Arc<str>>,
    /// Whether what it lacks is gone.
    pub(super) whole: bool,
}

impl Stream {
    pub(super) fn new(protocol: Protocol, resources: Arc<Resources>) -> Self {
        Self {
            protocol,
            resources,
            subscriptions: BTreeMap::new(),
            nonces: 0,
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Takes a request of state of the world.
    pub(super) fn sotw(&mut self, kind: Kind, request: &DiscoveryRequest, now: Instant) {
        let set = self.resources.set(kind);
        let subscription = self
            .subscriptions
            .entry(kind)
            .or_insert_with(|| Subscription::new(kind));
        subscription.sotw(request, &set, &self.resources, now);
    }

    /// Takes a request of delta.
    pub(super) fn delta(&mut self, kind: Kind, request: &DeltaDiscoveryRequest, now: Instant) {
        let set = self.resources.set(kind);
        let subscription = self
            .subscriptions
            .entry(kind)
            .or_insert_with(|| Subscription::new(kind));
        subscription.delta(request, &set, &self.resources, now);
    }

    /// Goes on with other resources.
    pub(super) fn follow(&mut self, resources: Arc<Resources>) {
        for (kind, subscription) in &mut self.subscriptions {
            let same = Arc::ptr_eq(&self.resources.set(*kind), &resources.set(*kind));
            if !same || subscription.has_refused() {
                subscription.look_again();
            }
        }
        self.resources = resources;
    }

    /// What is to be sent now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Outgoing> {
        let mut due = Vec::new();
        for kind in Kind::ALL {
            let waits = matches!(kind, Kind::Listener | Kind::Routes);
            if !(waits && self.is_under_way(Kind::Cluster, now)) {
                due.extend(self.step(kind, Phase::Make, now));
            }
        }
        for kind in Kind::ALL.into_iter().rev() {
            if !Kind::ALL.into_iter().any(|other| self.is_under_way(other, now)) {
                due.extend(self.step(kind, Phase::Break, now));
            }
        }
        due
    }

    /// When to look again although nothing was heard.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waiting = self.subscriptions.values().filter_map(Subscription::sent_at);
        let order = waiting.map(|sent| sent + ORDER_WAIT);
        let refusals = self.subscriptions.values().filter_map(Subscription::retry_at);
        order.chain(refusals).min()
    }

    /// Takes note that a [`Self::deadline`] has passed.
    pub(super) fn wake(&mut self, now: Instant) {
        for subscription in self.subscriptions.values_mut() {
            subscription.wake(now);
        }
    }

    pub(super) fn subscriptions(&self) -> impl Iterator<Item = (Kind, &Subscription)> {
        self.subscriptions
            .iter()
            .map(|(kind, subscription)| (*kind, subscription))
    }

    fn is_under_way(&self, kind: Kind, now: Instant) -> bool {
        let subscription = self.subscriptions.get(&kind);
        let sent = subscription.and_then(Subscription::sent_at);
        sent.is_some_and(|sent| now < sent + ORDER_WAIT)
    }

    fn step(&mut self, kind: Kind, phase: Phase, now: Instant) -> Option<Outgoing> {
        let set = self.resources.set(kind);
        let subscription = self.subscriptions.get_mut(&kind)?;
        let mut outgoing = subscription.next(self.protocol, phase, &set, &self.resources, now)?;
        self.nonces += 1;
        outgoing.nonce = self.nonces;
        let is_new = |resource: &&Arc<Resource>| !subscription.holds(resource);
        let anew: Vec<_> = outgoing.resources.iter().filter(is_new).cloned().collect();
        subscription.sent(&outgoing, now);
        if kind == Kind::Cluster {
            self.endpoints_anew(&anew);
        }
        Some(outgoing)
    }

    /// A client that gets a changed cluster waits for its endpoints, also where those are the same as before.
    fn endpoints_anew(&mut self, clusters: &[Arc<Resource>]) {
        let Some(endpoints) = self.subscriptions.get_mut(&Kind::Endpoints) else {
            return;
        };
        for reference in clusters.iter().flat_map(|cluster| cluster.references()) {
            if reference.kind == Kind::Endpoints {
                endpoints.forget(&reference.name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
