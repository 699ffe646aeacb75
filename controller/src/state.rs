//! What has to be remembered from one plan to the next: generations, immutable revisions, where traffic went.
//!
//! It is plain data; whoever calls [`plan`](crate::plan()) stores it (its serialized form is our own).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_knative::object::RevisionTemplate;

use crate::name::ObjectName;

/// Everything that a plan remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The configurations, among them the Services' own.
    pub configurations: BTreeMap<ObjectName, ConfigurationState>,
    /// The routes, among them the Services' own.
    pub routes: BTreeMap<ObjectName, RouteState>,
}

/// What is remembered of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationState {
    /// The Service it belongs to; none for a Configuration that was written as such.
    pub service: Option<String>,
    /// How many templates it has had; a reverted template counts anew. 0 before the first.
    pub generation: u64,
    /// The template of `generation`.
    pub template: Option<Arc<RevisionTemplate>>,
    /// `status.latestCreatedRevisionName`.
    pub latest_created: Option<String>,
    /// `status.latestReadyRevisionName`.
    pub latest_ready: Option<String>,
    /// Its revisions by name.
    pub revisions: BTreeMap<String, RevisionState>,
}

/// What is remembered of a revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionState {
    /// The newest generation of its configuration that it was made for.
    pub generation: u64,
    /// What it runs; never changes.
    pub template: Arc<RevisionTemplate>,
    /// When it was made.
    pub created: UnixTime,
    /// Whether it may take traffic: a replica was ready once, or there was nothing that it replaced.
    pub proven: bool,
    /// Whether a route names it.
    pub routing: RoutingState,
    /// Since when `routing` is what it is.
    pub routing_since: UnixTime,
}

/// What is remembered of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteState {
    /// The Service it belongs to; none for a Route that was written as such.
    pub service: Option<String>,
    /// `status.traffic`: where requests go. Empty before a first complete set of targets was found.
    pub traffic: Vec<Assignment>,
}

/// One entry of `status.traffic`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// The revision.
    pub revision: String,
    /// The tag that leads to it.
    pub tag: Option<String>,
    /// Its share of the route's own traffic, in percent.
    pub percent: u8,
    /// Whether it was chosen as the latest of a configuration, not by its name.
    pub latest: bool,
}

/// Whether a route names a revision (label `serving.knative.dev/routingState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoutingState {
    /// No route has named it yet: its scale bounds count.
    Pending,
    /// A route names it.
    Active,
    /// No route names it any more: it is kept for a rollback, at no replicas.
    Reserve,
}

impl RoutingState {
    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Reserve => "reserve",
        }
    }
}

/// Whole seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// How long ago it was; nothing if it is yet to come.
    #[must_use]
    pub const fn elapsed(self, now: Self) -> Duration {
        Duration::from_secs(now.0.saturating_sub(self.0))
    }
}
