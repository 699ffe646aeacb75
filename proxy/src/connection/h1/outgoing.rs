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

/// Bytes on their way out: small things together, large ones as they are, and as many of both in one write as there are.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Small things, one behind the other.
    pub(crate) head: BytesMut,
    /// Large ones, each behind a part of the small; what is left of the small comes last.
    large: Vec<Large>,
    /// Whether what was written may still wait in the socket: TLS takes more than it can send.
    unflushed: bool,
    /// Whether the peer did not take at once what was written last: then no more is collected for it than a piece.
    stalled: bool,
}

#[derive(Debug)]
struct Large {
    /// So many small bytes come before it, and behind the large one before it.
    behind: usize,
    /// Never empty.
    data: Bytes,
}

impl Outgoing {
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.large.iter().map(|large| large.data.len()).sum::<usize>()
    }

    /// Whether the socket has taken all of it.
    fn is_written(&self) -> bool {
        self.head.is_empty() && self.large.is_empty()
    }

    /// Whether all of it is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_written() && !self.unflushed
    }

    /// Whether more may be added before it is written.
    pub(crate) fn has_room(&self) -> bool {
        let (pieces_max, bytes_max) = if self.stalled {
            (1, limits::WRITE_BATCH_BYTES)
        } else {
            (limits::WRITE_PIECES_MAX, limits::WRITE_GATHER_BYTES)
        };
        self.large.len() < pieces_max && self.head.len() < limits::WRITE_BATCH_BYTES && self.len() < bytes_max
    }

    /// Writes all of it. What has been written is remembered, so the wait may be given up and taken up again.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while !self.is_written() {
            let polled = self.poll_write_some(cx, socket);
            self.stalled = polled.is_pending();
            let written = ready!(polled)?;
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

    fn poll_write_some<'a>(
        &'a self,
        cx: &mut Context<'_>,
        socket: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); 2 * limits::WRITE_PIECES_MAX + 1];
        let (mut room, mut head) = (slices.iter_mut(), self.head.as_ref());
        let mut count = 0;
        let mut put = |bytes: &'a [u8]| {
            if !bytes.is_empty()
                && let Some(slice) = room.next()
            {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
        };
        for large in &self.large {
            let (before, rest) = head.split_at_checked(large.behind).unwrap_or((head, &[]));
            put(before);
            put(&large.data);
            head = rest;
        }
        put(head);
        match slices.get(..count).unwrap_or_default() {
            // A write of one slice is cheaper than one of many with one in it.
            [one] => Pin::new(socket).poll_write(cx, one),
            slices => Pin::new(socket).poll_write_vectored(cx, slices),
        }
    }

    fn advance(&mut self, mut written: usize) {
        let mut done = 0;
        for large in &mut self.large {
            let small = large.behind.min(written);
            self.head.advance(small);
            large.behind -= small;
            written -= small;
            let taken = large.data.len().min(written);
            large.data.advance(taken);
            written -= taken;
            if !large.data.is_empty() {
                break;
            }
            done += 1;
        }
        self.large.drain(..done);
        self.head.advance(written.min(self.head.len()));
    }

    fn add(&mut self, data: Bytes) {
        if data.len() <= limits::WRITE_COPY_BYTES_MAX {
            self.head.extend_from_slice(&data);
        } else {
            let before = self.large.iter().map(|large| large.behind).sum::<usize>();
            self.large.push(Large {
                behind: self.head.len() - before,
                data,
            });
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
                self.add(data);
            }
            Framing::Chunked => {
                encode::chunk_head(data.len(), &mut self.head);
                self.add(data);
                self.head.extend_from_slice(encode::LINE_END);
            }
            Framing::Close => self.add(data),
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
mod tests;
