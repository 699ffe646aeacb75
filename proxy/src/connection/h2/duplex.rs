//! An HTTP/2 stream as bytes both ways, for what it has become a tunnel of (RFC 8441).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Reads are limited by what the reader takes, writes by what the client's window lets through. Dropping it before it
/// was shut down resets the stream.
pub(super) struct Bytestream {
    receive: RecvStream,
    /// Received and not read yet; the window opens as it is.
    unread: Bytes,
    send: SendStream<Bytes>,
    /// How long the client's window may stay shut.
    stall: Option<Duration>,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Bytestream {
    pub(super) fn new(receive: RecvStream, send: SendStream<Bytes>, stall: Option<Duration>) -> Self {
        Self {
            receive,
            unread: Bytes::new(),
            send,
            stall,
            stalled: None,
        }
    }

    /// How much of `wanted` bytes may be sent now.
    fn poll_capacity(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        self.send.reserve_capacity(wanted);
        loop {
            // What was granted before and not used is not granted again.
            let capacity = self.send.capacity();
            if capacity > 0 {
                self.stalled = None;
                return Poll::Ready(Ok(capacity.min(wanted)));
            }
            match self.send.poll_capacity(cx) {
                Poll::Ready(Some(granted)) => _ = granted.map_err(broken)?,
                Poll::Ready(None) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                Poll::Pending => break,
            }
        }
        let Some(stall) = self.stall else {
            return Poll::Pending;
        };
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        ready!(stalled.as_mut().poll(cx));
        self.send.send_reset(Reason::CANCEL);
        let text = "the client does not read what the tunnel brings";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
    }
}

fn broken(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}

impl AsyncRead for Bytestream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // DATA without a byte is not the end.
        while this.unread.is_empty() {
            match ready!(this.receive.poll_data(cx)) {
                Some(data) => this.unread = data.map_err(broken)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let taken = this.unread.split_to(this.unread.len().min(buffer.remaining()));
        buffer.put_slice(&taken);
        let released = this.receive.flow_control().release_capacity(taken.len());
        Poll::Ready(released.map_err(broken))
    }
}

impl AsyncWrite for Bytestream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let fits = ready!(self.poll_capacity(cx, bytes.len()))?;
        let chunk = Bytes::copy_from_slice(bytes.get(..fits).unwrap_or(bytes));
        self.send.send_data(chunk, false).map_err(broken)?;
        Poll::Ready(Ok(fits))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was sent is the connection's, which flushes it.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // One that the client has ended already takes no end of ours.
        _ = self.send.send_data(Bytes::new(), true);
        Poll::Ready(Ok(()))
    }
}
