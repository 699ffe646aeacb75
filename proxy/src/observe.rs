//! What was recorded about a request: a guard that accounts for it on every way out.
//!
//! ```
//! use http::Request;
//! use http_body_util::BodyExt;
//! use tidegate_proxy::config::Handle;
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::error::Kind;
//! use tidegate_proxy::{Body, Proxy};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (_drain, watch) = Drain::new();
//! let proxy = Proxy::new(Handle::default(), watch);
//! let request = Request::get("http://a.example/").body(Body::empty())?;
//! let response = proxy.clone().oneshot(request).await?;
//! // A request is over when its response has ended.
//! assert_eq!(proxy.ledger().totals().in_progress, 1);
//! response.into_body().collect().await?;
//! let totals = proxy.ledger().totals();
//! assert_eq!((totals.in_progress, totals.failed(Kind::NoRoute)), (0, 1));
//! # Ok(()) }
//! ```

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame};

use crate::body::Body;
use crate::clock;
use crate::connection::Peer;
use crate::error::{Error, Kind, Worded};
use crate::observe::counts::one;
use crate::observe::ledger::Ending;
use crate::observe::metrics::ProxyMetrics;
use crate::observe::record::Record;
use crate::route::Found;

pub mod access_log;
pub mod counts;
pub mod exercise;
pub mod instruments;
pub mod ledger;
pub mod lines;
pub mod metrics;
pub(crate) mod record;
pub mod request_id;
pub mod told;
pub mod trace;

/// One accepted request, until the last byte of its response, the end of its tunnel, or whatever cuts it off.
///
/// It begins with the head of the request and travels in the body of the response. Ends as answered, as failed with a
/// reason, or as aborted by its client: accepted = answered + failed + aborted, always and once.
#[derive(Debug)]
pub(crate) struct Observation {
    metrics: Arc<ProxyMetrics>,
    peer: Arc<Peer>,
    started: Moment,
    state: State,
    /// Whether the response has no body on the wire, whatever its fields say (RFC 9110 §9.3.2).
    head_only: bool,
    /// Whether the process has made room for it.
    admitted: bool,
    /// Bytes of the response's body so far.
    sent: u64,
    /// Bytes that the head of the response has promised and that are still to come, where it has.
    promised: Option<NonZeroU64>,
    /// What is written about it when it is over, if anybody wants to know.
    record: Option<Arc<Record>>,
}

/// A point in time as a worker counts it: half of an `Instant`, as every body has room for one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    nanos: u64,
}

impl Moment {
    /// Now, counted from `epoch`.
    pub(crate) fn since(epoch: Instant) -> Self {
        let nanos =
            u64::try_from(clock::now_std().saturating_duration_since(epoch).as_nanos()).unwrap_or(u64::MAX);
        Self { nanos }
    }

    /// The time from this moment to `later`.
    pub(crate) fn until(self, later: Self) -> Duration {
        Duration::from_nanos(later.nanos.saturating_sub(self.nanos))
    }
}

/// How far a request has come.
#[derive(Clone, Copy, Debug)]
enum State {
    /// There is no response yet.
    Open,
    /// An upstream or the route has answered; `whole` says that nothing of the answer is left to wait for.
    Answering { status: StatusCode, whole: bool },
    /// The answer is an error of ours.
    Failing(Kind),
    /// It is in the books.
    Settled,
}

impl Observation {
    /// A request whose head is complete.
    pub(crate) fn begin(metrics: &Arc<ProxyMetrics>, peer: &Arc<Peer>, request: &mut Request<Body>) -> Self {
        let mut observation = Self::bare(metrics, peer, request.method());
        peer.counts().began(request.version());
        observation.record = Record::begin(peer, request);
        if !request.body().is_end_stream() {
            request.body_mut().count(Received {
                metrics: Arc::clone(metrics),
                peer: Arc::clone(peer),
                record: observation.record.clone(),
                bytes: 0,
                tally: None,
            });
        }
        observation
    }

