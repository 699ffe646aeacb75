//! HTTP/2 to upstreams, on the `h2` crate's client: one connection's settings, its keepalive, its end.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use super::held::Held;
use super::key::Key;
use super::stream::Stream;
use crate::cluster::transport::{Http2Keepalive, TransportSettings};
use crate::config::limits;
use crate::drain::Watch;
use crate::error::{Error, Kind};
use crate::process;

mod farewell;

pub(crate) use farewell::Farewell;
use farewell::Listening;

/// More streams than any SETTINGS can allow: it is the endpoint's word once it is another number.
const UNSETTLED: usize = usize::MAX - 1;

/// A connection whose endpoint has sent its SETTINGS.
pub(super) struct Link {
    pub(super) sender: SendRequest<Bytes>,
    pub(super) farewell: Arc<Farewell>,
}

/// Starts HTTP/2 and waits, until `deadline`, for the endpoint's SETTINGS: only then is it known that HTTP/2 is spoken
/// at all, how many streams may be opened, and whether extended CONNECT is understood.
///
/// The connection's task keeps `permit` and ends when the last sender and the last stream are gone. It keeps no drain
/// open: whatever it has to finish, a downstream connection waits for.
pub(super) async fn start(
    stream: Stream,
    key: &Key,
    permit: Held,
    deadline: Instant,
    drain: &Watch,
) -> Result<Link, Error> {
    let settings = key.transport.settings();
    let farewell = Arc::new(Farewell::default());
    let stream = Listening::new(stream, Arc::clone(&farewell));
    let handshake = builder(settings).handshake(stream);
    let (sender, mut connection) = match tokio::time::timeout_at(deadline, handshake).await {
        Ok(started) => started.map_err(unusable)?,
        Err(elapsed) => return Err(Error::new(Kind::ConnectTimeout).with_source(elapsed)),
    };
    let keepalive = settings
        .http2
        .keepalive
        .zip(connection.ping_pong())
        .map(|(keepalive, pings)| Keepalive::new(keepalive, pings));
    let (settled, settling) = oneshot::channel();
    let (address, ended) = (key.address.clone(), Arc::clone(&farewell));
    process::spawn("upstream-h2", drain.unguarded(), async move {
        if let Err(error) = drive(connection, keepalive, settled).await {
            tracing::debug!(%address, %error, "upstream connection ended");
        }
        ended.close();
        drop(permit);
    });
    match tokio::time::timeout_at(deadline, settling).await {
        Ok(Ok(Ok(()))) => Ok(Link { sender, farewell }),
        Ok(Ok(Err(error))) => Err(unusable(error)),
        Ok(Err(gone)) => Err(Error::new(Kind::ConnectFailed).with_source(gone)),
        Err(elapsed) => Err(Error::new(Kind::ConnectTimeout).with_source(elapsed)),
    }
}

/// A connection that ended before the first request: what it is that was connected to does not speak HTTP/2, or left.
fn unusable(error: h2::Error) -> Error {
    let kind = if error.is_io() {
        Kind::ConnectFailed
    } else {
        Kind::UpstreamProtocol
    };
    Error::new(kind).with_source(error)
}

fn builder(settings: &TransportSettings) -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(UNSETTLED)
        .initial_window_size(settings.http2.stream_window_bytes)
        .initial_connection_window_size(settings.http2.connection_window_bytes)
        .max_header_list_size(u32::try_from(settings.response_head.bytes_max).unwrap_or(u32::MAX))
        .max_send_buffer_size(limits::H2_SEND_BUFFER_BYTES);
    builder
}

/// Moves frames until the connection is over; says through `settled` when the endpoint's SETTINGS have come, or why
/// they never will.
async fn drive(
    mut connection: Connection<Listening, Bytes>,
    mut keepalive: Option<Keepalive>,
    settled: oneshot::Sender<Result<(), h2::Error>>,
) -> Result<(), h2::Error> {
    let mut settled = Some(settled);
    let ended = poll_fn(|cx| {
        let polled = Pin::new(&mut connection).poll(cx);
        if settled.is_some() && connection.max_concurrent_send_streams() != UNSETTLED {
            tell(&mut settled, Ok(()));
        }
        if let Poll::Ready(ended) = polled {
            return Poll::Ready(ended);
        }
        match &mut keepalive {
            Some(keepalive) => keepalive.poll_dead(cx).map(Err),
            None => Poll::Pending,
        }
    })
    .await;
    match ended {
        Err(error) if settled.is_some() => {
            let text = error.to_string();
            tell(&mut settled, Err(error));
            tracing::debug!(error = text, "upstream speaks no HTTP/2");
            Ok(())
        }
        ended => ended,
    }
}

fn tell(settled: &mut Option<oneshot::Sender<Result<(), h2::Error>>>, outcome: Result<(), h2::Error>) {
    if let Some(settled) = settled.take() {
        // Who waited for it may have been given up.
        _ = settled.send(outcome);
    }
}

/// PINGs, and the time in which each has to be answered.
struct Keepalive {
    settings: Http2Keepalive,
    pings: PingPong,
    /// Until the next PING, or until the answer has to be there.
    timer: Pin<Box<Sleep>>,
    asked: bool,
}

impl Keepalive {
    fn new(settings: Http2Keepalive, pings: PingPong) -> Self {
        Self {
            settings,
            pings,
            timer: Box::pin(tokio::time::sleep(settings.interval)),
            asked: false,
        }
    }

    /// Ready when the endpoint has left a PING unanswered for too long.
    fn poll_dead(&mut self, cx: &mut Context<'_>) -> Poll<h2::Error> {
        loop {
            if self.asked
                && let Poll::Ready(answer) = self.pings.poll_pong(cx)
            {
                match answer {
                    Ok(_pong) => self.next(false, self.settings.interval),
                    Err(error) => return Poll::Ready(error),
                }
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if self.asked {
                return Poll::Ready(h2::Reason::NO_ERROR.into());
            }
            if let Err(error) = self.pings.send_ping(Ping::opaque()) {
                return Poll::Ready(error);
            }
            self.next(true, self.settings.timeout);
        }
    }

    fn next(&mut self, asked: bool, after: Duration) {
        self.asked = asked;
        self.timer.as_mut().reset(Instant::now() + after);
    }
}
