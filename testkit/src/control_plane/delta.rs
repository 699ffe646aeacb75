//! What does go-control-plane answer on an incremental stream? As pure state.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
};

use super::model::{Snapshot, any, version_of};

/// One incremental stream.
#[derive(Clone, Debug, Default)]
pub struct DeltaStream {
    nonces: u64,
    types: BTreeMap<String, Subscribed>,
}

/// A type on a stream.
#[derive(Clone, Debug, Default)]
struct Subscribed {
    wildcard: bool,
    names: BTreeSet<String>,
    /// What the client was sent, whatever it made of it: nothing is sent again because of a NACK.
    returned: BTreeMap<String, String>,
    /// Whether a request waits for a change.
    open: bool,
    /// Whether there was any response: an empty one answers the first wildcard, so that the client can go on.
    answered: bool,
}

impl DeltaStream {
    /// The answer to a request, if anything has changed for it; names that nobody knows are not answered.
    pub fn on_request(
        &mut self,
        request: &DeltaDiscoveryRequest,
        snapshot: Option<&Snapshot>,
    ) -> Option<DeltaDiscoveryResponse> {
        let url = &request.type_url;
        let is_new = !self.types.contains_key(url);
        let subscribed = self.types.entry(url.clone()).or_default();
        if is_new {
            subscribed.wildcard = request.resource_names_subscribe.is_empty();
            let held = request.initial_resource_versions.iter();
            subscribed.returned = held
                .map(|(name, version)| (name.clone(), version.clone()))
                .collect();
        }
        for name in &request.resource_names_subscribe {
            match name.as_str() {
                "*" => subscribed.wildcard = true,
                name => {
                    subscribed.names.insert(name.to_owned());
                    if !is_new {
                        // Asked for again, it is sent again.
                        subscribed.returned.remove(name);
                    }
                }
            }
        }
        for name in &request.resource_names_unsubscribe {
            match name.as_str() {
                "*" => subscribed.wildcard = false,
                name => {
                    subscribed.names.remove(name);
                    subscribed.returned.remove(name);
                }
            }
        }
        subscribed.open = true;
        self.answer(url, snapshot?)
    }

    /// The answers to the requests that wait, in any order.
    pub fn on_snapshot(&mut self, snapshot: &Snapshot) -> Vec<DeltaDiscoveryResponse> {
        let open = self.types.iter().filter(|(_, subscribed)| subscribed.open);
        let open: Vec<String> = open.map(|(url, _)| url.clone()).collect();
        let answers = open.iter().filter_map(|url| self.answer(url, snapshot));
        answers.collect()
    }

    fn answer(&mut self, url: &str, snapshot: &Snapshot) -> Option<DeltaDiscoveryResponse> {
        let subscribed = self.types.get_mut(url)?;
        let mut there = snapshot.of(url);
        there.retain(|name, _| subscribed.wildcard || subscribed.names.contains(name));
        let changed = |(name, body): (&String, &Bytes)| {
            let version = version_of(body);
            (subscribed.returned.get(name) != Some(&version)).then(|| Resource {
                name: name.clone(),
                version,
                resource: Some(any(url, body)),
                ..Resource::default()
            })
        };
        let resources: Vec<Resource> = there.iter().filter_map(changed).collect();
        let removed = subscribed
            .returned
            .keys()
            .filter(|name| !there.contains_key(*name));
        let removed: Vec<String> = removed.cloned().collect();
        let is_first_wildcard = subscribed.wildcard && !subscribed.answered;
        if resources.is_empty() && removed.is_empty() && !is_first_wildcard {
            return None;
        }
        subscribed.open = false;
        subscribed.answered = true;
        for resource in &resources {
            let (name, version) = (resource.name.clone(), resource.version.clone());
            subscribed.returned.insert(name, version);
        }
        for name in &removed {
            subscribed.returned.remove(name);
        }
        self.nonces += 1;
        Some(DeltaDiscoveryResponse {
            system_version_info: snapshot.version.clone(),
            resources,
            type_url: url.to_owned(),
            nonce: self.nonces.to_string(),
            removed_resources: removed,
            ..DeltaDiscoveryResponse::default()
        })
    }
}
