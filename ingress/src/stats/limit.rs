//! What is shown of each bound on a filter chain's connections: `connection_limit.<prefix>.…`?

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_proxy::observe::counts::ListenerCounts;

use super::section::Read::{Counter, Set};
use super::section::{Group, Row, Table, row};

/// What the bounds of one prefix say at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    open: u64,
    refused: u64,
}

/// The bounds by prefix, all listeners taken together.
pub(super) fn table(listeners: &[Arc<ListenerCounts>]) -> Table<Reading> {
    let mut prefixes: BTreeMap<Arc<str>, Reading> = BTreeMap::new();
    for limit in listeners.iter().flat_map(|listener| listener.limits().to_vec()) {
        let reading = prefixes.entry(Arc::clone(&limit.metrics_name)).or_default();
        reading.open += limit.open() as u64;
        reading.refused += limit.refused();
    }
    let group = |(prefix, reading): (Arc<str>, Reading)| Group {
        prefix: format!("connection_limit.{prefix}."),
        tags: vec![("envoy_connection_limit_prefix", prefix)],
        reading,
    };
    Table {
        family: "connection_limit.",
        rows: ROWS,
        groups: prefixes.into_iter().map(group).collect(),
    }
}

const ROWS: &[Row<Reading>] = &[
    row("active_connections", Set(|r| r.open)),
    row("limited_connections", Counter(|r| r.refused)),
];
