//! One request of an HTTP/1.1 connection: handed on as it comes, answered as the client takes it.

use std::future::{self, Future, poll_fn};
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::UPGRADE;
use http::response::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body as _;
use tokio::time::Instant;

use super::Connection;
use super::encode::{self, Framing, Recipient};
use super::head::framing::Expectation;
use super::head::{Head, Persistence};
use super::incoming::Incoming;
use super::outgoing::{Outgoing, Progress};
use super::wire::Wire;
use crate::body::Body;
use crate::clock;
use crate::config::http::HalfClose;
use crate::connection::socket::Socket;
use crate::connection::stream::Presence;
use crate::connection::{Patience, RequestBody};
use crate::error::{Error, Kind};
use crate::request::{Arrival, Prepared, Room};
use crate::respond::{self, Dialect};
use crate::upgrade::{Half, Tunnel};
use crate::upstream::TunnelEnd;
use crate::worker::Proxy;

/// What becomes of the connection after an exchange.
pub(super) enum Fate {
    /// The response is complete; what is left of the request decides with this what follows.
    Settle(Persistence),
    /// The response says why nothing more is read.
    Refused,
    /// The response is not complete, and must not look as if it were.
    Cut,
    /// It leaves HTTP.
    Switch(Box<Switch>),
}

/// A 101 that has been sent, and where its tunnel leads to.
pub(super) struct Switch {
    upstream: Half,
    held: Body,
    end: Option<TunnelEnd>,
    protocol: Option<HeaderValue>,
}

impl Switch {
    /// The tunnel, with what the client sent before it opened.
    pub(super) fn tunnel(self, socket: Socket, early: Bytes, proxy: &Proxy) -> Tunnel {
        let downstream = Half::rewound(early, socket);
        Tunnel::new(downstream, self.upstream, self.held)
            .until(self.end)
            .of(proxy, self.protocol.as_ref())
    }
}

/// One request, and the connection that is its own until it is over.
pub(super) struct OneRequest<'c, 'a> {
    connection: &'c mut Connection<'a>,
    to: Recipient,
    out: Outgoing,
    /// How long nothing may move.
    idle: Option<Duration>,
    /// When it is over, whatever moves.
    cut: Option<Instant>,
}

/// A response whose head is about to be sent.
struct Begun {
    body: Body,
    framing: Framing,
    persistence: Persistence,
    /// What its connection becomes then, if it leaves HTTP.
    switch: Option<Box<Switch>>,
}

/// Why a response ends before its end.
enum Broken {
    Write(io::Error),
    Body(Error),
    Framing(&'static str),
    ClientGone,
    Idle,
    Outlasted,
}

/// Answers what is no request.
pub(super) async fn refuse(connection: &mut Connection<'_>, error: Error) -> Fate {
    let response = connection.proxy.refuse(&error, Dialect::Http);
    let (idle, cut) = (connection.settings().timeouts.stream_idle, connection.cut());
    let mut exchange = OneRequest {
        connection,
        to: Recipient {
            version: Version::HTTP_11,
            head_only: false,
            persistence: Persistence::Close,
        },
        out: Outgoing::default(),
        idle,
        cut,
    };
    match exchange.respond(response).await {
        Fate::Settle(_) => Fate::Refused,
        fate => fate,
    }
}

impl<'c, 'a> OneRequest<'c, 'a> {
    pub(super) fn of(connection: &'c mut Connection<'a>, head: Head) -> (Self, Box<Request<Body>>) {
        let Head {
            mut request,
            framing,
            expectation,
            persistence,
        } = head;
        let to = Recipient::of(request.method(), request.version(), persistence);
        let decoder = super::body::Decoder::of(framing);
        let expects = expectation == Expectation::Continue && decoder.is_some();
        connection.interim.reset(expects);
        let interim = connection.interim.clone();
        let incoming = match decoder {
            None => Incoming::empty(interim),
            Some(decoder) => {
                let settings = connection.settings();
                let begun = connection.begun.unwrap_or_else(clock::now);
                let whole = settings.timeouts.request.map(|whole| begun + whole);
                let wire = connection.line.share(decoder);
                Incoming::flowing(wire, interim, settings.clone(), whole)
            }
        };
        *request.body_mut() = Body::downstream(RequestBody::H1(incoming));
        let exchange = Self {
            idle: connection.settings().timeouts.stream_idle,
            cut: connection.cut(),
            connection,
            to,
            out: Outgoing::default(),
        };
        (exchange, request)
    }

