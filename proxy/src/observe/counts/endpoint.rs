//! What has happened at one endpoint of a cluster.
//!
//! ```
//! use std::net::SocketAddr;
//! use tidegate_proxy::cluster::Endpoint;
//!
//! let endpoint = Endpoint::new("10.0.0.1:80".parse::<SocketAddr>()?);
//! assert_eq!(endpoint.totals().requests, 0);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use super::{numbers, one};
use crate::error::{Error, Kind};

numbers! {
    /// What an endpoint has counted.
    EndpointCounts, EndpointTotals {
        /// Tries that got a connection.
        requests,
        /// Tries that were answered with a status below 500.
        answered,
        /// Tries that were answered with another, or not at all.
        failed,
        /// Those that took too long.
        timeouts,
        /// Connections that came to be.
        connections,
        /// Connections that have ended.
        connections_ended,
        /// Connections that did not come to be.
        connects_failed,
    }
}

impl EndpointCounts {
    pub(crate) fn ended(&self, outcome: Result<u16, &Error>) {
        match outcome {
            Ok(..500) => one(&self.answered),
            Ok(_) => one(&self.failed),
            Err(error) => {
                match error.kind() {
                    Kind::ClientClosed => return,
                    Kind::PerTryTimeout | Kind::RequestTimeout => one(&self.timeouts),
                    _ => {}
                }
                one(&self.failed);
            }
        }
    }
}
