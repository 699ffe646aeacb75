//! HTTP/1.1 from clients: one connection's requests, one after the other, until it ends or becomes a tunnel.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::Instant;

use self::exchange::{Fate, OneRequest};
use self::head::{Head, Heads, Persistence, Rules};
use self::linger::{Input, Left};
use self::wire::{Line, Settled};
use super::alarm::Alarm;
use super::interim::Interim;
use super::socket::Socket;
use super::stream::Presence;
use crate::clock;
use crate::config::http::HttpSettings;
use crate::error::{Error, Kind};
use crate::observe::counts::one;
use crate::request::{Boxed, Inline};
use crate::upgrade::Tunnel;
use crate::worker::Proxy;

pub(crate) mod body;
pub(crate) mod date;
pub(crate) mod encode;
mod exchange;
pub(crate) mod fill;
pub(crate) mod head;
mod incoming;
mod linger;
pub(crate) mod outgoing;
pub(crate) mod whole;
mod wire;

pub(super) use incoming::Incoming;

/// Serves requests until the client leaves, an idle time or a deadline passes, or the drain asks for the end;
/// and the tunnel that the last of them may have become.
pub(super) fn serve<'a>(
    socket: Socket,
    presence: &'a Presence,
    proxy: &'a Proxy,
) -> impl Future<Output = ()> + Send + 'a {
    // An async fn would hold it twice.
    let mut connection = Connection::new(socket, presence, proxy);
    async move {
        let mut draining = proxy.drain().draining();
        loop {
            // What follows is boxed where it is rare or large: the task of a connection has room for all of it all the
            // time, and most connections are idle most of the time.
            let fate = match connection.next(&mut draining).await {
                Next::Request(head) => connection.exchange(head).await,
                Next::Refused(error) => Box::pin(exchange::refuse(&mut connection, error)).await,
                Next::End => return,
            };
            match fate {
                Fate::Settle(persistence) => {
                    if Box::pin(connection.settle(persistence)).await == Persistence::Close {
                        return Box::pin(connection.close(Input::Unknown)).await;
                    }
                }
                Fate::Refused => return Box::pin(connection.close(Input::Expected)).await,
                Fate::Cut => return,
                Fate::Switch(switch) => {
                    if let Some((socket, early)) = connection.line.into_parts() {
                        Box::pin(Tunnel::run(switch.tunnel(socket, early, proxy))).await;
                    }
                    return;
                }
            }
        }
    }
}

/// A connection between its requests.
struct Connection<'a> {
    line: Line,
    heads: Heads,
    presence: &'a Presence,
    proxy: &'a Proxy,
    interim: Interim,
    alarm: Alarm,
    opened: Instant,
    /// When the head of the request under way began.
    begun: Option<Instant>,
    served: u32,
}

/// What comes next on a connection.
enum Next {
    Request(Head),
    Refused(Error),
    /// Nothing, and nobody to tell.
    End,
}

/// What a connection without a whole head saw.
enum Seen {
    Bytes,
    End,
    Deadline,
    Drain,
}

impl<'a> Connection<'a> {
    fn new(socket: Socket, presence: &'a Presence, proxy: &'a Proxy) -> Self {
        Self {
            line: Line::new(socket),
            heads: Heads::default(),
            presence,
            proxy,
            interim: Interim::default(),
            alarm: Alarm::default(),
            opened: clock::now(),
            begun: None,
            served: 0,
        }
    }

