//! Which configuration is measured: many hosts, each with a route to the one cluster and two header edits.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::route::{Domain, InvalidDomain, Route, Split, VirtualHost};

/// How many hosts the compared proxies know.
pub const HOSTS: usize = 1_000;
/// The cluster that every host's route leads to.
pub const CLUSTER: &str = "backend";
/// The fields that every request gets on its way, as Knative's routes set them.
pub const EDITS: [(&str, &str); 2] = [
    ("knative-serving-namespace", "default"),
    ("knative-serving-revision", "hello-00001"),
];

/// The name of host `number`: `host-00042.default.example.com`.
#[must_use]
pub fn host(number: usize) -> String {
    format!("host-{number:05}.default.example.com")
}

/// A suffix domain: `*.tenant-00042.example.org`.
#[must_use]
pub fn suffix(number: usize) -> String {
    format!("*.tenant-{number:05}.example.org")
}

/// Virtual hosts that answer one of `domains` each and forward everything to [`CLUSTER`].
///
/// # Errors
/// When a domain is none.
pub fn virtual_hosts(domains: impl IntoIterator<Item = String>) -> Result<Vec<VirtualHost>, InvalidDomain> {
    let edits: Arc<[_]> = EDITS
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into();
    let host = |domain: String| {
        Ok(VirtualHost {
            domains: vec![Domain::parse(&domain)?],
            name: domain.into(),
            routes: vec![Arc::new(Route::forward(Split::single(
                CLUSTER,
                Arc::clone(&edits),
            )))],
        })
    };
    domains.into_iter().map(host).collect()
}

/// A snapshot with `hosts` exact hosts whose requests go to `backend`.
///
/// # Errors
/// Never for the names that this module makes; the type says so rather than a panic.
pub fn snapshot(hosts: usize, backend: SocketAddr) -> Result<Snapshot, InvalidDomain> {
    let cluster = Cluster::new(ClusterSettings::new(CLUSTER));
    cluster.set_endpoints(vec![Arc::new(Endpoint::new(backend))]);
    Ok(Snapshot::new(virtual_hosts((0..hosts).map(host))?, [cluster]))
}
