//! How do the sidecar's numbers reach whoever collects them, if anybody does?

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_knative::observability::{Export, Listen, NoAddress, Protocol};
use tidegate_proxy::drain::Watch;
use tidegate_proxy::listener::chain::FilterChain;
use tidegate_proxy::observe::instruments::{Instruments, Pusher};
use tidegate_proxy::observe::trace::{Collector, CollectorError};
use tidegate_proxy::process;
use tokio::task::JoinHandle;

use super::listeners::{Listeners, OpenError};
use super::log::Log;

/// The port unless another is set.
const PORT: u16 = 9091;

/// How they are collected.
#[derive(Debug)]
pub(super) enum Collected {
    /// Prometheus scrapes them here.
    Here(Listen),
    /// They are sent there, this often.
    There(Collector, Duration),
}

impl Collected {
    /// As the operator says; none where nobody wants them, or cannot get them, which is said: requests are served in any case.
    pub(super) fn of(
        export: &Export,
        get: impl Fn(&str) -> Option<String>,
        log: &Log,
    ) -> Result<Option<Self>, NoAddress> {
        let collector = match export.protocol {
            Protocol::None | Protocol::Stdout => return Ok(None),
            Protocol::Prometheus => {
                return Ok(Some(Self::Here(Listen::at(&export.endpoint, PORT, get)?)));
            }
            Protocol::Grpc => Collector::grpc(&export.endpoint),
            Protocol::Http => Collector::http(&export.endpoint),
        };
        let complain = |error: &CollectorError| log.error(format_args!("numbers are not sent: {error}"));
        let collector = collector.inspect_err(complain).ok();
        Ok(collector.map(|collector| Self::There(collector, export.interval)))
    }

    /// Whether they are scraped here.
    pub(super) fn are_here(&self) -> bool {
        matches!(self, Self::Here(_))
    }

    /// Listens, or begins to send; who sends is done some time after the drain.
    pub(super) fn start(
        self,
        (listeners, chain): (&mut Listeners, FilterChain),
        instruments: &Arc<Instruments>,
        watch: &Watch,
    ) -> Result<Option<JoinHandle<()>>, OpenError> {
        match self {
            Self::Here(Listen { host: None, port }) => listeners.open("metrics", port, chain).map(|_| None),
            Self::Here(Listen {
                host: Some(host),
                port,
            }) => listeners
                .open_at("metrics", SocketAddr::new(host, port), chain)
                .map(|_| None),
            Self::There(collector, interval) => {
                let pusher = Pusher::new(Arc::clone(instruments), collector, interval);
                Ok(Some(process::spawn(
                    "metrics",
                    watch.unguarded(),
                    pusher.run(watch.clone()),
                )))
            }
        }
    }
}
