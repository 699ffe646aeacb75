//! One direction of a tunnel: what is read on one side is written to the other, to the end.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Duplex;
use super::websocket::{Toward, Tracker, going_away};
use crate::config::limits;

/// Bytes on their way in one direction. A buffer is held while there is something in it.
#[derive(Debug)]
pub(super) struct Pump {
    pending: Bytes,
    /// What is said after that, by this proxy.
    farewell: Bytes,
    state: State,
    frames: Option<Frames>,
    /// Whether something was written that may be waiting in a buffer of the other side.
    unflushed: bool,
    moved: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Flowing,
    /// The source has ended: the other side is told.
    Ending,
    Ended,
}

/// What is known of a WebSocket.
#[derive(Debug)]
struct Frames {
    toward: Toward,
    tracker: Tracker,
    leaving: Leaving,
}

/// How far a drain has come in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// A Close goes between the next two frames.
    Wanted,
    /// It is on its way: after it, nothing else may be sent (RFC 6455 §5.5.1).
    Said,
}

impl Pump {
    pub(super) fn new() -> Self {
        Self {
            pending: Bytes::new(),
            farewell: Bytes::new(),
            state: State::Flowing,
            frames: None,
            unflushed: false,
            moved: 0,
        }
    }

    /// For frames of a WebSocket, on their way to this side.
    pub(super) fn of_frames(toward: Toward) -> Self {
        Self {
            frames: Some(Frames {
                toward,
                tracker: Tracker::default(),
                leaving: Leaving::No,
            }),
            ..Self::new()
        }
    }

    /// How many bytes have been taken so far.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Asks this direction's recipient to end the connection, unless the other side has done so itself.
    pub(super) fn say_goodbye(&mut self) {
        let Some(frames) = &mut self.frames else { return };
        if frames.leaving != Leaving::No || frames.tracker.is_closed() || self.state != State::Flowing {
            return;
        }
        frames.leaving = Leaving::Wanted;
        if frames.tracker.is_between_frames() {
            frames.leaving = Leaving::Said;
            self.farewell = going_away(frames.toward);
        }
    }

    /// Moves what can be moved; ready when this direction has ended.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Duplex,
        to: &mut impl Duplex,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_write(cx, to))?;
            match self.state {
                State::Flowing if self.is_answered() => self.state = State::Ending,
                State::Flowing => match self.poll_read(cx, from) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        ready!(self.poll_flush(cx, to))?;
                        return Poll::Pending;
                    }
                },
                State::Ending => {
                    ready!(pin!(to.shutdown()).poll(cx))?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Whether both this proxy and the source have said goodbye.
    fn is_answered(&self) -> bool {
        let frames = self.frames.as_ref();
        frames.is_some_and(|frames| frames.leaving == Leaving::Said && frames.tracker.is_closed())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, to: &mut impl Duplex) -> Poll<io::Result<()>> {
        for bytes in [&mut self.pending, &mut self.farewell] {
            while !bytes.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, bytes))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                bytes.advance(written);
                self.unflushed = true;
            }
            // Not a slice of nothing, which would keep its buffer.
            *bytes = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, to: &mut impl Duplex) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, from: &mut impl Duplex) -> Poll<io::Result<()>> {
        let mut buffer = BytesMut::with_capacity(limits::TUNNEL_BUFFER_BYTES);
        let read = match ready!(pin!(from.read_buf(&mut buffer)).poll(cx)) {
            // Many end TLS without its close_notify.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.frames.is_none() => 0,
            read => read?,
        };
        if read == 0 {
            self.state = State::Ending;
            return Poll::Ready(Ok(()));
        }
        self.moved += read as u64;
        let chunk = if read < limits::TUNNEL_BUFFER_BYTES / 4 {
            Bytes::copy_from_slice(&buffer)
        } else {
            buffer.freeze()
        };
        self.take(chunk);
        Poll::Ready(Ok(()))
    }

    /// Takes what was read, or as much of it as may still be passed on.
    fn take(&mut self, mut chunk: Bytes) {
        let Some(frames) = &mut self.frames else {
            self.pending = chunk;
            return;
        };
        match frames.leaving {
            Leaving::No => {
                frames.tracker.pass(&chunk);
                self.pending = chunk;
            }
            Leaving::Wanted => match frames.tracker.pass_to_border(&chunk) {
                None => self.pending = chunk,
                Some(border) => {
                    self.pending = chunk.split_to(border);
                    // Who has closed on its own needs no farewell on its behalf.
                    if !frames.tracker.is_closed() {
                        self.farewell = going_away(frames.toward);
                    }
                    frames.leaving = Leaving::Said;
                    frames.tracker.pass(&chunk);
                }
            },
            Leaving::Said => frames.tracker.pass(&chunk),
        }
    }
}
