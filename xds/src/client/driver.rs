//! What drives one session: messages, verdicts, wishes and time, whichever comes first.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tonic::body::Body;
use tonic::client::GrpcService;

use super::link::{Caller, Event, Link};
use super::{Delivery, Wanted};
use crate::resource::{Kind, Verdict};
use crate::session::{Session, Status, Token};

/// A session and everything that moves it.
pub(super) struct Driver<S> {
    pub(super) caller: Caller<S>,
    pub(super) session: Session,
    pub(super) status: Arc<Status>,
    pub(super) late: Arc<watch::Sender<BTreeSet<Kind>>>,
    pub(super) wanted: watch::Receiver<Wanted>,
    pub(super) deliveries: mpsc::Sender<Delivery>,
}

type Verdicts = FuturesUnordered<BoxFuture<'static, (Token, Option<Verdict>)>>;

impl<S> Driver<S>
where
    S: GrpcService<Body, ResponseBody: Send + 'static, Future: Send> + Clone + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error: Into<tonic::codegen::StdError>,
{
    /// Runs until the other end of `wanted` or `deliveries` is gone.
    pub(super) async fn run(mut self) {
        let mut link = Link::None(None);
        let mut verdicts = Verdicts::new();
        let deliveries = self.deliveries.clone();
        self.want(&mut link);
        loop {
            let now = Instant::now();
            self.session.end_lifetimes(now.into_std());
            self.tell_late(now);
            let room = match self.flush(&link, now) {
                Flow::Done => None,
                Flow::Full(requests) => Some(requests),
                Flow::Closed => {
                    // Mostly the stream says why.
                    let event = link.next().now_or_never();
                    link = match event {
                        Some(event) => self.on_event(link, event),
                        None => self.ended(&link, "the control plane takes no more requests"),
                    };
                    continue;
                }
            };
            let wake = self.session.wake(now.into_std()).map(Instant::from_std);
            tokio::select! {
                event = link.next() => link = self.on_event(link, event),
                changed = self.wanted.changed() => match changed {
                    Ok(()) => self.want(&mut link),
                    Err(_) => break,
                },
                Some((token, verdict)) = verdicts.next(), if !verdicts.is_empty() => {
                    self.session.judged(token, verdict.as_ref());
                }
                permit = deliveries.reserve(), if self.session.has_delivery() => {
                    let Ok(permit) = permit else { break };
                    if let Some((token, update)) = self.session.take_delivery() {
                        let (verdict, judged) = oneshot::channel();
                        verdicts.push(Box::pin(async move { (token, judged.await.ok()) }));
                        permit.send(Delivery { update, verdict });
                    }
                }
                () = deliveries.closed() => break,
                () = reserve(room.as_ref()), if room.is_some() => {}
                () = sleep_until(wake.unwrap_or(now)), if wake.is_some() && room.is_none() => {}
            }
        }
        if matches!(link, Link::Open(..)) {
            self.status.connected.decrement();
        }
    }

    fn want(&mut self, link: &mut Link) {
        let wanted = self.wanted.borrow_and_update();
        self.session.want(&wanted, Instant::now().into_std());
        drop(wanted);
        if matches!(link, Link::None(None)) && self.session.wants_any() {
            *link = self.connect();
        }
    }

    fn connect(&mut self) -> Link {
        self.session.connected();
        self.caller.open()
    }

    fn on_event(&mut self, link: Link, event: Event) -> Link {
        match event {
            Event::Due => self.connect(),
            Event::Opened(responses) => {
                self.status.connected.increment();
                link.opened(responses)
            }
            Event::Message(message) => match self.session.receive(message, Instant::now().into_std()) {
                Ok(()) => link,
                Err(error) => self.ended(&link, &format!("a response cannot be read: {error}")),
            },
            Event::Ended(None) => self.ended(&link, "the control plane ended it"),
            Event::Ended(Some(status)) => self.ended(&link, &words(&status)),
        }
    }

    fn ended(&mut self, link: &Link, why: &str) -> Link {
        if matches!(link, Link::Open(..)) {
            self.status.connected.decrement();
        }
        let wait = self.session.disconnected(fastrand::f64());
        tracing::warn!(
            why,
            ?wait,
            "a stream to the control plane has ended; what is in force stays"
        );
        Link::None(Some(Instant::now() + wait))
    }

    /// Hands the stream the requests that are due, as far as it has room.
    fn flush(&mut self, link: &Link, now: Instant) -> Flow {
        let Some(requests) = link.requests() else {
            return Flow::Done;
        };
        loop {
            match requests.try_reserve() {
                Ok(room) => match self.session.next_request(now.into_std()) {
                    Some(request) => room.send(request.encode()),
                    None => return Flow::Done,
                },
                Err(TrySendError::Full(())) => return Flow::Full(requests.clone()),
                Err(TrySendError::Closed(())) => return Flow::Closed,
            }
        }
    }

    fn tell_late(&mut self, now: Instant) {
        let late = self.session.timed_out(now.into_std());
        if !late.is_empty() {
            tracing::warn!(kinds = ?late, "the control plane has not sent the first resources in time");
            self.late.send_modify(|kinds| kinds.extend(late));
        }
    }
}

/// Why a stream has ended, in few words: its code, what it says, and the innermost cause, such as a connection that was refused.
fn words(status: &tonic::Status) -> String {
    let mut words = format!("{:?}: {}", status.code(), status.message());
    let mut cause = status.source();
    while let Some(inner) = cause.and_then(|cause| cause.source()) {
        cause = Some(inner);
    }
    if let Some(cause) = cause.map(ToString::to_string)
        && !words.contains(&cause)
    {
        words = format!("{words}: {cause}");
    }
    words
}

/// How far requests have got.
enum Flow {
    /// Nothing is due.
    Done,
    /// The connection takes no more for now.
    Full(mpsc::Sender<Bytes>),
    /// The stream takes none any more.
    Closed,
}

/// Waits until the stream takes another request, or is over.
async fn reserve(requests: Option<&mpsc::Sender<Bytes>>) {
    match requests {
        // An error means that the stream is over, which shows at the next look.
        Some(requests) => drop(requests.reserve().await),
        None => std::future::pending().await,
    }
}