    fn bare(metrics: &Arc<ProxyMetrics>, peer: &Arc<Peer>, method: &Method) -> Self {
        metrics.began();
        Self {
            metrics: Arc::clone(metrics),
            peer: Arc::clone(peer),
            started: metrics.now(),
            state: State::Open,
            head_only: *method == Method::HEAD,
            admitted: false,
            sent: 0,
            promised: None,
            record: None,
        }
    }

    /// Makes room for the request until it has ended, if the process may hold one more.
    pub(crate) fn admit(&mut self) -> Result<(), Error> {
        self.metrics.overload().admit()?;
        self.admitted = true;
        Ok(())
    }

    /// The head of the request can be trusted from here on: it gets its id.
    pub(crate) fn identify(&self, peer: &Peer, request: &mut Request<Body>) {
        record::identify(self.record.as_ref(), peer, request);
    }

    /// The request has its way.
    pub(crate) fn found(&self, found: &Found) {
        one(&self.peer.counts().cells().requests_routed);
        if let Some(record) = &self.record {
            record.routed(found);
        }
    }

    /// The route that it had in the end, where a filter had another looked for.
    pub(crate) fn found_again(&self, found: &Found) {
        if let Some(record) = &self.record {
            record.routed(found);
        }
    }

    /// A request that is answered with an error before it could be read: what a codec refuses counts too.
    pub(crate) fn refused(
        metrics: &Arc<ProxyMetrics>,
        peer: &Arc<Peer>,
        error: &Error,
        response: Response<Body>,
    ) -> Response<Body> {
        let mut observation = Self::bare(metrics, peer, &Method::GET);
        peer.counts().began(Version::HTTP_11);
        observation.record = Record::refused(peer);
        observation.failed(error, response)
    }

    /// An upstream or the route itself answered: the rest depends on the body.
    pub(crate) fn answered(mut self, mut response: Response<Body>) -> Response<Body> {
        if let Some(Worded(kind)) = response.extensions_mut().remove() {
            return self.failed(&Error::new(kind), response);
        }
        let status = response.status();
        if let Some(record) = &self.record {
            record.responded(&mut response, None);
        }
        self.metrics.head_sent(self.started);
        self.peer.counts().responded(status);
        let length = response.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        self.promised = length.and_then(NonZeroU64::new);
        let bodiless = status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
            || length == Some(0);
        self.state = State::Answering {
            status,
            whole: bodiless || self.head_only,
        };
        response.map(|body| body.observed(self))
    }

    /// The answer is an error of ours.
    pub(crate) fn failed(self, error: &Error, response: Response<Body>) -> Response<Body> {
        self.metrics.head_sent(self.started);
        self.peer.counts().responded(response.status());
        self.replaced(error, response)
    }

    /// An error of ours goes in the place of an answer that cannot be sent.
    pub(crate) fn replaced(mut self, error: &Error, mut response: Response<Body>) -> Response<Body> {
        if matches!(self.state, State::Settled) {
            return response;
        }
        if let Some(record) = &self.record {
            record.responded(&mut response, Some(error));
        }
        self.promised = None;
        self.state = State::Failing(error.kind());
        response.map(|body| body.observed(self))
    }

    /// A part of the response was taken to be sent.
    pub(crate) fn sent(&mut self, frame: &Frame<Bytes>) {
        let Some(data) = frame.data_ref() else {
            if let (Some(record), Some(trailers)) = (&self.record, frame.trailers_ref()) {
                record.trailed(trailers);
            }
            return;
        };
        self.sent += data.len() as u64;
        if self.promised.is_some_and(|promised| promised.get() == self.sent) {
            // A codec need not ask for the end of what it knows the length of.
            self.complete();
        }
    }

