//! What did the client ask and answer, in both variants alike?

use std::collections::BTreeMap;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};

/// A request as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// On which stream: they are counted from 0.
    pub stream: usize,
    /// By which method: `/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources`.
    pub path: String,
    /// The type of resources.
    pub type_url: String,
    /// `version_info`; empty in delta.
    pub version: String,
    /// `response_nonce`.
    pub nonce: String,
    /// `resource_names`, or what is subscribed to anew.
    pub names: Vec<String>,
    /// What is not subscribed to any more (delta).
    pub unsubscribed: Vec<String>,
    /// What is held (delta).
    pub initial_versions: BTreeMap<String, String>,
    /// Code and message of a NACK.
    pub error: Option<(i32, String)>,
    /// `node.id` and `node.cluster`, where there is a node.
    pub node: Option<(String, String)>,
}

impl Recorded {
    /// Whether it accepts a response.
    #[must_use]
    pub fn is_ack(&self) -> bool {
        !self.nonce.is_empty() && self.error.is_none()
    }

    pub(super) fn of_sotw(request: &DiscoveryRequest) -> Self {
        let error = request.error_detail.as_ref();
        let node = request.node.as_ref();
        Self {
            type_url: request.type_url.clone(),
            version: request.version_info.clone(),
            nonce: request.response_nonce.clone(),
            names: request.resource_names.clone(),
            error: error.map(|error| (error.code, error.message.clone())),
            node: node.map(|node| (node.id.clone(), node.cluster.clone())),
            ..Self::default()
        }
    }

    pub(super) fn of_delta(request: &DeltaDiscoveryRequest) -> Self {
        let error = request.error_detail.as_ref();
        let node = request.node.as_ref();
        let initial = request.initial_resource_versions.iter();
        Self {
            type_url: request.type_url.clone(),
            nonce: request.response_nonce.clone(),
            names: request.resource_names_subscribe.clone(),
            unsubscribed: request.resource_names_unsubscribe.clone(),
            initial_versions: initial
                .map(|(name, version)| (name.clone(), version.clone()))
                .collect(),
            error: error.map(|error| (error.code, error.message.clone())),
            node: node.map(|node| (node.id.clone(), node.cluster.clone())),
            ..Self::default()
        }
    }
}
