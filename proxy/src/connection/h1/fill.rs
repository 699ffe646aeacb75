//! How much is read at once, and where to? Reading that holds nothing while nothing comes.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::config::limits;

/// How much the first read of a connection's next message asks for, as its last messages have it: who sends large ones
/// has the next one read with fewer system calls, and everybody else is read by way of the stack.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Appetite {
    doublings: u8,
    /// How many first reads in a row would have fitted in half.
    small: u8,
}

impl Appetite {
    /// Reads the beginning of a message, up to `bytes_max`, or more of its head.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
        bytes_max: usize,
    ) -> Poll<io::Result<usize>> {
        let begins = buffer.is_empty();
        let read = ready!(poll_fill(cx, source, buffer, self.bytes()))?;
        if begins {
            self.saw(read, bytes_max);
        }
        Poll::Ready(Ok(read))
    }

    /// What the next first read asks for, in bytes.
    fn bytes(self) -> usize {
        limits::HEAD_READ_BYTES << self.doublings
    }

    /// Learns from what a first read has brought.
    fn saw(&mut self, read: usize, bytes_max: usize) {
        let asked = self.bytes();
        let fits_in_half = read <= asked / 2 && self.doublings > 0;
        self.small = if fits_in_half { self.small + 1 } else { 0 };
        if read >= asked && asked < bytes_max {
            self.doublings += 1;
        } else if self.small >= limits::SMALL_READS_MAX {
            self.doublings -= 1;
            self.small = 0;
        }
    }
}

/// Reads up to about `room` bytes behind what is in `buffer`. Nothing is allocated for a little until it has come, and
/// nothing that is not full enough is kept.
pub(crate) fn poll_fill(
    cx: &mut Context<'_>,
    source: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    room: usize,
) -> Poll<io::Result<usize>> {
    if room <= limits::HEAD_READ_BYTES || !buffer.is_empty() {
        return poll_fill_little(cx, source, buffer);
    }
    // One that is empty may still be a part of what others hold: to make room in it could mean to copy that.
    *buffer = BytesMut::new();
    let mut space = BytesMut::with_capacity(room);
    let read = ready!(pin!(source.read_buf(&mut space)).poll(cx))?;
    *buffer = if space.len() < room / 4 {
        BytesMut::from(space.as_ref())
    } else {
        space
    };
    Poll::Ready(Ok(read))
}

/// By way of the stack.
fn poll_fill_little(
    cx: &mut Context<'_>,
    source: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    let mut space = [MaybeUninit::uninit(); limits::HEAD_READ_BYTES];
    let mut read = ReadBuf::uninit(&mut space);
    let polled = Pin::new(source).poll_read(cx, &mut read);
    if polled.is_pending() && buffer.is_empty() {
        *buffer = BytesMut::new();
    }
    ready!(polled)?;
    buffer.extend_from_slice(read.filled());
    Poll::Ready(Ok(read.filled().len()))
}

/// How much to ask for where so much of a body is left, or nobody knows how much. One byte more than is left: a read that
/// is not filled tells the runtime that nothing is left to read, and one that is has to be followed by another.
pub(crate) fn room(left: Option<u64>, bytes_max: usize) -> usize {
    let left = left.and_then(|left| usize::try_from(left).ok());
    left.map_or(bytes_max, |left| left.saturating_add(1).min(bytes_max))
}

#[cfg(test)]
mod tests;