    /// Has the request answered, and sends the response.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn would hold its arguments twice, and each request has room for this future"
    )]
    pub(super) fn run<R: Room>(
        mut self,
        (mut arrival, prepared): (Arrival<'a>, Prepared),
    ) -> impl Future<Output = Fate> + Send {
        async move {
            let patience = Patience::new(self.idle);
            let followed = tokio::select! {
                biased;
                followed = arrival.follow::<R>(&patience, prepared) => followed,
                () = self.client_gone(&patience) => return Fate::Cut,
            };
            self.idle = patience.idle();
            self.respond(arrival.answer(followed)).await
        }
    }

    /// Resolves when the client has left. Until then it is told what comes before the response, and the request is ended
    /// when nothing has moved for too long. Cancel-safe.
    async fn client_gone(&mut self, patience: &Patience) {
        let half_close = self.connection.settings().half_close;
        let mut gone = pin!(gone(self.connection.presence, half_close));
        let (mut moved, mut received) = (clock::now(), 0);
        poll_fn(|cx| {
            if self.poll_interim(cx).is_ready() || gone.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            while let Some(due) = earliest(patience.idle().map(|idle| moved + idle), self.cut) {
                ready!(self.connection.alarm.poll(cx, due));
                if self.is_cut() {
                    patience.end(Kind::DrainCut, cx);
                    return Poll::Pending;
                }
                // Whoever waits for the request's body has a deadline for that, and says what is wrong.
                let (now, awaited) = self
                    .connection
                    .line
                    .with(|wire| (wire.received(), wire.is_awaited()));
                if now == received && !awaited {
                    patience.end(Kind::IdleTimeout, cx);
                    return Poll::Pending;
                }
                (received, moved) = (now, clock::now());
            }
            Poll::Pending
        })
        .await;
    }

    /// Sends the response, to the last trailer.
    fn respond(&mut self, response: Response<Body>) -> impl Future<Output = Fate> + Send {
        // Apart, so that what is not needed any more is not kept beside it.
        let Begun {
            mut body,
            framing,
            persistence,
            switch,
        } = self.begin(response);
        async move {
            match self.send(&mut body, framing).await {
                Ok(()) => match switch {
                    Some(switch) => Fate::Switch(switch),
                    None => Fate::Settle(persistence),
                },
                Err(broken) => {
                    if framing == Framing::Close {
                        // The end of such a response is the end of its connection.
                        self.connection.presence.reset_on_close();
                    }
                    broken.fate()
                }
            }
        }
    }

    /// Puts the head of a response.
    fn begin(&mut self, mut response: Response<Body>) -> Begun {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            if let Some(upstream) = response.extensions_mut().remove() {
                return self.begin_switch(upstream, response);
            }
            let error = Error::new(Kind::LayerFailed).with_source("a 101 without an upstream's connection");
            let failed = respond::from_error(&error, Dialect::Http, self.connection.proxy.peer().http());
            response = response.into_body().replaced(&error, failed);
        }
        let (head, body) = response.into_parts();
        self.connection.line.with(Wire::begin_response);
        let (framing, persistence) = self.put_head(&head, &body);
        Begun {
            body,
            framing,
            persistence,
            switch: None,
        }
    }

    /// Puts the head of a 101, with which it leaves HTTP.
    fn begin_switch(&mut self, upstream: Half, mut response: Response<Body>) -> Begun {
        let end = response.extensions_mut().remove::<TunnelEnd>();
        let (head, held) = response.into_parts();
        let (framing, persistence) = self.put_head(&head, &held);
        Begun {
            body: Body::empty(),
            framing,
            persistence,
            switch: Some(Box::new(Switch {
                upstream,
                held,
                end,
                protocol: head.headers.get(UPGRADE).cloned(),
            })),
        }
    }

    /// Writes what is to be written; an error is the client's end.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let out = &mut self.out;
        self.connection
            .line
            .with(|wire| out.poll_write(cx, &mut wire.socket))
    }

    /// Passes interim responses on, for as long as the final one has not come; resolves when that fails.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // HTTP/1.0 has none (RFC 9110 §15.2).
        if self.to.version == Version::HTTP_10 {
            return Poll::Pending;
        }
        loop {
            while let Poll::Ready(response) = self.connection.interim.poll_next(cx) {
                encode::interim(&response, &mut self.out.head);
            }
            if self.out.is_empty() {
                return Poll::Pending;
            }
            if ready!(self.poll_write(cx)).is_err() {
                return Poll::Ready(());
            }
        }
    }

    /// Whether the next request will be found, and what becomes of a body that the client sends only when it is asked for, now that the final response is there.
    ///
    /// Who accepts the request and goes on may still want it: it is asked for. After any other answer it is not, and
    /// nobody can tell whether the client sends it all the same (RFC 9110 §10.1.1).
    fn decide_on_body(&mut self, head: &Parts, ended: bool) -> Persistence {
        if self.connection.line.with(|wire| wire.is_beyond_reading()) {
            return Persistence::Close;
        }
        let interim = &self.connection.interim;
        let sent = |wire: &mut Wire| !wire.buffer.is_empty() || wire.received() > 0;
        if !interim.is_expecting() || self.connection.line.with(sent) {
            return Persistence::KeepAlive;
        }
        if head.status.is_success() && !ended {
            interim.send_continue();
            return Persistence::KeepAlive;
        }
        self.connection.line.with(Wire::refuse_body);
        Persistence::Close
    }

    /// Puts the head of a final response behind the interim ones that still wait.
    fn put_head(&mut self, head: &Parts, body: &Body) -> (Framing, Persistence) {
        let wishes = [
            self.connection.outlook(),
            self.decide_on_body(head, body.is_end_stream()),
            of_error(head),
        ];
        if wishes.contains(&Persistence::Close) {
            self.to.persistence = Persistence::Close;
        }
        while self.to.version == Version::HTTP_11
            && let Some(interim) = self.connection.interim.take_next()
        {
            encode::interim(&interim, &mut self.out.head);
        }
        let date = self.connection.proxy.worker().date.now();
        encode::head(head, &body.size_hint(), self.to, &date, &mut self.out.head)
    }

    /// Sends what is to be written, and then `body`, at the pace of the client.
    async fn send(&mut self, body: &mut Body, mut framing: Framing) -> Result<(), Broken> {
        let half_close = self.connection.settings().half_close;
        let mut gone = pin!(gone(self.connection.presence, half_close));
        let (mut moved, mut received) = (clock::now(), 0);
        let mut ended = framing == Framing::Empty;
        let (mut failure, mut unread) = (None, 0);
        let sent = poll_fn(|cx| {
            loop {
                while !ended && failure.is_none() && self.out.has_room() {
                    match self.poll_frame(cx, body, &mut framing) {
                        Poll::Ready(Ok(Progress::More)) => {}
                        Poll::Ready(Ok(Progress::Ended)) => ended = true,
                        // Sent is what came before, so that the client sees how far it got.
                        Poll::Ready(Err(broken)) => failure = Some(broken),
                        Poll::Pending => break,
                    }
                }
                if !self.out.is_empty() {
                    let Poll::Ready(written) = self.poll_write(cx) else {
                        return self.poll_stalled(cx, &mut moved, &mut unread).map(Err);
                    };
                    written.map_err(Broken::Write)?;
                    moved = clock::now();
                    continue;
                }
                if let Some(broken) = failure.take() {
                    return Poll::Ready(Err(broken));
                }
                if ended {
                    return Poll::Ready(Ok(()));
                }
                if gone.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(Broken::ClientGone));
                }
                let Some(due) = earliest(self.idle.map(|idle| moved + idle), self.cut) else {
                    return Poll::Pending;
                };
                ready!(self.connection.alarm.poll(cx, due));
                if self.is_cut() {
                    return Poll::Ready(Err(Broken::Outlasted));
                }
                // The request's body moving is a life sign too.
                let now = self.connection.line.with(|wire| wire.received());
                if now == received {
                    return Poll::Ready(Err(Broken::Idle));
                }
                (received, moved) = (now, clock::now());
            }
        })
        .await;
        if let Some(kind) = sent.as_ref().err().and_then(Broken::by_us) {
            mem::take(body).break_off(kind);
        }
        sent
    }

    /// Ready when the client has taken nothing since `moved` for too long, or the connection's time is over. `unread` is
    /// what it had left at the last look.
    fn poll_stalled(
        &mut self,
        cx: &mut Context<'_>,
        moved: &mut Instant,
        unread: &mut usize,
    ) -> Poll<Broken> {
        let left = self.out.len();
        if mem::replace(unread, left) != left {
            *moved = clock::now();
        }
        let Some(due) = earliest(self.idle.map(|idle| *moved + idle), self.cut) else {
            return Poll::Pending;
        };
        ready!(self.connection.alarm.poll(cx, due));
        Poll::Ready(if self.is_cut() {
            Broken::Outlasted
        } else {
            Broken::Write(io::ErrorKind::TimedOut.into())
        })
    }

    fn is_cut(&self) -> bool {
        // By the clock that the alarm has gone off by: the time of this turn may be a little before.
        self.cut.is_some_and(|cut| cut <= Instant::now())
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Body,
        framing: &mut Framing,
    ) -> Poll<Result<Progress, Broken>> {
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx))
            .transpose()
            .map_err(Broken::Body)?;
        let progress = match frame {
            Some(frame) => self.out.frame(framing, frame).map_err(Broken::Framing)?,
            None => Progress::Ended,
        };
        if progress == Progress::Ended || body.is_end_stream() {
            self.out.end(framing).map_err(Broken::Framing)?;
            return Poll::Ready(Ok(Progress::Ended));
        }
        Poll::Ready(Ok(progress))
    }
}

