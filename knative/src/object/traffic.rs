//! Where a share of a route's traffic goes.

use serde::{Deserialize, Serialize};

/// One entry of `spec.traffic`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficTarget {
    /// Which revision.
    pub to: TrafficTo,
    /// Gives this entry a host of its own, `TAG-NAME`; an RFC 1035 label, unique within the route.
    pub tag: Option<String>,
    /// Share of the route's own traffic, 0 to 100. Default 0.
    pub percent: u8,
}

/// What a traffic entry points at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TrafficTo {
    /// The revision with this name, for good (`latestRevision: false`).
    Revision(String),
    /// The latest ready revision of the configuration with this name (`latestRevision: true`).
    ///
    /// In a Service this is the Service's own configuration, which has the Service's name.
    LatestOf(String),
}
