//! What is to be written next, and how a body becomes that.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::Frame;
use tokio::io::AsyncWrite;

use super::encode::{self, Framing};
use crate::config::limits;
use crate::normalize;

/// Bytes on their way out: small things together, large ones as they are.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) head: BytesMut,
    large: Bytes,
    after: &'static [u8],
    /// Whether what was written may still wait in the socket: TLS takes more than it can send.
    unflushed: bool,
}

impl Outgoing {
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.large.len() + self.after.len()
    }

    /// Whether the socket has taken all of it.
    fn is_written(&self) -> bool {
        self.head.is_empty() && self.large.is_empty() && self.after.is_empty()
    }

    /// Whether all of it is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_written() && !self.unflushed
    }

    /// Whether more may be added before it is written.
    pub(crate) fn has_room(&self) -> bool {
        self.large.is_empty() && self.after.is_empty() && self.head.len() < limits::WRITE_BATCH_BYTES
    }

    /// Writes all of it. What has been written is remembered, so the wait may be given up and taken up again.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while !self.is_written() {
            let slices = [self.head.as_ref(), self.large.as_ref(), self.after].map(IoSlice::new);
            let written = ready!(Pin::new(&mut *socket).poll_write_vectored(cx, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
            self.unflushed = true;
        }
        self.head = BytesMut::new();
        ready!(Pin::new(socket).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        let mut take = |length: usize| {
            let taken = length.min(written);
            written -= taken;
            taken
        };
        self.head.advance(take(self.head.len()));
        self.large.advance(take(self.large.len()));
        let taken = take(self.after.len());
        self.after = self.after.get(taken..).unwrap_or_default();
    }

    fn add(&mut self, data: Bytes, after: &'static [u8]) {
        if data.len() <= limits::WRITE_COPY_BYTES_MAX {
            self.head.extend_from_slice(&data);
            self.head.extend_from_slice(after);
        } else {
            (self.large, self.after) = (data, after);
        }
    }

    /// Adds the next frame of a body, framed.
    ///
    /// # Errors
    /// When there is more of the body than its length says.
    pub(crate) fn frame(
        &mut self,
        framing: &mut Framing,
        frame: Frame<Bytes>,
    ) -> Result<Progress, &'static str> {
        let data = match frame.into_data() {
            Ok(data) if data.is_empty() => return Ok(Progress::More),
            Ok(data) => data,
            Err(frame) => {
                let Ok(mut trailers) = frame.into_trailers() else {
                    return Ok(Progress::More);
                };
                normalize::drop_from_trailers(&mut trailers);
                if *framing == Framing::Chunked {
                    encode::last_chunk(Some(&trailers), &mut self.head);
                    *framing = Framing::Empty;
                }
                return self.end(framing).map(|()| Progress::Ended);
            }
        };
        match framing {
            // HEAD: only what the body would have been is told.
            Framing::Empty => {}
            Framing::Length(left) => {
                let length = data.len() as u64;
                *left = left
                    .checked_sub(length)
                    .ok_or("the body is longer than its length")?;
                self.add(data, b"");
            }
            Framing::Chunked => {
                encode::chunk_head(data.len(), &mut self.head);
                self.add(data, encode::LINE_END);
            }
            Framing::Close => self.add(data, b""),
        }
        Ok(Progress::More)
    }

    /// Adds what ends a body.
    ///
    /// # Errors
    /// When there was less of the body than its length says.
    pub(crate) fn end(&mut self, framing: &mut Framing) -> Result<(), &'static str> {
        match std::mem::replace(framing, Framing::Empty) {
            Framing::Chunked => encode::last_chunk(None, &mut self.head),
            Framing::Length(1..) => return Err("the body is shorter than its length"),
            Framing::Length(0) | Framing::Empty | Framing::Close => {}
        }
        Ok(())
    }
}

/// Whether a body goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    Ended,
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Takes all that is written, and sends it when it is flushed for the second time, as TLS does over a full socket.
    #[derive(Default)]
    struct Reluctant {
        taken: Vec<u8>,
        flushes: usize,
    }

    impl AsyncWrite for Reluctant {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.taken.extend_from_slice(buf);
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            match self.flushes {
                1 => Poll::Pending,
                _ => Poll::Ready(Ok(())),
            }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_a_socket_holds_back_is_flushed_before_it_counts_as_sent() {
        let (mut out, mut socket) = (Outgoing::default(), Reluctant::default());
        out.head.extend_from_slice(b"head");
        let mut cx = Context::from_waker(Waker::noop());
        assert!(out.poll_write(&mut cx, &mut socket).is_pending());
        assert!(!out.is_empty(), "it is written, and not sent");
        assert!(out.poll_write(&mut cx, &mut socket).is_ready());
        assert!(out.is_empty());
        assert_eq!((socket.taken.as_slice(), socket.flushes), (&b"head"[..], 2));
    }
}
