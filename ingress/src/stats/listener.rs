//! What is shown of each listener: `listener.<address>.…`?

use std::sync::Arc;

use tidegate_proxy::listener::ListenAddress;
use tidegate_proxy::observe::counts::ListenerCounts;
use tidegate_proxy::observe::counts::listener::ListenerTotals;
use tidegate_proxy::observe::counts::times::Bin;

use super::section::Read::{Counter, Gauge, Histogram, Set, Tagged};
use super::section::{Group, Row, Table, row, row_if};

/// What one listener says at one moment.
pub(super) struct Reading {
    totals: ListenerTotals,
    times: Vec<Bin>,
    secure: bool,
}

/// The listeners, read now.
pub(super) fn table(listeners: &[Arc<ListenerCounts>]) -> Table<Reading> {
    let group = |listener: &Arc<ListenerCounts>| {
        let (address, totals) = (name(listener.address()), listener.totals());
        Group {
            prefix: format!("listener.{address}."),
            tags: vec![("envoy_listener_address", address.into())],
            reading: Reading {
                totals,
                times: listener.connection_times(),
                secure: !listener.identities().is_empty(),
            },
        }
    };
    Table {
        family: "listener.",
        rows: ROWS,
        groups: listeners.iter().map(group).collect(),
    }
}

/// An address as it stands in names: `127.0.0.1_8080`, `[__]_8080`.
pub(super) fn name(address: &ListenAddress) -> String {
    address.to_string().replace(':', "_")
}

fn handshakes(r: &Reading) -> u64 {
    r.totals.tls12.wrapping_add(r.totals.tls13)
}

fn versions(r: &Reading) -> Vec<(&'static str, u64)> {
    let mut versions = vec![("TLSv1.2", r.totals.tls12), ("TLSv1.3", r.totals.tls13)];
    versions.retain(|(_, count)| *count > 0);
    versions
}

fn none(_: &Reading) -> u64 {
    0
}

fn nothing(_: &Reading) -> &[Bin] {
    &[]
}

fn secure(r: &Reading) -> bool {
    r.secure
}

/// Envoy's names. What is always 0 is what this proxy does not do, and what dashboards ask for all the same.
const ROWS: &[Row<Reading>] = &[
    row("connections_accepted_per_socket_event", Histogram(nothing)),
    row(
        "downstream_cx_active",
        Set(|r| r.totals.accepted.saturating_sub(r.totals.ended)),
    ),
    row("downstream_cx_destroy", Counter(|r| r.totals.ended)),
    row("downstream_cx_length_ms", Histogram(|r| &r.times)),
    row("downstream_cx_overflow", Counter(|r| r.totals.refused)),
    row("downstream_cx_overload_reject", Counter(none)),
    row("downstream_cx_total", Counter(|r| r.totals.accepted)),
    row("downstream_cx_transport_socket_connect_timeout", Counter(none)),
    row(
        "downstream_global_cx_overflow",
        Counter(|r| r.totals.refused_by_ceiling),
    ),
    row(
        "downstream_listener_filter_error",
        Counter(|r| r.totals.proxy_header_errors),
    ),
    row("downstream_listener_filter_remote_close", Counter(none)),
    row("downstream_pre_cx_active", Gauge(none)),
    row("downstream_pre_cx_timeout", Counter(|r| r.totals.timed_out)),
    row("extension_config_missing", Counter(none)),
    row("network_extension_config_missing", Counter(none)),
    row("no_filter_chain_match", Counter(|r| r.totals.no_chain)),
    row_if(
        secure,
        "server_ssl_socket_factory.downstream_context_secrets_not_ready",
        Counter(none),
    ),
    row_if(
        secure,
        "server_ssl_socket_factory.ssl_context_update_by_sds",
        Counter(none),
    ),
    row_if(
        secure,
        "server_ssl_socket_factory.upstream_context_secrets_not_ready",
        Counter(none),
    ),
    row_if(secure, "ssl.connection_error", Counter(|r| r.totals.tls_failures)),
    row_if(secure, "ssl.fail_verify_cert_hash", Counter(none)),
    row_if(secure, "ssl.fail_verify_error", Counter(none)),
    row_if(secure, "ssl.fail_verify_no_cert", Counter(none)),
    row_if(secure, "ssl.fail_verify_san", Counter(none)),
    row_if(secure, "ssl.handshake", Counter(handshakes)),
    row_if(secure, "ssl.no_certificate", Counter(|r| r.totals.tls_anonymous)),
    row_if(secure, "ssl.ocsp_staple_failed", Counter(none)),
    row_if(secure, "ssl.ocsp_staple_omitted", Counter(none)),
    row_if(secure, "ssl.ocsp_staple_requests", Counter(none)),
    row_if(secure, "ssl.ocsp_staple_responses", Counter(none)),
    row_if(secure, "ssl.session_reused", Counter(none)),
    row_if(secure, "ssl.versions", Tagged("envoy_ssl_version", versions)),
];
