//! Whether an upstream's HTTP/2 connection is about to end, and which of its streams that leaves out.
//!
//! The `h2` crate tells a stream that its connection is gone, and not whether its request was looked at. The endpoint
//! has said it, in the GOAWAY (RFC 9113 §6.8): so the heads of frames are read here too, as they come in.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::pool::stream::Stream;

/// What is known about the end of a connection.
#[derive(Debug)]
pub(crate) struct Farewell {
    /// The last stream that the endpoint will look at; above every stream while it has not said GOAWAY.
    last_stream: AtomicU32,
    closed: AtomicBool,
}

impl Default for Farewell {
    fn default() -> Self {
        Self {
            last_stream: AtomicU32::new(u32::MAX),
            closed: AtomicBool::new(false),
        }
    }
}

impl Farewell {
    /// Whether no new stream may be opened.
    pub(crate) fn said(&self) -> bool {
        self.closed.load(Ordering::Acquire) || self.last_stream.load(Ordering::Acquire) != u32::MAX
    }

    /// Whether the endpoint has said that it did not and will not look at this stream.
    pub(crate) fn leaves_out(&self, stream: u32) -> bool {
        stream > self.last_stream.load(Ordering::Acquire)
    }

    /// The connection is over, with or without a word.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn hear(&self, last_stream: u32) {
        // A later GOAWAY may name an earlier stream, never a later one.
        self.last_stream.fetch_min(last_stream, Ordering::AcqRel);
    }
}

/// A connection whose incoming frames are listened to.
pub(super) struct Listening {
    stream: Stream,
    frames: Frames,
    farewell: Arc<Farewell>,
}

impl Listening {
    pub(super) fn new(stream: Stream, farewell: Arc<Farewell>) -> Self {
        Self {
            stream,
            frames: Frames::default(),
            farewell,
        }
    }
}

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if let Some(read) = buf.filled().get(before..) {
            this.frames
                .read(read, &mut |last_stream| this.farewell.hear(last_stream));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Listening {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

const HEAD_BYTES: usize = 9;
const GOAWAY: u8 = 7;
/// What of a GOAWAY is read: the last stream.
const LAST_STREAM_BYTES: usize = 4;

/// Where in its frames a connection is.
#[derive(Debug, Default)]
struct Frames {
    /// The head of the frame, and the beginning of a GOAWAY's payload.
    head: [u8; HEAD_BYTES + LAST_STREAM_BYTES],
    have: usize,
    /// Of the payload, still to pass over.
    skip: usize,
}

impl Frames {
    /// Reads on; `goaway` gets the last stream of each GOAWAY.
    fn read(&mut self, mut bytes: &[u8], goaway: &mut impl FnMut(u32)) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let passed = self.skip.min(bytes.len());
                self.skip -= passed;
                bytes = bytes.get(passed..).unwrap_or_default();
                continue;
            }
            let wanted = if self.have < HEAD_BYTES {
                HEAD_BYTES
            } else {
                self.head.len()
            };
            let taken = wanted.saturating_sub(self.have).min(bytes.len());
            let (piece, rest) = bytes.split_at_checked(taken).unwrap_or_default();
            bytes = rest;
            if let Some(room) = self.head.get_mut(self.have..self.have + taken) {
                room.copy_from_slice(piece);
            }
            self.have += taken;
            self.step(goaway);
        }
    }

    fn step(&mut self, goaway: &mut impl FnMut(u32)) {
        let [l2, l1, l0, kind, _, _, _, _, _, last @ ..] = self.head;
        let length = u32::from_be_bytes([0, l2, l1, l0]) as usize;
        // One that is too short for its last stream is an error, which is h2's to find.
        let heard = kind == GOAWAY && length >= LAST_STREAM_BYTES;
        if self.have == HEAD_BYTES && !heard {
            (self.have, self.skip) = (0, length);
        } else if self.have == self.head.len() {
            goaway(u32::from_be_bytes(last) & (u32::MAX >> 1));
            (self.have, self.skip) = (0, length - LAST_STREAM_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_testkit::frames::{Frame, kind};

    use super::*;

    fn heard(bytes: &[u8], step: usize) -> Vec<u32> {
        let (mut frames, mut heard) = (Frames::default(), Vec::new());
        for piece in bytes.chunks(step) {
            frames.read(piece, &mut |last| heard.push(last));
        }
        heard
    }

    #[test]
    fn goaway_is_found_wherever_the_bytes_are_cut() {
        let goaway = |last: u32| {
            let payload = [&last.to_be_bytes()[..], &[0; 4], b"bye"].concat();
            Frame::new(kind::GOAWAY, 0, 0, payload).encoded()
        };
        let bytes = [
            Frame::settings(&[(3, 7)]).encoded(),
            Frame::new(kind::DATA, 0, 1, vec![7; 300]).encoded(),
            goaway(u32::MAX),
            Frame::new(kind::DATA, 0, 1, []).encoded(),
            goaway(5),
        ]
        .concat();
        for step in [1, 2, 9, 10, 13, 1000] {
            assert_eq!(heard(&bytes, step), [u32::MAX >> 1, 5], "in pieces of {step}");
        }
    }

    #[test]
    fn a_stream_above_the_last_is_left_out() {
        let farewell = Farewell::default();
        assert!(!farewell.said() && !farewell.leaves_out(u32::MAX >> 1));
        farewell.hear(5);
        farewell.hear(9);
        assert!(farewell.said() && farewell.leaves_out(7) && !farewell.leaves_out(5));
    }
}