    fn settings(&self) -> &'a Arc<HttpSettings> {
        self.proxy.peer().http()
    }

    /// Waits for the next head. What of it has arrived when the drain begins is served.
    async fn next(&mut self, draining: &mut (impl Future<Output = ()> + Unpin)) -> Next {
        let settings = self.settings();
        let rules = Rules {
            limits: settings.head,
            http_10: settings.http1.http_10,
        };
        let idle = self.idle_deadline();
        self.begun = None;
        let mut told = false;
        loop {
            // Apart, as a head is large, and idle connections would have room for one.
            if let Some(next) = self.look(&rules) {
                return next;
            }
            let deadline = match self.begun {
                Some(begun) => begun + settings.timeouts.request_head,
                None => idle,
            };
            match self.see(deadline, draining, told).await {
                Seen::Bytes => {}
                Seen::Drain => {
                    // Boxed, as it is once in a connection's life at most.
                    Box::pin(self.presence.caught_up()).await;
                    told = true;
                }
                Seen::Deadline if self.begun.is_some() => {
                    return Next::Refused(Error::new(Kind::RequestIncomplete));
                }
                Seen::Deadline => {
                    let cells = self.proxy.peer().counts().cells();
                    one(if self.is_old() {
                        &cells.connections_too_old
                    } else {
                        &cells.connections_idle
                    });
                    return Next::End;
                }
                Seen::End => return Next::End,
            }
        }
    }

    /// Looks for a whole head in what has come.
    fn look(&mut self, rules: &Rules) -> Option<Next> {
        let heads = &mut self.heads;
        let (found, waits) = self
            .line
            .with(|wire| (heads.next(&mut wire.buffer, rules), wire.buffer.is_empty()));
        match found {
            Ok(Some(head)) => {
                self.begun.get_or_insert_with(clock::now);
                return Some(Next::Request(head));
            }
            Ok(None) if waits => self.begun = None,
            Ok(None) => _ = self.begun.get_or_insert_with(clock::now),
            Err(error) => return Some(Next::Refused(error)),
        }
        None
    }

    /// How long it may stay without a request.
    fn idle_deadline(&self) -> Instant {
        let timeouts = &self.settings().timeouts;
        let idle = clock::now() + timeouts.idle;
        match timeouts.connection_max {
            Some(max) => idle.min(self.opened + max),
            None => idle,
        }
    }

    /// Reads first: a request that has arrived is served before a deadline or the drain closes what is idle. `told`
    /// says that the drain has begun and all that had arrived by then can be read at once.
    async fn see(
        &mut self,
        deadline: Instant,
        draining: &mut (impl Future<Output = ()> + Unpin),
        told: bool,
    ) -> Seen {
        let idle = self.begun.is_none();
        poll_fn(|cx| {
            match self.line.with(|wire| wire.poll_fill(cx)) {
                Poll::Ready(Ok(1..)) => return Poll::Ready(Seen::Bytes),
                Poll::Ready(_) => return Poll::Ready(Seen::End),
                Poll::Pending if idle && told => return Poll::Ready(Seen::End),
                Poll::Pending => {}
            }
            if idle && Pin::new(&mut *draining).poll(cx).is_ready() {
                return Poll::Ready(Seen::Drain);
            }
            self.alarm.poll(cx, deadline).map(|()| Seen::Deadline)
        })
        .await
    }

    /// Serves one request, in a box that is as large as it needs.
    fn exchange(&mut self, head: Head) -> Pin<Box<dyn Future<Output = Fate> + Send + '_>> {
        self.served = self.served.saturating_add(1);
        let proxy = self.proxy;
        let (exchange, request) = OneRequest::of(self, head);
        let (arrival, prepared) = proxy.receive(request);
        if arrival.has_layers() {
            Box::pin(exchange.run::<Boxed>((arrival, prepared)))
        } else {
            Box::pin(exchange.run::<Inline>((arrival, prepared)))
        }
    }

    /// Ends it after a response.
    fn close(self, input: Input) -> impl Future<Output = ()> + Send {
        let linger = self.settings().timeouts.linger;
        let closing = linger::close(self.line, input, self.presence, linger);
        async move {
            if closing.await == Left::InTime {
                return;
            }
            one(&self.proxy.peer().counts().cells().connections_lingered);
        }
    }

    /// When it is cut, whatever is under way on it.
    fn cut(&self) -> Option<Instant> {
        let timeouts = &self.settings().timeouts;
        let longest = timeouts.connection_max?.saturating_add(timeouts.drain);
        self.opened.checked_add(longest)
    }

    /// Whether it has lasted as long as one may.
    fn is_old(&self) -> bool {
        let longest = self.settings().timeouts.connection_max;
        longest.is_some_and(|max| clock::now().duration_since(self.opened) >= max)
    }

    /// Whether the connection may be used after the response that is about to be sent.
    fn outlook(&self) -> Persistence {
        let settings = self.settings();
        let spent = settings
            .requests_per_connection_max
            .is_some_and(|max| self.served >= max.get());
        let old = self.is_old();
        // It is the last response: each counts once.
        let cells = self.proxy.peer().counts().cells();
        if spent {
            one(&cells.connections_spent);
        } else if old {
            one(&cells.connections_too_old);
        }
        if spent || old || self.proxy.drain().lets_go() {
            Persistence::Close
        } else {
            Persistence::KeepAlive
        }
    }

    /// Waits, after a response, for what is left of the request: whoever reads it may go on; what nobody reads is read
    /// and dropped, within a bound.
    async fn settle(&mut self, persistence: Persistence) -> Persistence {
        if self.line.with(|wire| wire.is_over()) {
            return persistence;
        }
        let patience = self.settings().timeouts.stream_idle;
        loop {
            let idle = patience.map(|patience| clock::now() + patience);
            let cut = self.cut();
            let deadline = idle.into_iter().chain(cut).min();
            let received = self.line.with(|wire| wire.received());
            let settled = poll_fn(|cx| {
                if let Poll::Ready(settled) = self.line.with(|wire| wire.poll_settled(cx)) {
                    return Poll::Ready(Some(settled));
                }
                match deadline {
                    Some(deadline) => self.alarm.poll(cx, deadline).map(|()| None),
                    None => Poll::Pending,
                }
            });
            match settled.await {
                Some(Settled::Over) => return persistence,
                Some(Settled::Unwanted) if persistence == Persistence::KeepAlive => {
                    let linger = self.settings().timeouts.linger;
                    return linger::skip_body(&mut self.line, &mut self.alarm, linger).await;
                }
                Some(Settled::Unwanted | Settled::Broken) => return Persistence::Close,
                None if cut.is_some_and(|cut| cut <= Instant::now()) => return Persistence::Close,
                None if self.line.with(|wire| wire.received()) > received => {}
                None => return Persistence::Close,
            }
        }
    }
}

#[cfg(test)]
mod tests;
