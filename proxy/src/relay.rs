//! What becomes of connections that carry no HTTP: their bytes go to a cluster as they are, and its bytes back.
//!
//! TLS ends here where the filter chain speaks it, and begins anew where the cluster does. The end of either side is the end of what
//! the other reads, so that protocols go on which half-close; a side that resets its connection resets the other. In memory are at
//! most [`limits::TUNNEL_BUFFER_BYTES`] for each direction.
//!
//! ```
//! use tidegate_proxy::listener::ListenerSettings;
//! use tidegate_proxy::listener::chain::{FilterChain, FilterChains};
//! use tidegate_proxy::relay::RelaySettings;
//! use tidegate_proxy::route::Split;
//!
//! let relay = RelaySettings::to(Split::single("database", [].into()));
//! let chains = FilterChains::one(FilterChain::relay(relay))?;
//! let address: std::net::SocketAddr = "127.0.0.1:0".parse()?;
//! let settings = ListenerSettings::new("database", address, chains);
//! # drop(settings);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::config::limits;
use crate::observe::access_log::AccessLog;
use crate::observe::counts::RelayCounts;
use crate::route::Split;

mod serve;

pub(crate) use serve::serve;

/// Where a filter chain's bytes go.
#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// The name that its numbers are shown under; several chains of one name count together. Default: empty.
    pub metrics_name: Arc<str>,
    /// The cluster that a connection goes to; what a split says about requests means nothing here. Without the cluster the connection
    /// is closed.
    pub to: Arc<Split>,
    /// How long a connection may be without a byte moving in either direction; `None` for ever. Default:
    /// [`limits::RELAY_IDLE_TIMEOUT`].
    pub idle: Option<Duration>,
    /// How long a connection may last; then it is closed. Default: for ever.
    pub lasts_max: Option<Duration>,
    /// How many endpoints are tried one after the other until one accepts the connection. Default: one.
    pub attempts_max: NonZeroU32,
    /// Whether connections of one client go to the same endpoint, where the cluster goes by hashes. Default: no.
    pub by_client: bool,
    /// What is written about each connection when it is over. Default: nothing.
    pub access_logs: Vec<AccessLog>,
}

impl RelaySettings {
    /// The defaults, to these clusters.
    #[must_use]
    pub fn to(split: impl Into<Arc<Split>>) -> Self {
        Self {
            metrics_name: "".into(),
            to: split.into(),
            idle: Some(limits::RELAY_IDLE_TIMEOUT),
            lasts_max: None,
            attempts_max: NonZeroU32::MIN,
            by_client: false,
            access_logs: Vec::new(),
        }
    }
}

/// A chain's relay, and what it has counted.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) settings: Arc<RelaySettings>,
    counts: OnceLock<Arc<RelayCounts>>,
}

impl Relay {
    pub(crate) fn new(settings: Arc<RelaySettings>) -> Self {
        Self {
            settings,
            counts: OnceLock::new(),
        }
    }

    /// From now on it counts here, if it does not elsewhere.
    pub(crate) fn enrol(&self, counts: Arc<RelayCounts>) {
        // What has its books already keeps them.
        _ = self.counts.set(counts);
    }

    /// What has happened in it; of one without a listener nobody sees it.
    pub(crate) fn counts(&self) -> &Arc<RelayCounts> {
        self.counts.get_or_init(Arc::default)
    }
}
