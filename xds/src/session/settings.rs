//! How a session is set up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::limits;
use crate::resource::Kind;
use crate::wire::Node;

/// How a session is set up; the defaults are Envoy's.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whole states, or changes. Default: whole states.
    pub variant: Variant,
    /// The kinds that it asks for, of those that are wanted. Default: all.
    pub kinds: BTreeSet<Kind>,
    /// Who asks.
    pub node: Node,
    /// On which requests the node stands. Default: the first of each stream.
    pub node_on: NodeOn,
    /// How many requests go out (`rate_limit_settings`). Default: no limit but that of equal NACKs.
    pub rate_limit: Option<RateLimit>,
    /// How long to wait between streams. Default: 500 ms, doubling to 30 s.
    pub backoff: Backoff,
    /// How long the first resources of a kind may take (`initial_fetch_timeout`); none to wait for ever. Default:
    /// [`limits::INITIAL_FETCH_TIMEOUT`] for kinds that are not here.
    pub fetch_timeouts: BTreeMap<Kind, Option<Duration>>,
}

/// What the messages of a stream carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// All there is (`api_type: GRPC`).
    #[default]
    StateOfTheWorld,
    /// What has changed (`api_type: DELTA_GRPC`).
    Delta,
}

/// On which requests the node stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeOn {
    /// The first of a stream (`set_node_on_first_message_only`); servers must not need more.
    #[default]
    First,
    /// All of them, for servers that do.
    All,
}

/// A bucket of tokens, of which each request takes one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// How many it holds. Default: 100.
    pub tokens_max: u32,
    /// How many come each second. Default: 10.
    pub per_second: f64,
}

/// How long to wait before the next stream: a random time below a bound that doubles with each failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first bound.
    pub base: Duration,
    /// The last bound.
    pub max: Duration,
}

impl Settings {
    /// The defaults for this node.
    #[must_use]
    pub fn new(node: Node) -> Self {
        Self {
            variant: Variant::default(),
            kinds: Kind::ALL.into(),
            node,
            node_on: NodeOn::default(),
            rate_limit: None,
            backoff: Backoff::default(),
            fetch_timeouts: BTreeMap::new(),
        }
    }

    /// How long the first resources of a kind may take.
    pub(super) fn fetch_timeout(&self, kind: Kind) -> Option<Duration> {
        let set = self.fetch_timeouts.get(&kind).copied();
        set.unwrap_or(Some(limits::INITIAL_FETCH_TIMEOUT))
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            tokens_max: limits::REQUEST_TOKENS_MAX,
            per_second: limits::REQUEST_TOKENS_PER_SECOND,
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: limits::RECONNECT_BACKOFF_BASE,
            max: limits::RECONNECT_BACKOFF_MAX,
        }
    }
}
