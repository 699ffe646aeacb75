//! `envoy.config.route.v3.RouteConfiguration` as a route table.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_proxy::route::{RouteTable, VirtualHost};

use super::{Context, Note, Reject};

/// A route configuration: its table, and what it needs of others.
#[derive(Clone, Debug)]
pub struct RoutesConfig {
    /// Its name.
    pub name: Arc<str>,
    /// The table, which shares with the one before what did not change.
    pub table: Arc<RouteTable>,
    /// The virtual hosts by the hash of their bytes, for the next change to share.
    pub hosts: Arc<HashMap<u128, Arc<HostConfig>>>,
    /// Whether a cluster that is not there rejects it (`validate_clusters`); `None` leaves it to where it came from: true inline,
    /// false by RDS.
    pub validate_clusters: Option<bool>,
    /// What has no effect.
    pub notes: Vec<Note>,
}

/// One virtual host as it was read.
#[derive(Debug)]
pub struct HostConfig {
    /// The virtual host.
    pub host: Arc<VirtualHost>,
    /// The clusters that its routes name, with the field that names them: Envoy words the two differently.
    pub clusters: Vec<ClusterName>,
    /// What has no effect.
    pub notes: Vec<Note>,
}

/// A cluster as a route names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClusterName {
    /// `cluster`: `route: unknown cluster '…'` when it is not there.
    Whole(Arc<str>),
    /// One of `weighted_clusters`: `route: unknown weighted cluster '…'`.
    Weighted(Arc<str>),
    /// A mirror of requests: `route: unknown shadow cluster '…'`.
    Mirror(Arc<str>),
}

/// Reads a route configuration. What is as in `before` is not read again.
///
/// # Errors
/// When Envoy would refuse it, in Envoy's words.
pub fn routes(
    body: &Bytes,
    before: Option<&RoutesConfig>,
    context: &Context,
) -> Result<RoutesConfig, Reject> {
    _ = (body, before, context);
    Err(Reject::Resource(String::new()))
}

impl RoutesConfig {
    /// The first cluster that it names and `known` does not have, in the order of its routes, as Envoy's message says it.
    pub fn unknown_cluster(&self, known: impl Fn(&str) -> bool) -> Option<String> {
        _ = known;
        None
    }
}
