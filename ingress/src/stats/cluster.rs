//! What is shown of each cluster: `cluster.<name>.…`?

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_proxy::cluster::breaker::{RequestPriority, Usage, Used};
use tidegate_proxy::cluster::{Cluster, Health};
use tidegate_proxy::observe::counts::cluster::{ClusterCounts, ClusterTotals, UpkeepTotals};
use tidegate_proxy::observe::counts::times::Bin;

use super::discovery::EndpointUpdates;
use super::section::Read::{ClassesSeen, Codes, Counter, Gauge, Histogram, Set};
use super::section::{Group, Row, Table, completed, row, row_if, sanitized};

/// What one cluster says at one moment.
pub(super) struct Reading {
    totals: ClusterTotals,
    upkeep: UpkeepTotals,
    members: Members,
    default: Usage,
    high: Usage,
    codes: Vec<(u16, u64)>,
    codes_retried: Vec<(u16, u64)>,
    request_times: Vec<Bin>,
    connect_times: Vec<Bin>,
    connection_times: Vec<Bin>,
    secure: bool,
    checked: bool,
    watched: bool,
    discovered: Option<EndpointUpdates>,
}

/// How many endpoints there are, by health.
#[derive(Clone, Copy, Debug, Default)]
struct Members {
    total: u64,
    healthy: u64,
    degraded: u64,
    excluded: u64,
    ejected: u64,
}

/// The clusters, read now.
pub(super) fn table<'a>(
    clusters: impl Iterator<Item = &'a Arc<Cluster>>,
    discovered: &BTreeMap<Arc<str>, EndpointUpdates>,
) -> Table<Reading> {
    let group = |cluster: &Arc<Cluster>| {
        let settings = cluster.settings();
        let name = sanitized(settings.metrics_name.as_ref().unwrap_or(&settings.name));
        Group {
            prefix: format!("cluster.{name}."),
            tags: vec![("envoy_cluster_name", name.into())],
            reading: Reading::of(cluster, discovered.get(cluster.name()).cloned()),
        }
    };
    Table {
        family: "cluster.",
        rows: ROWS,
        groups: clusters.map(group).collect(),
    }
}

impl Reading {
    fn of(cluster: &Cluster, discovered: Option<EndpointUpdates>) -> Self {
        let (counts, settings) = (cluster.counted(), cluster.settings());
        let bins = |of: fn(&ClusterCounts) -> Vec<Bin>| counts.map(|counts| of(counts)).unwrap_or_default();
        let codes =
            |of: fn(&ClusterCounts) -> Vec<(u16, u64)>| counts.map(|counts| of(counts)).unwrap_or_default();
        Self {
            totals: counts.map(|counts| counts.totals()).unwrap_or_default(),
            upkeep: cluster.upkeep(),
            members: Members::of(cluster),
            default: cluster.breakers().usage(RequestPriority::Default),
            high: cluster.breakers().usage(RequestPriority::High),
            codes: codes(ClusterCounts::codes),
            codes_retried: codes(ClusterCounts::codes_retried),
            request_times: bins(ClusterCounts::request_times),
            connect_times: bins(ClusterCounts::connect_times),
            connection_times: bins(ClusterCounts::connection_times),
            secure: settings.transport.tls.is_some(),
            checked: settings.health_check.is_some(),
            watched: settings.outlier.is_some(),
            discovered,
        }
    }
}

impl Members {
    fn of(cluster: &Cluster) -> Self {
        let mut members = Self::default();
        for endpoint in cluster.endpoints().iter() {
            members.total += 1;
            match endpoint.health() {
                Health::Healthy => members.healthy += 1,
                Health::Degraded => members.degraded += 1,
                Health::Unhealthy => {}
            }
            members.ejected += u64::from(endpoint.is_ejected());
        }
        members
    }
}

fn open(used: Option<Used>) -> u64 {
    u64::from(used.is_some_and(Used::is_full))
}

/// How many there are of both priorities.
fn now(r: &Reading, of: fn(&Usage) -> Option<Used>) -> u64 {
    let used = [of(&r.default), of(&r.high)];
    used.into_iter().flatten().map(|used| used.now as u64).sum()
}

fn connections(r: &Reading) -> u64 {
    r.totals
        .connections_http1
        .wrapping_add(r.totals.connections_http2)
        .wrapping_add(r.totals.connections_relayed)
}

