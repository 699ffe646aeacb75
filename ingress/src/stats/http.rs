//! What is shown of each connection manager: `http.<prefix>.…`, and at each listener `listener.<address>.http.<prefix>.…`?

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_proxy::observe::counts::http::HttpTotals;
use tidegate_proxy::observe::counts::times::{Bin, Times};
use tidegate_proxy::observe::counts::{HttpCounts, ListenerCounts};

use super::listener;
use super::section::Read::{Classes, Counter, Gauge, Histogram, Set};
use super::section::{Group, Row, Table, Tag, row};

/// What the connection managers of one prefix say at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    totals: HttpTotals,
    request_times: Vec<Bin>,
    connection_times: Vec<Bin>,
}

/// The connection managers by prefix, all listeners taken together.
pub(super) fn table(listeners: &[Arc<ListenerCounts>]) -> Table<Reading> {
    let mut prefixes: BTreeMap<Arc<str>, Vec<Arc<HttpCounts>>> = BTreeMap::new();
    for (prefix, counts) in listeners.iter().flat_map(|listener| listener.http()) {
        prefixes.entry(prefix).or_default().push(counts);
    }
    let group = |(prefix, counts): (Arc<str>, Vec<Arc<HttpCounts>>)| Group {
        prefix: format!("http.{prefix}."),
        tags: vec![("envoy_http_conn_manager_prefix", prefix)],
        reading: Reading::of(&counts),
    };
    Table {
        family: "http.",
        rows: ROWS,
        groups: prefixes.into_iter().map(group).collect(),
    }
}

/// The connection managers of each listener.
pub(super) fn by_listener(listeners: &[Arc<ListenerCounts>]) -> Table<Reading> {
    let mut groups: BTreeMap<(String, Arc<str>), Vec<Arc<HttpCounts>>> = BTreeMap::new();
    for listener in listeners {
        let address = listener::name(listener.address());
        for (prefix, counts) in listener.http() {
            groups.entry((address.clone(), prefix)).or_default().push(counts);
        }
    }
    let group = |((address, prefix), counts): ((String, Arc<str>), Vec<Arc<HttpCounts>>)| {
        let tags: Vec<Tag> = vec![
            ("envoy_http_conn_manager_prefix", Arc::clone(&prefix)),
            ("envoy_listener_address", address.as_str().into()),
        ];
        Group {
            prefix: format!("listener.{address}.http.{prefix}."),
            tags,
            reading: Reading::of(&counts),
        }
    };
    Table {
        family: "listener.http.",
        rows: LISTENER_ROWS,
        groups: groups.into_iter().map(group).collect(),
    }
}

impl Reading {
    fn of(counts: &[Arc<HttpCounts>]) -> Self {
        let mut reading = Self::default();
        let (mut requests, mut connections) = (Vec::new(), Vec::new());
        for counts in counts {
            reading.totals += counts.totals();
            requests.push(counts.request_times());
            connections.push(counts.connection_times());
        }
        reading.request_times = Times::merge(requests.into_iter().flatten().collect());
        reading.connection_times = Times::merge(connections.into_iter().flatten().collect());
        reading
    }
}

fn connections(r: &Reading) -> u64 {
    r.totals
        .connections_http1
        .wrapping_add(r.totals.connections_http2)
}

fn ended(r: &Reading) -> u64 {
    r.totals
        .connections_http1_ended
        .wrapping_add(r.totals.connections_http2_ended)
}

fn open_connections(r: &Reading) -> u64 {
    connections(r).saturating_sub(ended(r))
}

fn none(_: &Reading) -> u64 {
    0
}

const LISTENER_ROWS: &[Row<Reading>] = &[
    row(
        "downstream_rq_completed",
        Counter(|r| r.totals.classes().iter().sum()),
    ),
    row("downstream_rq_xx", Classes(|r| r.totals.classes())),
];

