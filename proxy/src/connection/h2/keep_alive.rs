//! Is a client still there that has said nothing for a while? PING tells, where that is configured.

use std::future::{pending, poll_fn};

use h2::server::Connection;
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::config::http::Http2KeepAlive;

/// Asks now and then, and waits for the answer.
pub(super) struct KeepAlive {
    settings: Http2KeepAlive,
    pings: PingPong,
    asked: Option<Instant>,
    next: Instant,
}

impl KeepAlive {
    /// For `connection`, where `settings` say so.
    pub(super) fn of<S, B>(
        connection: &mut Connection<S, B>,
        settings: Option<Http2KeepAlive>,
    ) -> Option<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        B: bytes::Buf,
    {
        let settings = settings?;
        Some(Self {
            settings,
            pings: connection.ping_pong()?,
            asked: None,
            next: Instant::now() + settings.interval,
        })
    }

    /// Resolves when an answer did not come in time. Cancel-safe.
    pub(super) async fn lost(this: Option<&mut Self>) {
        match this {
            Some(this) => this.ask().await,
            None => pending().await,
        }
    }

    async fn ask(&mut self) {
        loop {
            let Some(asked) = self.asked else {
                tokio::time::sleep_until(self.next).await;
                if self.pings.send_ping(Ping::opaque()).is_err() {
                    // The connection is ending, which is noticed elsewhere.
                    return pending().await;
                }
                self.asked = Some(Instant::now());
                continue;
            };
            let answer = poll_fn(|cx| self.pings.poll_pong(cx));
            match tokio::time::timeout_at(asked + self.settings.timeout, answer).await {
                Ok(Ok(_pong)) => {
                    self.asked = None;
                    self.next = Instant::now() + self.settings.interval;
                }
                Ok(Err(_ending)) => return pending().await,
                Err(_elapsed) => return,
            }
        }
    }
}
