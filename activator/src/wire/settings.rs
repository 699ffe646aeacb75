//! How does the program speak HTTP? Within the bounds of Go's servers and clients, as Knative sets them.

use std::sync::Arc;

use tidegate_proxy::{
    cluster::{
        Cluster, ClusterSettings, Protocol, TransportSettings,
        transport::{Http2Upstream, ResponseHeadLimits, TcpKeepalive},
    },
    config::{
        Snapshot,
        http::{
            DownstreamTimeouts, HeadLimits, Http1Settings, Http2Settings, Http10, HttpSettings,
            OtherUpgrades, StreamsOf,
        },
        manners::{GrpcReplies, LocalReplies, Manners},
    },
    layers::Layers,
    normalize::{
        forwarded::Forwarding,
        path::{DotSegments, PathPolicy},
    },
    route::{Domain, Route, RouteTable, Split, TableSettings, VirtualHost},
};

use crate::limits::{
    CLIENT_STALL_MAX, HEAD_BYTES_MAX, HEAD_FIELDS_MAX, IDLE_MAX, UPSTREAM_IDLE, UPSTREAM_KEEPALIVE,
    UPSTREAM_KEEPALIVE_PROBES, WINDOW_BYTES,
};

/// The cluster that the one route leads to; a request's own replaces it.
const ANY: &str = "revisions";

/// How clients are spoken to.
#[must_use]
pub fn http_settings() -> HttpSettings {
    let mut replies = LocalReplies::default();
    replies.grpc = GrpcReplies::AsHttp;
    HttpSettings {
        path: PathPolicy {
            dots: DotSegments::Keep,
            ..PathPolicy::default()
        },
        forwarding: Forwarding::Untouched,
        timeouts: DownstreamTimeouts {
            idle: IDLE_MAX,
            stream_idle: None,
            stall: Some(CLIENT_STALL_MAX),
            ..DownstreamTimeouts::default()
        },
        head: HeadLimits {
            bytes_max: HEAD_BYTES_MAX,
            target_bytes_max: HEAD_BYTES_MAX,
            fields_max: HEAD_FIELDS_MAX,
        },
        http1: Http1Settings {
            http_10: Http10::Accepted,
        },
        http2: Http2Settings {
            stream_window_bytes: WINDOW_BYTES,
            connection_window_bytes: WINDOW_BYTES,
            // Before the pod stands an ingress, with the streams of all its clients.
            streams_of: StreamsOf::Many,
            ..Http2Settings::default()
        },
        other_upgrades: OtherUpgrades::Passed,
        manners: Some(Arc::new(Manners {
            replies: Some(replies),
            ..Manners::default()
        })),
        ..HttpSettings::default()
    }
}

/// How pods are spoken to, in the protocol that the request came by.
#[must_use]
pub fn transport(protocol: Protocol) -> TransportSettings {
    TransportSettings {
        protocol,
        idle_timeout: UPSTREAM_IDLE,
        response_head: ResponseHeadLimits {
            bytes_max: HEAD_BYTES_MAX,
            fields_max: HEAD_FIELDS_MAX,
        },
        tcp_keepalive: Some(TcpKeepalive {
            time: UPSTREAM_KEEPALIVE,
            interval: UPSTREAM_KEEPALIVE,
            probes: UPSTREAM_KEEPALIVE_PROBES,
        }),
        http2: Http2Upstream {
            stream_window_bytes: WINDOW_BYTES,
            connection_window_bytes: WINDOW_BYTES,
            ..Http2Upstream::default()
        },
        ..TransportSettings::default()
    }
}

/// A cluster whose pods are spoken to in the clear.
#[must_use]
pub fn plain_cluster() -> Arc<Cluster> {
    Cluster::new(ClusterSettings {
        transport: transport(Protocol::Http1).into(),
        transport_http2: Some(Box::new(transport(Protocol::Http2))),
        ..ClusterSettings::new(ANY)
    })
}

/// The one route that there is: whatever comes meets `layers`.
#[must_use]
pub fn snapshot(layers: Layers) -> Snapshot {
    snapshot_beside(layers, [])
}

/// The same; `tables` are those of other listeners, each with layers that answer by themselves.
#[must_use]
pub fn snapshot_beside(layers: Layers, tables: impl IntoIterator<Item = (Arc<str>, Layers)>) -> Snapshot {
    let table = |layers| {
        let forward = Route::forward(Split::single(ANY, [].into()));
        let route = Route {
            layers: Some(layers),
            ..forward
        };
        let host = VirtualHost::new("all", [Domain::Any], [route]);
        RouteTable::new(TableSettings::default(), [host])
    };
    let all = tables.into_iter().chain([("".into(), layers)]);
    let tables: Vec<_> = all.map(|(name, layers)| (name, table(layers))).collect();
    Snapshot::with_tables(tables, [plain_cluster()])
}
