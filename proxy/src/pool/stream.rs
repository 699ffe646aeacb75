//! The bytes of one upstream connection, whatever carries them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::cluster::transport::Duplex;

/// TCP, which most upstreams are, without a detour; everything else behind one.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Other(Box<dyn Duplex>),
    /// One side of either, while another task has the other side.
    Shared(Arc<Mutex<Self>>),
}

impl Stream {
    /// Has the connection reset when it is closed, so that nobody takes its end for that of what was sent. What TLS carries says
    /// by itself whether it is complete.
    pub(crate) fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self
            && let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO))
        {
            tracing::debug!(%error, "what broke off may look complete to an upstream");
        }
    }
}

impl Stream {
    /// Two handles to the same stream: one for reading, one for writing.
    pub(crate) fn share(self) -> (Self, Self) {
        let shared = Arc::new(Mutex::new(self));
        (Self::Shared(Arc::clone(&shared)), Self::Shared(shared))
    }

    /// The stream as it was, once the other handle is gone.
    pub(crate) fn unshare(self) -> Option<Self> {
        match self {
            Self::Shared(shared) => {
                let stream = Arc::into_inner(shared)?.into_inner();
                Some(stream.unwrap_or_else(PoisonError::into_inner))
            }
            whole => Some(whole),
        }
    }
}

fn lock(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

macro_rules! delegate {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Tcp($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Self::Other($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Self::Shared($stream) => {
                let mut $stream = lock($stream);
                let $stream = Pin::new(&mut *$stream);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, stream => stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, stream => stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Other(stream) => stream.is_write_vectored(),
            Self::Shared(stream) => lock(stream).is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_shutdown(cx))
    }
}
