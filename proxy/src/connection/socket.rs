//! What HTTP reads and writes: a connection as it is, or what TLS makes of it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::detect::Prefix;
use super::stream::Stream;

/// The connection for whoever speaks HTTP on it. Bytes that detection has read are read again.
///
/// Its shutdown ends the direction to the client: under TLS with a `close_notify` first, so that the client can tell the
/// end from a cut.
pub(crate) struct Socket {
    pub(super) prefix: Prefix,
    transport: Transport,
}

enum Transport {
    Plain(Stream),
    // Boxed: a plain connection has no room to spare for a session.
    Tls(Box<TlsStream<Stream>>),
}

impl Socket {
    /// A connection without TLS.
    pub(crate) fn plain(stream: Stream) -> Self {
        Self::over(Transport::Plain(stream))
    }

    /// A connection whose handshake is complete.
    pub(crate) fn tls(stream: Box<TlsStream<Stream>>) -> Self {
        Self::over(Transport::Tls(stream))
    }

    /// Lets the client leave what is written unread for so long, or as long as it likes: then somebody else has a deadline.
    pub(crate) fn may_stall(&mut self, timeout: Option<Duration>) {
        match &mut self.transport {
            Transport::Plain(stream) => stream.may_stall(timeout),
            Transport::Tls(stream) => stream.get_mut().0.may_stall(timeout),
        }
    }

    fn over(transport: Transport) -> Self {
        Self {
            prefix: Prefix::default(),
            transport,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.replay(buffer) {
            return Poll::Ready(Ok(()));
        }
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Peer;

    /// Every idle connection has them.
    #[test]
    fn what_each_connection_holds_stays_small() {
        let check = |what: &str, size: usize, max: usize| assert!(size <= max, "{what}: {size} bytes");
        check("socket", size_of::<Socket>(), 96);
        check("peer", size_of::<Peer>(), 160);
        // Beside it, rustls keeps one read buffer of 4 KiB and the keys of both directions.
        check("TLS session", size_of::<TlsStream<Stream>>(), 1536);
    }
}
