//! The bytes of an HTTP/2 connection on their way through the meter, and how such a connection closes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::meter::{Excess, Meter};
use crate::clock;
use crate::config::limits;

/// What the meter found to be too much; for whoever ends the connection, in the task that polls it.
pub(super) type Verdict = Arc<OnceLock<Excess>>;

/// A socket whose frames are counted. When there are too many, nothing more is read, the verdict is there, and the task
/// that polls this is woken.
pub(super) struct Metered<S> {
    socket: S,
    meter: Meter,
    began: Instant,
    verdict: Verdict,
    farewell: Option<Farewell>,
}

/// The time after our last byte: what the client still sends is dropped, so that the kernel has no reason to reset the
/// connection and our GOAWAY arrives.
struct Farewell {
    end: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl<S> Metered<S> {
    pub(super) fn new(socket: S, meter: Meter, verdict: Verdict) -> Self {
        Self {
            socket,
            meter,
            began: clock::now(),
            verdict,
            farewell: None,
        }
    }

    /// Whether there was too much; says so to whoever waits for it.
    fn judge(&self, cx: &Context<'_>) -> bool {
        let Some(excess) = self.meter.excess() else {
            return false;
        };
        if self.verdict.set(excess).is_ok() {
            cx.waker().wake_by_ref();
        }
        true
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.verdict.get().is_some() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.socket).poll_read(cx, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        let now = clock::now().duration_since(this.began);
        this.meter.received(read, now);
        if this.judge(cx) {
            buffer.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = ready!(Pin::new(&mut this.socket).poll_write(cx, bytes))?;
        this.meter.sent(bytes.get(..written).unwrap_or(bytes));
        this.judge(cx);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = ready!(Pin::new(&mut this.socket).poll_write_vectored(cx, slices))?;
        let mut left = written;
        for slice in slices {
            let part = slice.get(..left).unwrap_or(slice);
            left -= part.len();
            this.meter.sent(part);
        }
        this.judge(cx);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.farewell.is_none() {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
        }
        if !this.meter.failed() {
            return Poll::Ready(Ok(()));
        }
        let farewell = this.farewell.get_or_insert_with(|| Farewell {
            end: Box::pin(tokio::time::sleep(limits::H2_FAREWELL_TIMEOUT)),
            bytes_left: limits::H2_FAREWELL_BYTES_MAX,
        });
        farewell.poll(&mut this.socket, cx).map(Ok)
    }
}

impl Farewell {
    /// Reads until the client has closed its side too, or has had its time or its bytes.
    fn poll<S: AsyncRead + Unpin>(&mut self, socket: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut dropped = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut dropped);
            let read = ready!(Pin::new(&mut *socket).poll_read(cx, &mut buffer));
            let count = buffer.filled().len();
            self.bytes_left = self.bytes_left.saturating_sub(count);
            if read.is_err() || count == 0 || self.bytes_left == 0 {
                return Poll::Ready(());
            }
        }
    }
}
