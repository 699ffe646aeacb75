//! What a request changes about a subscription.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use envoy_types::pb::google::rpc::Status;

use super::{Held, Subscription};
use crate::server::resources::{Resources, Set, hash_of};

/// The name that stands for all.
const ALL: &str = "*";

impl Subscription {
    pub(crate) fn sotw(
        &mut self,
        request: &DiscoveryRequest,
        set: &Set,
        resources: &Resources,
        now: Instant,
    ) {
        let first = request.response_nonce.is_empty();
        if !first && !self.is_newest(&request.response_nonce) {
            // It crossed a response of ours, and another request is to follow.
            return;
        }
        let is_answer = !first && self.answered(request.error_detail.as_ref(), resources, now);
        let before = (self.wildcard, std::mem::take(&mut self.names));
        self.rename(&request.resource_names);
        if self.kind.is_wildcard() {
            if first && request.version_info == set.version() && !set.version().is_empty() {
                self.has_all(set);
            } else {
                self.owed |= first;
            }
        } else if first {
            self.held.clear();
            self.owed = !self.names.is_empty();
        } else if !is_answer && before == (self.wildcard, self.names.clone()) {
            // It says once more what it wants, as one does who waits for it.
            self.held.clear();
        }
        self.prune();
        self.unsettled = true;
    }

    pub(crate) fn delta(
        &mut self,
        request: &DeltaDiscoveryRequest,
        set: &Set,
        resources: &Resources,
        now: Instant,
    ) {
        let first = self.nonce.is_none() && !self.has_named && !self.wildcard;
        if self.is_newest(&request.response_nonce) {
            self.answered(request.error_detail.as_ref(), resources, now);
        }
        if first {
            self.wildcard = self.kind.is_wildcard() && request.resource_names_subscribe.is_empty();
            for (name, version) in &request.initial_resource_versions {
                let hash = hash_of(version).unwrap_or_default();
                self.held
                    .insert(name.as_str().into(), Held { hash, resource: None });
            }
        }
        for name in &request.resource_names_subscribe {
            self.subscribe(name, first);
        }
        // Whoever wants all has to learn where all ends, also where that is at once.
        self.owed |= first && self.wildcard;
        for name in &request.resource_names_unsubscribe {
            self.unsubscribe(name, set);
        }
        self.prune();
        self.unsettled = true;
    }

    fn subscribe(&mut self, name: &str, first: bool) {
        self.has_named = true;
        if name == ALL {
            self.wildcard = true;
            self.owed = true;
            return;
        }
        if !first {
            // Who asks is answered, also with what he had.
            self.held.remove(name);
        }
        self.absent.remove(name);
        self.names.insert(name.into());
    }

    fn unsubscribe(&mut self, name: &str, set: &Set) {
        if name == ALL {
            self.wildcard = false;
            return;
        }
        self.names.remove(name);
        self.held.remove(name);
        // Of all it still has this one, and has to be told whether there is one.
        if self.wildcard && set.get(name).is_none() {
            self.denied.insert(name.into());
        }
    }

    fn is_newest(&self, nonce: &str) -> bool {
        let newest = self.nonce.map(|nonce| nonce.to_string());
        newest.is_some_and(|newest| newest == nonce)
    }

    /// Whether a request answers what is on its way.
    fn answered(&mut self, error: Option<&Status>, resources: &Resources, now: Instant) -> bool {
        if self.in_flight.is_none() {
            return false;
        }
        match error {
            None => self.accept(),
            Some(error) => self.refuse(&error.message, resources, now),
        }
        true
    }

    /// Takes the names of a request of state of the world, which has them all.
    fn rename(&mut self, names: &[String]) {
        self.has_named |= !names.is_empty();
        self.wildcard = self.kind.is_wildcard() && !self.has_named || names.iter().any(|name| name == ALL);
        let named = names.iter().filter(|name| *name != ALL);
        self.names = named.map(|name| Arc::from(name.as_str())).collect();
    }

    /// The client has everything already, from another stream.
    fn has_all(&mut self, set: &Set) {
        self.accepted = Some(set.version().into());
        for resource in set.all() {
            let held = Held {
                hash: resource.hash(),
                resource: Some(Arc::clone(resource)),
            };
            self.held.insert(Arc::clone(resource.name()), held);
        }
    }

    /// Forgets what is not wanted any more.
    fn prune(&mut self) {
        if self.wildcard {
            return;
        }
        let names: &BTreeSet<_> = &self.names;
        self.held.retain(|name, _| names.contains(name));
        self.absent.retain(|name| names.contains(name));
        self.refused.retain(|name, _| names.contains(name));
    }
}
