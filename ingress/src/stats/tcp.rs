//! What is shown of each TCP proxy: `tcp.<prefix>.…`?

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_proxy::observe::counts::relay::RelayTotals;
use tidegate_proxy::observe::counts::{ListenerCounts, RelayCounts};

use super::section::Read::{Counter, Gauge};
use super::section::{Group, Row, Table, row};

/// What the TCP proxies of one prefix say at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading(RelayTotals);

/// The TCP proxies by prefix, all listeners taken together.
pub(super) fn table(listeners: &[Arc<ListenerCounts>]) -> Table<Reading> {
    let mut prefixes: BTreeMap<Arc<str>, Vec<Arc<RelayCounts>>> = BTreeMap::new();
    for (prefix, counts) in listeners.iter().flat_map(|listener| listener.relays()) {
        prefixes.entry(prefix).or_default().push(counts);
    }
    let group = |(prefix, counts): (Arc<str>, Vec<Arc<RelayCounts>>)| Group {
        prefix: format!("tcp.{prefix}."),
        tags: vec![("envoy_tcp_prefix", prefix)],
        reading: Reading::of(&counts),
    };
    Table {
        family: "tcp.",
        rows: ROWS,
        groups: prefixes.into_iter().map(group).collect(),
    }
}

impl Reading {
    fn of(counts: &[Arc<RelayCounts>]) -> Self {
        let mut reading = Self::default();
        counts.iter().for_each(|counts| reading.0 += counts.totals());
        reading
    }
}

fn none(_: &Reading) -> u64 {
    0
}

/// Envoy's names. What is always 0 is what this proxy does not do, and what dashboards ask for all the same.
const ROWS: &[Row<Reading>] = &[
    row("downstream_cx_drain_close", Counter(none)),
    row("downstream_cx_no_route", Counter(|r| r.0.no_cluster)),
    row("downstream_cx_overload_close", Counter(none)),
    row("downstream_cx_rx_bytes_buffered", Gauge(none)),
    row("downstream_cx_rx_bytes_total", Counter(|r| r.0.received)),
    row("downstream_cx_total", Counter(|r| r.0.connections)),
    row("downstream_cx_tx_bytes_buffered", Gauge(none)),
    row("downstream_cx_tx_bytes_total", Counter(|r| r.0.sent)),
    row("downstream_flow_control_paused_reading_total", Counter(none)),
    row("downstream_flow_control_resumed_reading_total", Counter(none)),
    row("early_data_received_count_total", Counter(none)),
    row("idle_timeout", Counter(|r| r.0.idle_timeouts)),
    row("max_downstream_connection_duration", Counter(|r| r.0.too_long)),
    row("route_delayed_total", Counter(none)),
    row("upstream_flush_active", Gauge(none)),
    row("upstream_flush_total", Counter(none)),
];