fn ejections(r: &Reading) -> u64 {
    let t = &r.totals;
    t.ejections_5xx
        + t.ejections_gateway
        + t.ejections_local
        + t.ejections_success_rate
        + t.ejections_failures
}

fn none(_: &Reading) -> u64 {
    0
}

fn nothing(_: &Reading) -> &[Bin] {
    &[]
}

fn is_discovered(r: &Reading) -> bool {
    r.discovered.is_some()
}

fn of_updates(r: &Reading, read: fn(&EndpointUpdates) -> u64) -> u64 {
    r.discovered.as_ref().map_or(0, read)
}

fn answered(r: &Reading) -> bool {
    !r.codes.is_empty()
}

fn timed(r: &Reading) -> bool {
    !r.request_times.is_empty()
}

fn retried(r: &Reading) -> bool {
    !r.codes_retried.is_empty()
}

fn secure(r: &Reading) -> bool {
    r.secure
}

fn checked(r: &Reading) -> bool {
    r.checked
}

fn watched(r: &Reading) -> bool {
    r.watched
}

/// Envoy's names. What is always 0 is what this proxy does not do, and what dashboards ask for all the same.
const ROWS: &[Row<Reading>] = &[
    row("assignment_stale", Counter(none)),
    row("assignment_timeout_received", Counter(none)),
    row("assignment_use_cached", Counter(none)),
    row("bind_errors", Counter(none)),
    row(
        "circuit_breakers.default.cx_open",
        Set(|r| open(r.default.connections)),
    ),
    row("circuit_breakers.default.cx_pool_open", Gauge(none)),
    row(
        "circuit_breakers.default.rq_open",
        Set(|r| open(r.default.requests)),
    ),
    row(
        "circuit_breakers.default.rq_pending_open",
        Set(|r| open(r.default.pending)),
    ),
    row(
        "circuit_breakers.default.rq_retry_open",
        Set(|r| open(r.default.retries)),
    ),
    row("circuit_breakers.high.cx_open", Set(|r| open(r.high.connections))),
    row("circuit_breakers.high.cx_pool_open", Gauge(none)),
    row("circuit_breakers.high.rq_open", Set(|r| open(r.high.requests))),
    row(
        "circuit_breakers.high.rq_pending_open",
        Set(|r| open(r.high.pending)),
    ),
    row(
        "circuit_breakers.high.rq_retry_open",
        Set(|r| open(r.high.retries)),
    ),
    row("default.total_match_count", Counter(|r| r.members.total)),
    row("external.upstream_rq", Codes(|r| &r.codes)),
    row_if(
        answered,
        "external.upstream_rq_completed",
        Counter(|r| completed(&r.codes)),
    ),
    row_if(
        timed,
        "external.upstream_rq_time",
        Histogram(|r| &r.request_times),
    ),
    row("external.upstream_rq_xx", ClassesSeen(|r| &r.codes)),
    row_if(checked, "health_check.attempt", Counter(|r| r.upkeep.checks)),
    row_if(
        checked,
        "health_check.failure",
        Counter(|r| r.upkeep.checks.saturating_sub(r.upkeep.checks_passed)),
    ),
    row_if(checked, "health_check.healthy", Set(|r| r.members.healthy)),
    row_if(
        checked,
        "health_check.success",
        Counter(|r| r.upkeep.checks_passed),
    ),
    row("http1.dropped_headers_with_underscores", Counter(none)),
    row("http1.metadata_not_supported_error", Counter(none)),
    row(
        "http1.requests_rejected_with_underscores_in_headers",
        Counter(none),
    ),
    row("http1.response_flood", Counter(none)),
    row_if(
        is_discovered,
        "init_fetch_timeout",
        Counter(|r| of_updates(r, |all| all.timeouts)),
    ),
    row("lb_healthy_panic", Counter(none)),
    row("lb_local_cluster_not_ok", Counter(none)),
    row("lb_recalculate_zone_structures", Counter(none)),
    row("lb_subsets_active", Gauge(none)),
    row("lb_subsets_created", Counter(none)),
    row("lb_subsets_fallback", Counter(none)),
    row("lb_subsets_fallback_panic", Counter(none)),
    row("lb_subsets_removed", Counter(none)),
    row("lb_subsets_selected", Counter(none)),
    row("lb_zone_cluster_too_small", Counter(none)),
    row("lb_zone_no_capacity_left", Counter(none)),
    row("lb_zone_routing_all_directly", Counter(none)),
    row("lb_zone_routing_cross_zone", Counter(none)),
    row("lb_zone_routing_sampled", Counter(none)),
    row("max_host_weight", Gauge(none)),
    row("membership_change", Counter(|r| r.upkeep.endpoint_changes)),
    row("membership_degraded", Set(|r| r.members.degraded)),
    row("membership_excluded", Set(|r| r.members.excluded)),
    row("membership_healthy", Set(|r| r.members.healthy)),
    row("membership_total", Set(|r| r.members.total)),
    row("original_dst_host_invalid", Counter(none)),
    row_if(
        watched,
        "outlier_detection.ejections_active",
        Set(|r| r.members.ejected),
    ),
    row_if(
        watched,
        "outlier_detection.ejections_enforced_consecutive_5xx",
        Counter(|r| r.totals.ejections_5xx),
    ),
    row_if(
        watched,
        "outlier_detection.ejections_enforced_consecutive_gateway_failure",
        Counter(|r| r.totals.ejections_gateway),
    ),
    row_if(
        watched,
        "outlier_detection.ejections_enforced_consecutive_local_origin_failure",
        Counter(|r| r.totals.ejections_local),
    ),
    row_if(
        watched,
        "outlier_detection.ejections_enforced_failure_percentage",
        Counter(|r| r.totals.ejections_failures),
    ),
    row_if(
        watched,
        "outlier_detection.ejections_enforced_success_rate",
        Counter(|r| r.totals.ejections_success_rate),
    ),
    row_if(
        watched,
        "outlier_detection.ejections_enforced_total",
        Counter(ejections),
    ),
    row("retry.upstream_rq", Codes(|r| &r.codes_retried)),
    row_if(
        retried,
        "retry.upstream_rq_completed",
        Counter(|r| completed(&r.codes_retried)),
    ),
    row("retry.upstream_rq_xx", ClassesSeen(|r| &r.codes_retried)),
    row("retry_or_shadow_abandoned", Counter(none)),
    row_if(secure, "ssl.connection_error", Counter(|r| r.totals.tls_failures)),
    row_if(secure, "ssl.handshake", Counter(|r| r.totals.tls_handshakes)),
    row(
        "update_attempt",
        Counter(|r| of_updates(r, EndpointUpdates::attempts)),
    ),
    row("update_empty", Counter(none)),
    row("update_failure", Counter(|r| of_updates(r, |all| all.failure))),
    row("update_no_rebuild", Counter(none)),
    row_if(
        is_discovered,
        "update_rejected",
        Counter(|r| of_updates(r, |all| all.updates.rejected)),
    ),
    row(
        "update_success",
        Counter(|r| of_updates(r, |all| all.updates.success)),
    ),
    row(
        "upstream_cx_active",
        Set(|r| connections(r).saturating_sub(r.totals.connections_ended)),
    ),
    row("upstream_cx_close_notify", Counter(none)),
    row(
        "upstream_cx_connect_attempts_exceeded",
        Counter(|r| r.totals.connects_exhausted),
    ),
    row("upstream_cx_connect_fail", Counter(|r| r.totals.connects_failed)),
    row("upstream_cx_connect_ms", Histogram(|r| &r.connect_times)),
    row(
        "upstream_cx_connect_timeout",
        Counter(|r| r.totals.connects_timed_out),
    ),
    row("upstream_cx_connect_with_0_rtt", Counter(none)),
    row("upstream_cx_destroy", Counter(|r| r.totals.connections_ended)),
    row("upstream_cx_destroy_local", Counter(none)),
    row("upstream_cx_destroy_local_with_active_rq", Counter(none)),
    row("upstream_cx_destroy_remote", Counter(none)),
    row("upstream_cx_destroy_remote_with_active_rq", Counter(none)),
    row("upstream_cx_destroy_with_active_rq", Counter(none)),
    row("upstream_cx_http1_total", Counter(|r| r.totals.connections_http1)),
    row("upstream_cx_http2_total", Counter(|r| r.totals.connections_http2)),
    row("upstream_cx_http3_total", Counter(none)),
    row("upstream_cx_idle_timeout", Counter(none)),
    row("upstream_cx_length_ms", Histogram(|r| &r.connection_times)),
    row("upstream_cx_max_duration_reached", Counter(none)),
    row("upstream_cx_max_requests", Counter(none)),
    row("upstream_cx_none_healthy", Counter(|r| r.totals.none_healthy)),
    row("upstream_cx_overflow", Counter(|r| r.totals.connects_overflowed)),
    row("upstream_cx_pool_overflow", Counter(none)),
    row("upstream_cx_preconnect_skipped", Counter(none)),
    row(
        "upstream_cx_protocol_error",
        Counter(|r| r.totals.protocol_errors),
    ),
    row("upstream_cx_rx_bytes_buffered", Gauge(none)),
    row("upstream_cx_rx_bytes_total", Counter(none)),
    row(
        "upstream_cx_total",
        Counter(|r| connections(r).wrapping_add(r.totals.connects_failed)),
    ),
    row("upstream_cx_tx_bytes_buffered", Gauge(none)),
    row("upstream_cx_tx_bytes_total", Counter(none)),
    row("upstream_flow_control_backed_up_total", Counter(none)),
    row("upstream_flow_control_drained_total", Counter(none)),
    row("upstream_flow_control_paused_reading_total", Counter(none)),
    row("upstream_flow_control_resumed_reading_total", Counter(none)),
    row("upstream_http3_broken", Counter(none)),
    row("upstream_internal_redirect_failed_total", Counter(none)),
    row("upstream_internal_redirect_succeeded_total", Counter(none)),
    row("upstream_queue_overloaded", Gauge(none)),
    row("upstream_rq", Codes(|r| &r.codes)),
    row("upstream_rq_0rtt", Counter(none)),
    row("upstream_rq_active", Set(|r| now(r, |usage| usage.requests))),
    row(
        "upstream_rq_active_overflow",
        Counter(|r| r.totals.requests_overflowed),
    ),
    row("upstream_rq_cancelled", Counter(|r| r.totals.cancelled)),
    row_if(
        answered,
        "upstream_rq_completed",
        Counter(|r| completed(&r.codes)),
    ),
    row("upstream_rq_maintenance_mode", Counter(none)),
    row("upstream_rq_max_duration_reached", Counter(|r| r.totals.too_long)),
    row(
        "upstream_rq_pending_active",
        Set(|r| now(r, |usage| usage.pending)),
    ),
    row(
        "upstream_rq_pending_failure_eject",
        Counter(|r| r.totals.waits_failed),
    ),
    row(
        "upstream_rq_pending_overflow",
        Counter(|r| r.totals.waits_overflowed),
    ),
    row("upstream_rq_pending_total", Counter(|r| r.totals.waits)),
    row("upstream_rq_per_cx", Histogram(nothing)),
    row("upstream_rq_per_try_idle_timeout", Counter(none)),
    row(
        "upstream_rq_per_try_timeout",
        Counter(|r| r.totals.per_try_timeouts),
    ),
    row("upstream_rq_retry", Counter(|r| r.totals.retries)),
    row(
        "upstream_rq_retry_backoff_exponential",
        Counter(|r| r.totals.retries),
    ),
    row("upstream_rq_retry_backoff_ratelimited", Counter(none)),
    row(
        "upstream_rq_retry_limit_exceeded",
        Counter(|r| r.totals.retries_exhausted),
    ),
    row(
        "upstream_rq_retry_overflow",
        Counter(|r| r.totals.retries_overflowed),
    ),
    row(
        "upstream_rq_retry_success",
        Counter(|r| r.totals.retries_answered),
    ),
    row("upstream_rq_rx_reset", Counter(|r| r.totals.resets)),
    row("upstream_rq_rx_reset_no_error", Counter(none)),
    row_if(timed, "upstream_rq_time", Histogram(|r| &r.request_times)),
    row("upstream_rq_timeout", Counter(|r| r.totals.timeouts)),
    row("upstream_rq_total", Counter(|r| r.totals.requests)),
    row("upstream_rq_tx_reset", Counter(none)),
    row("upstream_rq_xx", ClassesSeen(|r| &r.codes)),
    row("version", Gauge(|r| of_updates(r, EndpointUpdates::version))),
    row("warming_state", Set(none)),
];