/// Envoy's names. What is always 0 is what this proxy does not do, and what dashboards ask for all the same.
const ROWS: &[Row<Reading>] = &[
    row("downstream_cx_active", Set(open_connections)),
    row(
        "downstream_cx_delayed_close_timeout",
        Counter(|r| r.totals.connections_lingered),
    ),
    row("downstream_cx_destroy", Counter(ended)),
    row("downstream_cx_destroy_active_rq", Counter(none)),
    row("downstream_cx_destroy_local", Counter(none)),
    row("downstream_cx_destroy_local_active_rq", Counter(none)),
    row("downstream_cx_destroy_remote", Counter(none)),
    row("downstream_cx_destroy_remote_active_rq", Counter(none)),
    row("downstream_cx_drain_close", Counter(none)),
    row(
        "downstream_cx_http1_active",
        Set(|r| {
            r.totals
                .connections_http1
                .saturating_sub(r.totals.connections_http1_ended)
        }),
    ),
    row("downstream_cx_http1_soft_drain", Gauge(none)),
    row(
        "downstream_cx_http1_total",
        Counter(|r| r.totals.connections_http1),
    ),
    row(
        "downstream_cx_http2_active",
        Set(|r| {
            r.totals
                .connections_http2
                .saturating_sub(r.totals.connections_http2_ended)
        }),
    ),
    row(
        "downstream_cx_http2_total",
        Counter(|r| r.totals.connections_http2),
    ),
    row("downstream_cx_http3_active", Gauge(none)),
    row("downstream_cx_http3_total", Counter(none)),
    row(
        "downstream_cx_idle_timeout",
        Counter(|r| r.totals.connections_idle),
    ),
    row("downstream_cx_length_ms", Histogram(|r| &r.connection_times)),
    row(
        "downstream_cx_max_duration_reached",
        Counter(|r| r.totals.connections_too_old),
    ),
    row(
        "downstream_cx_max_requests_reached",
        Counter(|r| r.totals.connections_spent),
    ),
    row("downstream_cx_overload_disable_keepalive", Counter(none)),
    row("downstream_cx_protocol_error", Counter(|r| r.totals.malformed)),
    row("downstream_cx_rx_bytes_buffered", Gauge(none)),
    row(
        "downstream_cx_rx_bytes_total",
        Counter(|r| r.totals.request_bytes),
    ),
    row(
        "downstream_cx_ssl_active",
        Set(|r| {
            r.totals
                .connections_tls
                .saturating_sub(r.totals.connections_tls_ended)
        }),
    ),
    row("downstream_cx_ssl_total", Counter(|r| r.totals.connections_tls)),
    row("downstream_cx_total", Counter(connections)),
    row("downstream_cx_tx_bytes_buffered", Gauge(none)),
    row(
        "downstream_cx_tx_bytes_total",
        Counter(|r| r.totals.response_bytes),
    ),
    row(
        "downstream_cx_upgrades_active",
        Set(|r| r.totals.tunnels.saturating_sub(r.totals.tunnels_ended)),
    ),
    row("downstream_cx_upgrades_total", Counter(|r| r.totals.tunnels)),
    row("downstream_flow_control_paused_reading_total", Counter(none)),
    row("downstream_flow_control_resumed_reading_total", Counter(none)),
    row(
        "downstream_rq_active",
        Set(|r| r.totals.requests().saturating_sub(r.totals.requests_ended)),
    ),
    row(
        "downstream_rq_completed",
        Counter(|r| r.totals.classes().iter().sum()),
    ),
    row("downstream_rq_failed_path_normalization", Counter(none)),
    row("downstream_rq_header_timeout", Counter(none)),
    row("downstream_rq_http1_total", Counter(|r| r.totals.requests_http1)),
    row("downstream_rq_http2_total", Counter(|r| r.totals.requests_http2)),
    row("downstream_rq_http3_total", Counter(none)),
    row("downstream_rq_idle_timeout", Counter(|r| r.totals.idle_timeouts)),
    row(
        "downstream_rq_max_duration_reached",
        Counter(|r| r.totals.too_long),
    ),
    row("downstream_rq_non_relative_path", Counter(none)),
    row("downstream_rq_overload_close", Counter(|r| r.totals.shed)),
    row("downstream_rq_redirected_with_normalized_path", Counter(none)),
    row("downstream_rq_rejected_via_ip_detection", Counter(none)),
    row("downstream_rq_response_before_rq_complete", Counter(none)),
    row("downstream_rq_rx_reset", Counter(|r| r.totals.aborted)),
    row("downstream_rq_time", Histogram(|r| &r.request_times)),
    row("downstream_rq_timeout", Counter(|r| r.totals.request_timeouts)),
    row("downstream_rq_too_large", Counter(|r| r.totals.too_large)),
    row("downstream_rq_too_many_premature_resets", Counter(none)),
    row("downstream_rq_total", Counter(|r| r.totals.requests())),
    row("downstream_rq_tx_reset", Counter(none)),
    row("downstream_rq_ws_on_non_ws_route", Counter(none)),
    row("downstream_rq_xx", Classes(|r| r.totals.classes())),
    row("no_cluster", Counter(|r| r.totals.no_cluster)),
    row("no_route", Counter(|r| r.totals.no_route)),
    row("passthrough_internal_redirect_bad_location", Counter(none)),
    row("passthrough_internal_redirect_no_route", Counter(none)),
    row("passthrough_internal_redirect_predicate", Counter(none)),
    row("passthrough_internal_redirect_too_many_redirects", Counter(none)),
    row("passthrough_internal_redirect_unsafe_scheme", Counter(none)),
    row("rq_direct_response", Counter(|r| r.totals.direct_responses)),
    row("rq_overload_local_reply", Counter(none)),
    row("rq_redirect", Counter(|r| r.totals.redirects)),
    row("rq_reset_after_downstream_response_started", Counter(none)),
    row(
        "rq_total",
        Counter(|r| r.totals.requests_routed.wrapping_add(r.totals.no_route)),
    ),
    row("rs_too_large", Counter(none)),
    row("tracing.client_enabled", Counter(none)),
    row("tracing.health_check", Counter(none)),
    row("tracing.not_traceable", Counter(none)),
    row("tracing.random_sampling", Counter(none)),
    row("tracing.service_forced", Counter(none)),
];
