//! What many routes of a table have in common and so share: names, policies, header mutations.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::route::v3 as pb;
use http::HeaderName;
use prost::Message;
use tidegate_proxy::cluster::breaker::RequestPriority;
use tidegate_proxy::route::{
    Forward, ForwardPolicy, HeaderMutations, Matcher, Route, RouteTimeouts, Shared as Part, Upgrades,
};
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use super::ClusterName;
use crate::translate::Reject;
use crate::translate::headers::HeaderLists;
use crate::translate::notes::Notes;

/// What was made already, while one route configuration is read, or several that come together.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    seed: u64,
    names: HashSet<Arc<str>>,
    lists: HashSet<Arc<[ClusterName]>>,
    policies: HashMap<PolicyKey, Arc<ForwardPolicy>>,
    fields: HashSet<HeaderName>,
    upgrades: HashSet<Tokens>,
    headers: HashMap<u128, HeaderMutations>,
    matchers: HashMap<u128, Part<Matcher>>,
    forwards: HashMap<u128, Named<Forward>>,
    routes: HashMap<u128, Named<Route>>,
    scratch: Vec<u8>,
}

/// What [`Upgrades::Each`] says.
type Tokens = Arc<[(Box<str>, bool)]>;

/// A part with the clusters that it names.
type Named<T> = (Arc<T>, Box<[ClusterName]>);

/// What tells one policy without retries from another: the deadlines, the priority, and whom tries are counted for.
type PolicyKey = ([Option<Duration>; 4], [bool; 3]);

impl Shared {
    /// A table is read of which `seed` tells what else decides what becomes of its routes: those of one that differs in that are
    /// not its own.
    pub(super) fn begin(&mut self, seed: u64) {
        if self.seed != seed {
            self.seed = seed;
            self.matchers.clear();
            self.forwards.clear();
            self.routes.clear();
        }
    }

    /// A name, shared with all who have it.
    pub(super) fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        name
    }

    /// A list of clusters, shared with all hosts that name the same.
    pub(super) fn list(&mut self, clusters: Vec<ClusterName>) -> Arc<[ClusterName]> {
        if let Some(known) = self.lists.get(clusters.as_slice()) {
            return Arc::clone(known);
        }
        let list: Arc<[ClusterName]> = clusters.into();
        self.lists.insert(Arc::clone(&list));
        list
    }

    /// A policy, shared where it has no more than deadlines and a priority.
    pub(super) fn policy(&mut self, policy: ForwardPolicy) -> Arc<ForwardPolicy> {
        let plain = policy.retry.is_none() && policy.affinity.is_none();
        if !plain || policy.redirects.is_some() || !policy.mirrors.is_empty() {
            return Arc::new(policy);
        }
        let RouteTimeouts {
            request,
            idle,
            stream_max,
            grpc_timeout_max,
        } = policy.timeouts;
        let key = (
            [request, idle, stream_max, grpc_timeout_max],
            [
                policy.priority == RequestPriority::High,
                policy.counted.to_upstream.is_some(),
                policy.counted.to_client.is_some(),
            ],
        );
        Arc::clone(self.policies.entry(key).or_insert_with(|| Arc::new(policy)))
    }

    /// Which upgrades pass, shared with all that let the same through.
    pub(super) fn upgrades(&mut self, upgrades: Upgrades) -> Upgrades {
        let Upgrades::Each(tokens) = upgrades else {
            return upgrades;
        };
        if let Some(known) = self.upgrades.get(&tokens) {
            return Upgrades::Each(Arc::clone(known));
        }
        self.upgrades.insert(Arc::clone(&tokens));
        Upgrades::Each(tokens)
    }

    /// What tells one route from another, in a virtual host of this seed.
    pub(super) fn route_hash(&mut self, route: &pb::Route, of_host: u64) -> u128 {
        self.scratch.clear();
        // It fits: a vector grows.
        _ = route.encode(&mut self.scratch);
        xxh3_128_with_seed(&self.scratch, of_host)
    }

    /// A route that was kept, with the clusters that it names.
    pub(super) fn route(&self, hash: u128) -> Option<Named<Route>> {
        self.routes.get(&hash).cloned()
    }

    /// Keeps a route for others that are the same.
    pub(super) fn keep_route(&mut self, hash: u128, route: &Arc<Route>, clusters: &[ClusterName]) {
        self.routes.insert(hash, (Arc::clone(route), clusters.into()));
    }

    /// What tells one message from another of its kind.
    pub(super) fn hash_of(&mut self, message: &impl Message) -> u128 {
        self.scratch.clear();
        // It fits: a vector grows.
        _ = message.encode(&mut self.scratch);
        xxh3_128(&self.scratch)
    }

    /// Where to and how a route forwards that was kept, with the clusters that it names.
    pub(super) fn forward(&self, hash: u128) -> Option<Named<Forward>> {
        self.forwards.get(&hash).cloned()
    }

    /// Keeps it for other routes that forward in the same way.
    pub(super) fn keep_forward(&mut self, hash: u128, forward: &Arc<Forward>, clusters: &[ClusterName]) {
        self.forwards.insert(hash, (Arc::clone(forward), clusters.into()));
    }

    /// What a route matches that was kept.
    pub(super) fn matcher(&self, hash: u128) -> Option<Part<Matcher>> {
        self.matchers.get(&hash).cloned()
    }

    /// Keeps it for other routes that match the same.
    pub(super) fn keep_matcher(&mut self, hash: u128, matcher: &Part<Matcher>) {
        self.matchers.insert(hash, matcher.clone());
    }

    /// The mutations of a level. Those of which something was noted are made anew for each.
    pub(super) fn headers(
        &mut self,
        lists: HeaderLists<'_>,
        notes: &mut Notes,
    ) -> Result<HeaderMutations, Reject> {
        if lists.is_empty() {
            return Ok(HeaderMutations::default());
        }
        let hash = self.hash(lists);
        if let Some(known) = self.headers.get(&hash) {
            return Ok(known.clone());
        }
        let before = notes.len();
        let mutations = lists.mutations_of(&mut self.fields, notes)?;
        if notes.len() == before {
            self.headers.insert(hash, mutations.clone());
        }
        Ok(mutations)
    }

    fn hash(&mut self, lists: HeaderLists<'_>) -> u128 {
        self.scratch.clear();
        for options in [lists.request_add, lists.response_add] {
            for option in options {
                // It fits: a vector grows.
                _ = option.encode_length_delimited(&mut self.scratch);
            }
            self.scratch.push(0);
        }
        for names in [lists.request_remove, lists.response_remove] {
            for name in names {
                self.scratch.extend_from_slice(name.as_bytes());
                self.scratch.push(b'\n');
            }
            self.scratch.push(0);
        }
        xxh3_128(&self.scratch)
    }
}
