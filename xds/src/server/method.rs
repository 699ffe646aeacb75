//! Which stream a path asks for.

use super::stream::Protocol;
use crate::resource::Kind;

/// What a client calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// A stream: of one kind, or of all.
    Stream(Protocol, Option<Kind>),
    /// `grpc.health.v1.Health/Check`.
    Health,
}

/// The service of each kind, with what its methods are called behind `Stream` and `Delta`.
const SERVICES: [(&str, &str, Option<Kind>); 7] = [
    (
        "discovery.v3.AggregatedDiscoveryService",
        "AggregatedResources",
        None,
    ),
    (
        "cluster.v3.ClusterDiscoveryService",
        "Clusters",
        Some(Kind::Cluster),
    ),
    (
        "endpoint.v3.EndpointDiscoveryService",
        "Endpoints",
        Some(Kind::Endpoints),
    ),
    ("secret.v3.SecretDiscoveryService", "Secrets", Some(Kind::Secret)),
    (
        "listener.v3.ListenerDiscoveryService",
        "Listeners",
        Some(Kind::Listener),
    ),
    ("route.v3.RouteDiscoveryService", "Routes", Some(Kind::Routes)),
    (
        "runtime.v3.RuntimeDiscoveryService",
        "Runtime",
        Some(Kind::Runtime),
    ),
];

impl Method {
    pub(super) fn of_path(path: &str) -> Option<Self> {
        if path == "/grpc.health.v1.Health/Check" {
            return Some(Self::Health);
        }
        let (service, method) = path.strip_prefix("/envoy.service.")?.split_once('/')?;
        let (_, what, kind) = SERVICES.iter().find(|(name, ..)| *name == service)?;
        let protocol = match method.strip_suffix(what)? {
            "Stream" => Protocol::Sotw,
            "Delta" => Protocol::Delta,
            _ => return None,
        };
        Some(Self::Stream(protocol, *kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_has_its_path() {
        let check = |path: &str, expected| assert_eq!(Method::of_path(path), expected, "{path}");
        let ads = "/envoy.service.discovery.v3.AggregatedDiscoveryService";
        check(
            &format!("{ads}/StreamAggregatedResources"),
            Some(Method::Stream(Protocol::Sotw, None)),
        );
        check(
            &format!("{ads}/DeltaAggregatedResources"),
            Some(Method::Stream(Protocol::Delta, None)),
        );
        check(
            "/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes",
            Some(Method::Stream(Protocol::Delta, Some(Kind::Routes))),
        );
        check("/grpc.health.v1.Health/Check", Some(Method::Health));
        check("/envoy.service.route.v3.RouteDiscoveryService/FetchRoutes", None);
        check(&format!("{ads}/StreamClusters"), None);
        check("/", None);
    }
}
