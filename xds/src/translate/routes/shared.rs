//! What many routes of a table have in common and so share: names, policies, header mutations.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::route::v3 as pb;
use prost::Message;
use tidegate_proxy::cluster::breaker::RequestPriority;
use tidegate_proxy::route::{ForwardPolicy, HeaderMutations, Route, RouteTimeouts};
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use super::ClusterName;
use crate::translate::Reject;
use crate::translate::headers::HeaderLists;
use crate::translate::notes::Notes;

/// What was made already, while one route configuration is read.
#[derive(Debug, Default)]
pub(super) struct Shared {
    names: HashSet<Arc<str>>,
    policies: HashMap<PolicyKey, Arc<ForwardPolicy>>,
    headers: HashMap<u128, HeaderMutations>,
    routes: HashMap<u128, SharedRoute>,
    scratch: Vec<u8>,
}

/// A route with the clusters that it names.
type SharedRoute = (Arc<Route>, Box<[ClusterName]>);

/// What tells one policy without retries from another: the deadlines, the priority, and whom tries are counted for.
type PolicyKey = ([Option<Duration>; 4], [bool; 3]);

impl Shared {
    /// A name, shared with all who have it.
    pub(super) fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        name
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

    /// What tells one route from another, in a virtual host of this seed.
    pub(super) fn route_hash(&mut self, route: &pb::Route, of_host: u64) -> u128 {
        self.scratch.clear();
        // It fits: a vector grows.
        _ = route.encode(&mut self.scratch);
        xxh3_128_with_seed(&self.scratch, of_host)
    }

    /// A route that was kept, with the clusters that it names.
    pub(super) fn route(&self, hash: u128) -> Option<SharedRoute> {
        self.routes.get(&hash).cloned()
    }

    /// Keeps a route for others that are the same.
    pub(super) fn keep_route(&mut self, hash: u128, route: &Arc<Route>, clusters: &[ClusterName]) {
        self.routes.insert(hash, (Arc::clone(route), clusters.into()));
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
        let mutations = lists.mutations(notes)?;
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
