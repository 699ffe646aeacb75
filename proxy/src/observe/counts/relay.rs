//! What has happened to the connections of filter chains that carry no HTTP, by the name of their chain.
//!
//! ```
//! use tidegate_proxy::observe::counts::RelayCounts;
//!
//! assert_eq!(RelayCounts::default().totals().connections, 0);
//! ```

use std::sync::atomic::Ordering;

use super::numbers;
use super::striped::Striped;

numbers! {
    /// What the relays of one name have counted.
    Cells, RelayTotals {
        /// Connections that were taken up.
        connections,
        /// Of those, the ones that have ended.
        ended,
        /// Connections whose cluster is not there.
        no_cluster,
        /// Bytes that came from clients.
        received,
        /// Bytes that came from endpoints.
        sent,
        /// Connections in which nothing moved for too long.
        idle_timeouts,
        /// Connections that lasted longer than any may.
        too_long,
    }
}

/// What has happened in the relays of one listener that have one name.
#[derive(Debug, Default)]
pub struct RelayCounts {
    stripes: Striped<Cells>,
}

impl RelayCounts {
    /// The numbers now.
    #[must_use]
    pub fn totals(&self) -> RelayTotals {
        let mut totals = RelayTotals::default();
        self.stripes.iter().for_each(|cells| cells.add_to(&mut totals));
        totals
    }

    pub(crate) fn cells(&self) -> &Cells {
        self.stripes.mine()
    }

    pub(crate) fn moved(&self, received: u64, sent: u64) {
        let cells = self.cells();
        cells.received.fetch_add(received, Ordering::Relaxed);
        cells.sent.fetch_add(sent, Ordering::Relaxed);
    }
}
