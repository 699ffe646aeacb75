//! Whether an endpoint is healthy, found out by asking it.
//!
//! The decision is pure ([`Course`]); asking is a thin layer over it, one task for each cluster, started by
//! [`Cluster::watch`](super::Cluster::watch).
//!
//! ```
//! use std::net::SocketAddr;
//! use tidegate_proxy::cluster::health::{HealthCheck, HttpProbe, Probe};
//! use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint, Health};
//! use tidegate_proxy::drain::Drain;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let check = HealthCheck::new(Probe::Http(HttpProbe::get("/healthz")));
//! let settings = ClusterSettings { health_check: Some(check.into()), ..ClusterSettings::new("app") };
//! let cluster = Cluster::new(settings);
//! cluster.set_endpoints(vec![Endpoint::new("127.0.0.1:1".parse::<SocketAddr>()?).into()]);
//! let (_drain, watch) = Drain::new();
//! // Checks begin here, and with them endpoints are unhealthy until a check has succeeded.
//! cluster.watch(&watch);
//! assert_eq!(cluster.endpoints()[0].health(), Health::Unhealthy);
//! # Ok(()) }
//! ```

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};

use crate::config::limits;

mod course;
mod grpc;
mod http1;
mod probe;
mod task;
mod tcp;

pub(crate) use course::{Change, Course, Finding};
pub(crate) use task::run;

/// How the endpoints of a cluster are checked; the defaults of [`HealthCheck::new`] are Envoy's usual ones.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// How long an answer may take, the connection included. Default: [`limits::CHECK_TIMEOUT`].
    pub timeout: Duration,
    /// The time between two checks of a healthy endpoint. Default: [`limits::CHECK_INTERVAL`].
    pub interval: Duration,
    /// The time between two checks of an unhealthy one. Default: the same.
    pub unhealthy_interval: Duration,
    /// By how much of itself, in percent, an interval is longer by chance, so that not all endpoints are asked at once.
    /// Default: 10.
    pub jitter_percent: u8,
    /// How many failures in a row make a healthy endpoint unhealthy; an answer that says so itself does at once. Default: 3.
    pub failures_max: u32,
    /// How many successes in a row make an unhealthy endpoint healthy; for one that was never checked, one does. Default: 2.
    pub successes_min: u32,
}

/// What an endpoint is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// A GET, in the protocol that the cluster speaks.
    Http(HttpProbe),
    /// A connection, and perhaps some bytes each way.
    Tcp(TcpProbe),
    /// `grpc.health.v1.Health/Check`.
    Grpc(GrpcProbe),
}

/// A request without a body, and what answers are good.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpProbe {
    /// The method. Default: GET.
    pub method: Method,
    /// Fields that are added; those of one name replace what is sent otherwise. Default: none.
    pub fields: HeaderMap,
    /// The path and query.
    pub path: Box<str>,
    /// The host; by default the endpoint's name, else the cluster's.
    pub host: Option<Box<str>>,
    /// The statuses of a healthy endpoint. Default: 200.
    pub expected: Vec<RangeInclusive<u16>>,
    /// The statuses that count as one failure; any other says at once that the endpoint is unhealthy. Default: none.
    pub retriable: Vec<RangeInclusive<u16>>,
    /// A field with which a healthy endpoint says that it is degraded. Default: none.
    pub degraded_header: Option<HeaderName>,
}

/// What is sent over a connection, and what has to come back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TcpProbe {
    /// What is sent; by default nothing.
    pub send: Bytes,
    /// What has to come, in this order and with anything in between; by default nothing.
    pub receive: Vec<Bytes>,
}

/// Which service is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GrpcProbe {
    /// The service; by default the empty name: the server as a whole.
    pub service: Box<str>,
    /// The authority; by default the endpoint's name, else the cluster's.
    pub authority: Option<Box<str>>,
}

impl HealthCheck {
    /// The defaults with this probe.
    #[must_use]
    pub fn new(probe: Probe) -> Self {
        Self {
            probe,
            timeout: limits::CHECK_TIMEOUT,
            interval: limits::CHECK_INTERVAL,
            unhealthy_interval: limits::CHECK_INTERVAL,
            jitter_percent: 10,
            failures_max: 3,
            successes_min: 2,
        }
    }
}

impl HttpProbe {
    /// A GET of `path` that has to be answered with 200.
    #[must_use]
    pub fn get(path: impl Into<Box<str>>) -> Self {
        Self {
            method: Method::GET,
            fields: HeaderMap::new(),
            path: path.into(),
            host: None,
            expected: vec![200..=200],
            retriable: Vec::new(),
            degraded_header: None,
        }
    }

    /// What an answer with this status says.
    fn finding(&self, status: u16, degraded: bool) -> Finding {
        let among = |ranges: &[RangeInclusive<u16>]| ranges.iter().any(|range| range.contains(&status));
        match (among(&self.expected), among(&self.retriable)) {
            (true, _) if degraded => Finding::Degraded,
            (true, _) => Finding::Healthy,
            (false, true) => Finding::Failed,
            (false, false) => Finding::Unhealthy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_how_the_endpoint_is() {
        let probe = HttpProbe {
            expected: vec![200..=204],
            retriable: vec![429..=429],
            ..HttpProbe::get("/")
        };
        assert_eq!(probe.finding(204, false), Finding::Healthy);
        assert_eq!(probe.finding(204, true), Finding::Degraded);
        assert_eq!(probe.finding(429, true), Finding::Failed);
        assert_eq!(probe.finding(503, false), Finding::Unhealthy);
    }
}
