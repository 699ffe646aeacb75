//! An HTTP/1.1 connection to an upstream, while no exchange is under way on it and while one is.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;

use super::held::Held;
use super::stream::Stream;
use crate::cluster::transport::ResponseHeadLimits;
use crate::config::limits;
use crate::connection::h1::fill::{self, Appetite};

/// One request at a time; it is polled by whoever has it, and by nobody while it is idle. It lives in a box, since it is handed
/// from one future to the other, and each has room for it.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    /// What was read and not taken. It has no allocation while it is empty.
    pub(crate) buffer: BytesMut,
    /// What a response's head may come to.
    pub(crate) limits: ResponseHeadLimits,
    appetite: Appetite,
    held: Held,
}

impl Connection {
    pub(super) fn new(stream: Stream, limits: ResponseHeadLimits, held: Held) -> Box<Self> {
        Box::new(Self {
            stream,
            buffer: BytesMut::new(),
            limits,
            appetite: Appetite::default(),
            held,
        })
    }

    /// Whether the next request may go out on it: the upstream has neither closed it nor said anything unasked. Where
    /// nothing has happened, this costs no system call.
    pub(crate) fn is_usable(&mut self) -> bool {
        let mut space = [0; 1];
        let mut read = ReadBuf::new(&mut space);
        // Also by a task that has used up its share of work: it would be told that nothing is there.
        let reading = unconstrained(poll_fn(|cx| Pin::new(&mut self.stream).poll_read(cx, &mut read)));
        self.buffer.is_empty() && at_once(reading).is_pending()
    }

    /// Tells the upstream that nothing more comes, as far as it can be told at once: TLS has a word for that (RFC 8446 §6.1).
    pub(super) fn say_goodbye(&mut self) {
        if !matches!(self.stream, Stream::Tcp(_)) {
            // It is closed, whatever comes of this.
            _ = at_once(unconstrained(poll_fn(|cx| {
                Pin::new(&mut self.stream).poll_shutdown(cx)
            })));
        }
    }

    /// Reads the beginning of a response, or more of its head: as much as the last responses had.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.poll_readable(cx))?;
        let (stream, buffer) = (&mut self.stream, &mut self.buffer);
        self.appetite
            .poll_fill(cx, stream, buffer, limits::UPSTREAM_FIRST_READ_BYTES)
    }

    /// Reads more of a body, up to so many bytes.
    pub(crate) fn poll_fill_room(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        ready!(self.poll_readable(cx))?;
        fill::poll_fill(cx, &mut self.stream, &mut self.buffer, room)
    }

    /// Ready where a read may bring something: room is made for what is there only.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.stream {
            Stream::Tcp(stream) => stream.poll_read_ready(cx),
            Stream::Other(_) | Stream::Shared(_) => Poll::Ready(Ok(())),
        }
    }

    /// The connection, and another handle to its stream.
    pub(crate) fn share(self) -> (Box<Self>, Stream) {
        let (stream, writing) = self.stream.share();
        (Box::new(Self { stream, ..self }), writing)
    }

    /// The connection as it was before [`Connection::share`], once the other handle is gone.
    pub(crate) fn unshare(self) -> Option<Box<Self>> {
        let stream = self.stream.unshare()?;
        Some(Box::new(Self { stream, ..self }))
    }

    /// The stream without HTTP, what has come of it already, and what it counts as until the end.
    pub(crate) fn switch(self) -> (Bytes, Stream, Held) {
        (self.buffer.freeze(), self.stream, self.held)
    }
}

/// What comes of a future without waiting for it.
fn at_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("unread", &self.buffer.len())
            .finish_non_exhaustive()
    }
}
