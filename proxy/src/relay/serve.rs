//! One connection that carries no HTTP, from its first byte to its end: which endpoint it goes to, and what is told of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Relay;
use crate::cluster::breaker::RequestPriority;
use crate::cluster::outlier::Outcome;
use crate::cluster::{Cluster, Endpoint, InFlight, Preference};
use crate::config::limits;
use crate::connection::{Presence, Socket};
use crate::drain::Watch;
use crate::error::{Error, Kind};
use crate::observe::counts::one;
use crate::observe::record::{OpenTry, Record};
use crate::pool::{Freshness, Held, Stream, Wanted};
use crate::route::hash;
use crate::upgrade::flow::Flow;
use crate::worker::Proxy;

/// Passes a client's bytes on until both sides have ended, or something ends them.
pub(crate) async fn serve(mut socket: Socket, presence: &Presence, proxy: &Proxy, relay: &Relay) {
    // What is written and not read goes by the time in which nothing moves.
    socket.may_stall(None);
    let mut visit = Visit::begin(proxy, relay);
    let over = Over::of(relay, proxy.drain());
    let connected = tokio::select! {
        connected = connect(proxy, &mut visit) => connected,
        cut = over.reached() => return visit.cut(cut),
    };
    let (stream, held, in_flight) = match connected {
        Ok(connected) => connected,
        Err(error) => {
            tracing::debug!(reason = error.kind().name(), %error, "a connection goes nowhere");
            return visit.failed(error.kind());
        }
    };
    let mut flow = Flow::new(socket, stream);
    let idle = relay.settings.idle;
    let ended = tokio::select! {
        ended = flow.run(idle, None, |received, sent| visit.moved(received, sent)) => ended,
        cut = over.reached() => return visit.cut(cut),
    };
    match ended {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::TimedOut => one(&relay.counts().cells().idle_timeouts),
        Err(error) => {
            tracing::debug!(%error, "one side of a connection broke, and takes the other along");
            presence.reset_on_close();
            flow.upstream().reset_on_close();
        }
    }
    drop((flow, held, in_flight));
}

/// What ends a connection that goes on.
struct Over {
    lasts_max: Option<Instant>,
    drain: Watch,
}

/// Why a connection was ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    TooLong,
    Drained,
}

impl Over {
    fn of(relay: &Relay, drain: &Watch) -> Self {
        let longest = |longest: Duration| Instant::now().checked_add(longest);
        Self {
            lasts_max: relay.settings.lasts_max.and_then(longest),
            drain: drain.clone(),
        }
    }

    async fn reached(&self) -> Cut {
        let too_long = async {
            match self.lasts_max {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = too_long => Cut::TooLong,
            () = self.drain.forced() => Cut::Drained,
        }
    }
}

/// A connection to an endpoint, for a client whose bytes mean nothing here.
async fn connect(proxy: &Proxy, visit: &mut Visit<'_>) -> Result<(Stream, Held, InFlight), Error> {
    let (settings, peer) = (&visit.relay.settings, proxy.peer());
    let part = settings.to.pick();
    let cluster = proxy.worker().config.load().cluster(&part.cluster).cloned();
    let cluster = cluster.ok_or_else(|| Error::new(Kind::ClusterMissing))?;
    if let Some(record) = &visit.record {
        record.relayed(cluster.name());
    }
    let mut preference = Preference {
        hash: peer.ip_text().filter(|_| settings.by_client).map(hash::of_client),
        attempt: 0,
    };
    let mut tried: Vec<Arc<Endpoint>> = Vec::new();
    loop {
        let endpoint = cluster.pick_other(preference, &tried, limits::HOST_RESELECTIONS_MAX);
        let Some(endpoint) = endpoint else {
            one(&cluster.counts().cells().none_healthy);
            return Err(Error::new(Kind::NoHealthyUpstream));
        };
        let error = match attempt(proxy, visit, &cluster, &endpoint).await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        if error.kind() == Kind::BreakerOpen {
            return Err(error);
        }
        cluster.note(&endpoint, Outcome::LocalFailure);
        preference.attempt += 1;
        if preference.attempt >= settings.attempts_max.get() {
            one(&cluster.counts().cells().connects_exhausted);
            return Err(error);
        }
        // As many endpoints as are told apart; of more the first may be asked again.
        if tried.len() < limits::RELAY_ENDPOINTS_AVOIDED_MAX {
            tried.push(endpoint);
        }
    }
}

async fn attempt(
    proxy: &Proxy,
    visit: &Visit<'_>,
    cluster: &Cluster,
    endpoint: &Endpoint,
) -> Result<(Stream, Held, InFlight), Error> {
    let record = visit.record.as_ref();
    // Its end is the end of the attempt.
    let _open = record.map(|record| OpenTry::connecting(record, cluster.name(), endpoint.address()));
    let wanted = Wanted {
        cluster,
        endpoint,
        freshness: Freshness::New,
        priority: RequestPriority::Default,
    };
    let client = proxy.peer().addresses();
    let (stream, held) = proxy.worker().pool.dial_bytes(wanted, client).await?;
    one(&cluster.counts().cells().requests);
    one(&endpoint.state().counts().requests);
    cluster.note(endpoint, Outcome::Success);
    Ok((stream, held, endpoint.begin()))
}

/// One connection in the books: it is closed there on every way out.
struct Visit<'a> {
    relay: &'a Relay,
    record: Option<Arc<Record>>,
    received: u64,
    sent: u64,
    flags: Option<&'static str>,
}

impl<'a> Visit<'a> {
    fn begin(proxy: &Proxy, relay: &'a Relay) -> Self {
        one(&relay.counts().cells().connections);
        Self {
            relay,
            record: Record::connection(proxy.shared_peer()),
            received: 0,
            sent: 0,
            flags: None,
        }
    }

    fn moved(&mut self, received: u64, sent: u64) {
        let new = (received - self.received, sent - self.sent);
        self.relay.counts().moved(new.0, new.1);
        (self.received, self.sent) = (received, sent);
    }

    fn cut(mut self, cut: Cut) {
        if cut == Cut::TooLong {
            one(&self.relay.counts().cells().too_long);
            self.flags = Some(DURATION_TIMEOUT);
        }
    }

    fn failed(mut self, kind: Kind) {
        if kind == Kind::ClusterMissing {
            one(&self.relay.counts().cells().no_cluster);
        }
        self.flags = Some(match kind {
            Kind::ConnectFailed | Kind::ConnectTimeout | Kind::UpstreamTls => ATTEMPTS_EXHAUSTED,
            kind => kind.row().flag,
        });
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        one(&self.relay.counts().cells().ended);
        if let Some(record) = self.record.take() {
            record.finish_relay(self.flags, self.received, self.sent);
        }
    }
}

/// Envoy's flags: the upstream connection failed, as often as it may.
const ATTEMPTS_EXHAUSTED: &str = "UF,URX";
const DURATION_TIMEOUT: &str = "DT";
