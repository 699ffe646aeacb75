//! How does the sidecar speak HTTP, to whom it serves and to its application?
//!
//! As Go's server and client do where that shows: what Tidegate bounds by default and Go does not is not bounded here. Who may
//! send what is decided by whoever stands before the pod.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_proxy::cluster::transport::ResponseHeadLimits;
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint, Protocol, TransportSettings};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::config::http::{
    DownstreamTimeouts, HeadLimits, Http1Settings, Http2Settings, Http10, HttpSettings, OtherUpgrades,
    StreamsOf,
};
use tidegate_proxy::layers::Layers;
use tidegate_proxy::normalize::forwarded::Forwarding;
use tidegate_proxy::normalize::path::{DotSegments, PathPolicy};
use tidegate_proxy::route::{Domain, Route, RouteTable, Split, TableSettings, VirtualHost};

use crate::limits::{
    CONNECT_TIMEOUT, FIELDS_MAX, H2_WINDOW_BYTES, HEAD_BYTES_MAX, NEVER, REDIAL, UPSTREAM_IDLE_TIMEOUT,
};

const APP: &str = "app";

/// How requests for the application are taken, each of which may take so long.
#[must_use]
pub fn http(request: Duration) -> HttpSettings {
    HttpSettings {
        forwarding: Forwarding::Untouched,
        path: PathPolicy {
            dots: DotSegments::Keep,
            ..PathPolicy::default()
        },
        other_upgrades: OtherUpgrades::Passed,
        timeouts: DownstreamTimeouts {
            idle: NEVER,
            stream_idle: None,
            // A client that reads nothing, or sends nothing, has as long as its request may take at all.
            stall: Some(request.min(NEVER)),
            drain: NEVER,
            ..DownstreamTimeouts::default()
        },
        head: HeadLimits {
            bytes_max: HEAD_BYTES_MAX,
            target_bytes_max: HEAD_BYTES_MAX,
            fields_max: FIELDS_MAX,
        },
        http1: Http1Settings {
            http_10: Http10::Accepted,
        },
        http2: Http2Settings {
            stream_window_bytes: H2_WINDOW_BYTES,
            connection_window_bytes: H2_WINDOW_BYTES,
            // Before the pod stands an ingress, with the streams of all its clients.
            streams_of: StreamsOf::Many,
            ..Http2Settings::default()
        },
        ..HttpSettings::default()
    }
}

/// Everything goes to the application at `app` through `layers`, by the version that it came by; `tables` are those of other
/// listeners, each with layers that answer by themselves.
#[must_use]
pub fn snapshot(
    app: SocketAddr,
    layers: Layers,
    tables: impl IntoIterator<Item = (Arc<str>, Layers)>,
) -> Snapshot {
    let transport = |protocol| TransportSettings {
        protocol,
        connect_timeout: CONNECT_TIMEOUT,
        redial: Some(REDIAL),
        idle_timeout: UPSTREAM_IDLE_TIMEOUT,
        response_head: ResponseHeadLimits {
            bytes_max: HEAD_BYTES_MAX,
            fields_max: FIELDS_MAX,
        },
        ..TransportSettings::default()
    };
    let cluster = Cluster::new(ClusterSettings {
        transport: transport(Protocol::Http1).into(),
        transport_http2: Some(Box::new(transport(Protocol::Http2))),
        ..ClusterSettings::new(APP)
    });
    cluster.set_endpoints(vec![Endpoint::new(app).into()]);
    let table = |layers| {
        let route = Route {
            layers: Some(layers),
            ..Route::forward(Split::single(APP, [].into()))
        };
        RouteTable::new(
            TableSettings::default(),
            [VirtualHost::new("all", [Domain::Any], [route])],
        )
    };
    let tables = tables.into_iter().map(|(name, layers)| (name, table(layers)));
    let tables: Vec<_> = tables.chain([("".into(), table(layers))]).collect();
    Snapshot::with_tables(tables, [cluster])
}