impl Broken {
    /// What we ended the exchange for. Otherwise it was the client, or the body itself accounts for it.
    fn by_us(&self) -> Option<Kind> {
        match self {
            Self::Write(error) if error.kind() == io::ErrorKind::TimedOut => Some(Kind::ClientStalled),
            Self::Idle => Some(Kind::IdleTimeout),
            Self::Outlasted => Some(Kind::DrainCut),
            Self::Write(_) | Self::Body(_) | Self::Framing(_) | Self::ClientGone => None,
        }
    }

    fn fate(self) -> Fate {
        match self {
            Self::Write(error) => tracing::debug!(%error, "the response could not be sent"),
            Self::Body(error) => tracing::debug!(%error, "the response broke off"),
            Self::Framing(why) => tracing::debug!(why, "the response contradicts its head"),
            Self::ClientGone => tracing::debug!("the client left during the response"),
            Self::Outlasted => tracing::debug!("the response took longer than its connection may live"),
            Self::Idle => tracing::debug!("nothing of the response moved for too long"),
        }
        Fate::Cut
    }
}

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// Whoever breaks the rules of heads may see other borders between messages than we do, and who did not send a request whole in time
/// will not in the next.
fn of_error(head: &Parts) -> Persistence {
    match head.extensions.get() {
        Some(Kind::BadRequest | Kind::ConnectRefused | Kind::RequestIncomplete) => Persistence::Close,
        Some(Kind::StreamTooLong) if head.status == StatusCode::REQUEST_TIMEOUT => Persistence::Close,
        _ => Persistence::KeepAlive,
    }
}

/// Resolves when the client has left, also while nothing reads the connection.
async fn gone(presence: &Presence, half_close: HalfClose) {
    match half_close {
        HalfClose::Abort => presence.ended().await,
        HalfClose::Serve => future::pending().await,
    }
}
