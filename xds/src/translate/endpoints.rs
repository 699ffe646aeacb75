//! `envoy.config.endpoint.v3.ClusterLoadAssignment` as endpoints.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_proxy::cluster::Endpoint;

use super::{Context, Note, Reject};

/// The endpoints of a cluster.
#[derive(Clone, Debug)]
pub struct EndpointsConfig {
    /// `cluster_name`: what clusters subscribe to.
    pub name: Arc<str>,
    /// All of them.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// What has no effect.
    pub notes: Vec<Note>,
}

/// Reads the endpoints of a cluster.
///
/// # Errors
/// When Envoy would refuse them, in Envoy's words.
pub fn endpoints(body: &Bytes, context: &Context) -> Result<EndpointsConfig, Reject> {
    _ = (body, context);
    Err(Reject::Resource(String::new()))
}
