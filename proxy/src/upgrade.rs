//! What happens to two connections that have left HTTP: a WebSocket's bytes, both ways, to the end.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::flow::Flow;
use crate::body::Body;
use crate::cluster::transport::Duplex;
use crate::drain::Watch;
use crate::observe::counts;
use crate::observe::metrics::OpenTunnel;
use crate::upstream::TunnelEnd;
use crate::worker::Proxy;

pub(crate) mod flow;
mod pump;
mod websocket;

/// One side of a tunnel that is about to open. The upstream's travels in the extensions of its 101 response, so
/// that a layer may wrap the response's body.
#[derive(Clone)]
pub(crate) struct Half {
    // Extensions want clones; the first to open it has it.
    side: Arc<Mutex<Option<Box<dyn Duplex>>>>,
}

impl Half {
    /// A side whose connection has left HTTP.
    pub(crate) fn ready(connection: impl Duplex + 'static) -> Self {
        Self {
            side: Arc::new(Mutex::new(Some(Box::new(connection)))),
        }
    }

    /// A side whose connection has left HTTP, and the bytes that it had sent before.
    pub(crate) fn rewound(early: Bytes, connection: impl Duplex + 'static) -> Self {
        if early.is_empty() {
            return Self::ready(connection);
        }
        Self::ready(Rewound { early, connection })
    }

    /// The bytes of this side.
    fn open(self) -> io::Result<Box<dyn Duplex>> {
        let side = self.side.lock().unwrap_or_else(PoisonError::into_inner).take();
        side.ok_or_else(|| io::Error::other("this side of the tunnel is open already"))
    }
}

/// A connection some of whose bytes have been read already.
struct Rewound<T> {
    early: Bytes,
    connection: T,
}

impl<T: Duplex> AsyncRead for Rewound<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.connection).poll_read(cx, into);
        }
        let fits = self.early.len().min(into.remaining());
        into.put_slice(&self.early.split_to(fits));
        Poll::Ready(Ok(()))
    }
}

impl<T: Duplex> AsyncWrite for Rewound<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Half").finish_non_exhaustive()
    }
}

/// A tunnel that opens when both its connections have left HTTP.
pub(crate) struct Tunnel {
    downstream: Half,
    upstream: Half,
    held: Body,
    end: Option<TunnelEnd>,
    idle: Option<Duration>,
    /// The drain that a WebSocket's peers are told of.
    drain: Option<Watch>,
    open: Option<(OpenTunnel, counts::http::OpenTunnel)>,
}

impl Tunnel {
    /// A tunnel that keeps `held`, the body of the 101 and all that it holds, to its end.
    pub(crate) fn new(downstream: Half, upstream: Half, held: Body) -> Self {
        Self {
            downstream,
            upstream,
            held,
            end: None,
            idle: None,
            drain: None,
            open: None,
        }
    }

    /// Cuts it at `end`, if it lasts that long.
    pub(crate) fn until(self, end: Option<TunnelEnd>) -> Self {
        Self { end, ..self }
    }

    /// Makes it one of this proxy's tunnels: counted, cut when nothing has moved for longer than the client's settings
    /// allow, and, where `protocol` is WebSocket, ended in order when the drain begins. Any other protocol has no
    /// words for that: it is cut at the end of the drain.
    pub(crate) fn of(self, proxy: &Proxy, protocol: Option<&HeaderValue>) -> Self {
        let worker = proxy.worker();
        let websocket =
            protocol.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
        Self {
            idle: proxy.peer().http().timeouts.tunnel_idle,
            drain: websocket.then(|| proxy.drain().clone()),
            open: Some((
                worker.metrics.tunnel(),
                counts::http::OpenTunnel::begin(proxy.peer().counts()),
            )),
            ..self
        }
    }

    /// Moves bytes until both sides have ended, or one broke.
    pub(crate) async fn run(self) {
        let (Ok(downstream), Ok(upstream)) = (self.downstream.open(), self.upstream.open()) else {
            return tracing::debug!("a side of a tunnel was taken by a layer");
        };
        let mut flow = match &self.drain {
            Some(_) => Flow::of_websocket(downstream, upstream),
            None => Flow::new(downstream, upstream),
        };
        let flow = flow.run(self.idle, self.drain, |_up, _down| {});
        let ended = match self.end {
            Some(TunnelEnd(end)) => tokio::time::timeout_at(end.into(), flow).await,
            None => Ok(flow.await),
        };
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "tunnel ended"),
            Err(_elapsed) => tracing::debug!("tunnel cut: its time is over"),
        }
        drop((self.held, self.open));
    }
}