    /// The last byte of the response was taken to be sent.
    pub(crate) fn complete(&mut self) {
        let ending = match self.state {
            State::Failing(kind) => ended_by(kind),
            State::Open | State::Answering { .. } | State::Settled => Ending::Answered,
        };
        self.settle(ending);
    }

    /// The response broke off.
    pub(crate) fn broke(&mut self, error: &Error) {
        self.settle(ended_by(error.kind()));
    }

    fn settle(&mut self, ending: Ending) {
        let status = match self.state {
            State::Settled => return,
            State::Answering { status, .. } => Some(status),
            State::Open | State::Failing(_) => None,
        };
        self.state = State::Settled;
        if self.admitted {
            self.metrics.overload().release();
        }
        if let Some(record) = self.record.take() {
            record.finish(ending, self.sent);
        }
        self.tell(ending);
        self.metrics.ended(ending, status, self.sent);
    }
}

impl Observation {
    /// Puts the end of the request into the books of its filter chain.
    fn tell(&self, ending: Ending) {
        let counts = self.peer.counts();
        match ending {
            Ending::Answered => {}
            Ending::Aborted => one(&counts.cells().aborted),
            Ending::Failed(kind) => counts.failed(kind),
        }
        if self.sent > 0 {
            counts
                .cells()
                .response_bytes
                .fetch_add(self.sent, Ordering::Relaxed);
        }
        counts.took(self.started.until(self.metrics.now()));
    }
}

fn ended_by(kind: Kind) -> Ending {
    match kind {
        Kind::ClientClosed => Ending::Aborted,
        kind => Ending::Failed(kind),
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let ending = match self.state {
            State::Settled => return,
            State::Answering { whole: true, .. } => Ending::Answered,
            State::Failing(kind) => ended_by(kind),
            State::Open | State::Answering { .. } if thread::panicking() => Ending::Failed(Kind::LayerFailed),
            State::Open | State::Answering { .. } if self.metrics.is_forced() => {
                Ending::Failed(Kind::DrainCut)
            }
            State::Open | State::Answering { .. } => Ending::Aborted,
        };
        self.settle(ending);
    }
}

/// What counts the bytes of a body.
#[derive(Debug, Default)]
pub(crate) enum Account {
    /// Nobody.
    #[default]
    None,
    /// The body of a request.
    Request(Received),
    /// The body of a response, whose exchange ends with it.
    Response(Observation),
}

impl Account {
    pub(crate) fn moved(&mut self, frame: &Frame<Bytes>) {
        match self {
            Self::None => {}
            Self::Request(received) => received.add(frame),
            Self::Response(observation) => observation.sent(frame),
        }
    }

    pub(crate) fn complete(&mut self) {
        if let Self::Response(observation) = self {
            observation.complete();
        }
    }

    pub(crate) fn broke(&mut self, error: &Error) {
        if let Self::Response(observation) = self {
            observation.broke(error);
        }
    }
}

/// How much of a request's body has come; in the books when the body is over or dropped.
#[derive(Debug)]
pub(crate) struct Received {
    metrics: Arc<ProxyMetrics>,
    peer: Arc<Peer>,
    record: Option<Arc<Record>>,
    bytes: u64,
    /// Where a layer reads them.
    tally: Option<Arc<AtomicU64>>,
}

impl Received {
    fn add(&mut self, frame: &Frame<Bytes>) {
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        self.bytes += bytes;
        if let Some(tally) = &self.tally {
            tally.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub(crate) fn tally(&mut self) -> Arc<AtomicU64> {
        let bytes = self.bytes;
        let tally = self.tally.get_or_insert_with(|| Arc::new(AtomicU64::new(bytes)));
        Arc::clone(tally)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.metrics.received(self.bytes);
        if self.bytes > 0 {
            let cells = self.peer.counts().cells();
            cells.request_bytes.fetch_add(self.bytes, Ordering::Relaxed);
        }
        if let Some(record) = &self.record {
            record.received(self.bytes);
        }
    }
}
