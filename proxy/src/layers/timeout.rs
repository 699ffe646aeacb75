//! How long may a request take that a layer answers for, and what happens then?
//!
//! Before the response has started, the client gets 504. After that the body breaks off: its end must not look
//! like the end that the application meant. Knative lets it look so all the same; who has to do as it does uses
//! [`Timers::wire`].
//!
//! ```
//! use std::time::{Duration, Instant};
//! use http::Response;
//! use tidegate_proxy::Body;
//! use tidegate_proxy::error::Kind;
//! use tidegate_proxy::layers::timeout::{Timeouts, Timers};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let timeouts = Timeouts { request: Duration::from_millis(10), response_start: None, idle: None };
//! // A layer starts them as a request comes, and runs what it does for the request under them.
//! let timers = Timers::start(&timeouts, Instant::now());
//! let late = timers.until_start(std::future::pending::<Result<Response<Body>, _>>()).await;
//! assert_eq!(late.map_err(|error| error.kind()).err(), Some(Kind::RequestTimeout));
//! # }
//! ```

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use crate::body::Body;
use crate::error::{Error, Kind};
use crate::upstream::TunnelEnd;

#[cfg(test)]
mod tests;

/// The text that a client sees, whichever period was over, where nothing else was said.
const TEXT: &str = "request timeout";

/// What there is a limit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the head of the request to the last byte of the response; waiting for an upstream counts.
    pub request: Duration,
    /// From when the timers were started to the head of the response. None: no limit.
    pub response_start: Option<Duration>,
    /// How long the application may stay silent, at first and between two pieces of a body. A client that reads slowly does
    /// not count. None: no limit.
    pub idle: Option<Duration>,
}

impl Timeouts {
    /// From whole seconds, 0 for no limit.
    #[must_use]
    pub fn from_seconds(request: u32, response_start: u32, idle: u32) -> Self {
        let period = |seconds: u32| (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)));
        Self {
            request: period(request).unwrap_or(Duration::MAX),
            response_start: period(response_start),
            idle: period(idle),
        }
    }
}

/// The running timeouts of one request.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    request_end: Instant,
    /// The earliest end of all that runs until the response has started.
    start_end: (Instant, Kind),
    idle: Option<Duration>,
    policy: Policy,
    text: &'static str,
}

/// What becomes of a response that has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// It breaks off, and a tunnel lasts as long as the request may.
    Strict,
    /// The text is appended and the body ends in order, where its length was not told before. A tunnel never counts as a
    /// response that has started.
    Wire,
}

impl Timers {
    /// Starts them for a request whose head was complete at `received`, and which now has somebody to answer it.
    #[must_use]
    pub fn start(timeouts: &Timeouts, received: std::time::Instant) -> Self {
        let (received, now) = (Instant::from_std(received), Instant::now());
        Self::running(timeouts, (received, now), (Policy::Strict, TEXT))
    }

    /// Starts all of them at `received`, and lets a client see what it sees of Knative: `text` alone on a 504, `text` at the
    /// end of a response that had started, and the end of a tunnel at the first period that is over, since nothing of it
    /// counts as a response (Knative `pkg/http/handler/timeout.go`).
    #[must_use]
    pub fn wire(timeouts: &Timeouts, received: std::time::Instant, text: &'static str) -> Self {
        let received = Instant::from_std(received);
        Self::running(timeouts, (received, received), (Policy::Wire, text))
    }

    fn running(
        timeouts: &Timeouts,
        (received, found): (Instant, Instant),
        (policy, text): (Policy, &'static str),
    ) -> Self {
        let after =
            |start: Instant, period: Option<Duration>| period.and_then(|period| start.checked_add(period));
        let request_end = after(received, Some(timeouts.request)).unwrap_or_else(|| far(received));
        let ends = [
            (Some(request_end), Kind::RequestTimeout),
            (after(found, timeouts.response_start), Kind::ResponseStartTimeout),
            (after(found, timeouts.idle), Kind::IdleTimeout),
        ];
        let running = ends.into_iter().filter_map(|(end, kind)| Some((end?, kind)));
        let start_end = running
            .min_by_key(|&(end, _)| end)
            .unwrap_or((request_end, Kind::RequestTimeout));
        Self {
            request_end,
            start_end,
            idle: timeouts.idle,
            policy,
            text,
        }
    }

    /// Runs what leads to the head of a response. Dropping the future drops that too.
    ///
    /// # Errors
    /// Its own, or a timeout; then it was cancelled.
    pub async fn until_start<T>(&self, response: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let (end, kind) = self.start_end;
        if end <= Instant::now() {
            return Err(self.over(kind));
        }
        timeout_at(end, response)
            .await
            .unwrap_or_else(|_elapsed| Err(self.over(kind)))
    }

    fn over(&self, kind: Kind) -> Error {
        Error::new(kind).with_detail(self.text)
    }

    /// The response under the timeouts that are left. A tunnel has no body to watch, and may be silent.
    #[must_use]
    pub fn finish(&self, mut response: Response<Body>) -> Response<Body> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let end = match self.policy {
                Policy::Strict => self.request_end,
                Policy::Wire => self.start_end.0,
            };
            let end = TunnelEnd(end.into_std());
            response.extensions_mut().insert(end);
            return response;
        }
        response.map(|body| self.watch(body))
    }

    fn watch(&self, body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let is_counted = body.size_hint().exact().is_some();
        Body::new(TimedBody {
            body,
            last_words: (self.policy == Policy::Wire && !is_counted).then_some(self.text),
            timers: *self,
            end: (self.request_end, Kind::RequestTimeout),
            alarm: Box::pin(sleep_until(self.request_end)),
            is_waiting: false,
        })
    }
}

/// A body that breaks off when its time is over.
struct TimedBody {
    body: Body,
    /// What it ends with then; without, it breaks off with an error.
    last_words: Option<&'static str>,
    timers: Timers,
    /// When the alarm goes, and what that means.
    end: (Instant, Kind),
    alarm: Pin<Box<Sleep>>,
    /// Asked for a frame and got none yet: only then the application is the one that is silent.
    is_waiting: bool,
}

impl TimedBody {
    /// Sets the alarm for a wait that begins now.
    fn begin_to_wait(&mut self) {
        self.is_waiting = true;
        let Some(idle_end) = self.timers.idle.and_then(|idle| Instant::now().checked_add(idle)) else {
            return;
        };
        self.end = if idle_end < self.timers.request_end {
            (idle_end, Kind::IdleTimeout)
        } else {
            (self.timers.request_end, Kind::RequestTimeout)
        };
        self.alarm.as_mut().reset(self.end.0);
    }

    /// Lets go of the exchange, so that the application sees at once that nobody reads on.
    fn break_off(&mut self, kind: Kind) -> Result<Frame<Bytes>, Error> {
        self.body = Body::empty();
        match self.last_words {
            Some(text) => Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
            None => Err(self.timers.over(kind)),
        }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            // A body that never makes anybody wait never meets the alarm.
            Poll::Ready(Some(Ok(_))) if Instant::now() >= this.timers.request_end => {
                Poll::Ready(Some(this.break_off(Kind::RequestTimeout)))
            }
            Poll::Ready(frame) => {
                this.is_waiting = false;
                Poll::Ready(frame)
            }
            Poll::Pending => {
                if !this.is_waiting {
                    this.begin_to_wait();
                }
                let kind = this.end.1;
                this.alarm.as_mut().poll(cx).map(|()| Some(this.break_off(kind)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An end that no request lives to see.
fn far(now: Instant) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    now + FAR
}
