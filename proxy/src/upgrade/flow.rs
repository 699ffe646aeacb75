//! Whose bytes go where while two connections are one: each side's to the other, until both have ended.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::Duplex;
use super::pump::Pump;
use super::websocket::Toward;
use crate::connection::alarm::Alarm;
use crate::drain::Watch;

/// Two connections, and what is on its way between them.
pub(crate) struct Flow<D, U> {
    downstream: D,
    upstream: U,
    up: Pump,
    down: Pump,
}

impl<D: Duplex, U: Duplex> Flow<D, U> {
    /// Of bytes that mean nothing here.
    pub(crate) fn new(downstream: D, upstream: U) -> Self {
        Self {
            downstream,
            upstream,
            up: Pump::new(),
            down: Pump::new(),
        }
    }

    /// Of frames of a WebSocket.
    pub(crate) fn of_websocket(downstream: D, upstream: U) -> Self {
        Self {
            up: Pump::of_frames(Toward::Upstream),
            down: Pump::of_frames(Toward::Client),
            ..Self::new(downstream, upstream)
        }
    }

    /// The side of the endpoint.
    pub(crate) fn upstream(&self) -> &U {
        &self.upstream
    }

    /// Moves bytes until both sides have ended, one broke, or nothing has moved for as long as `idle`. Peers of a WebSocket are
    /// told of `drain`. `moved` hears now and then how many bytes have come from the client and from the endpoint so far.
    ///
    /// Cancelled, what was taken and not yet passed on is lost.
    pub(crate) async fn run(
        &mut self,
        idle: Option<Duration>,
        drain: Option<Watch>,
        mut moved: impl FnMut(u64, u64),
    ) -> io::Result<()> {
        let mut draining = drain.map(|drain| drain.draining());
        let (mut alarm, mut last, mut seen) = (Alarm::default(), Instant::now(), (0, 0));
        poll_fn(|cx| {
            if let Some(begins) = &mut draining
                && Pin::new(begins).poll(cx).is_ready()
            {
                draining = None;
                self.up.say_goodbye();
                self.down.say_goodbye();
            }
            let up = self.up.poll(cx, &mut self.downstream, &mut self.upstream);
            let down = self.down.poll(cx, &mut self.upstream, &mut self.downstream);
            let now = (self.up.moved(), self.down.moved());
            if now != seen {
                moved(now.0, now.1);
                (seen, last) = (now, Instant::now());
            }
            // Each of both, as either may be what broke.
            let (up, down) = (up?, down?);
            if up.is_ready() && down.is_ready() {
                return Poll::Ready(Ok(()));
            }
            let Some(idle) = idle else {
                return Poll::Pending;
            };
            ready!(alarm.poll(cx, last + idle));
            Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "nothing moved for too long",
            )))
        })
        .await
    }
}
