//! The socket of an HTTP/1.1 connection, and what of its input nobody has taken yet.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};

use super::body::{Decoded, Decoder};
use super::fill::{self, Appetite};
use crate::config::limits;
use crate::connection::socket::Socket;
use crate::error::{Error, Kind};

/// The connection's way to its [`Wire`], which it shares with the body of a request for as long as there is one.
pub(super) struct Line {
    wire: Arc<Mutex<Wire>>,
}

/// Both ends of reading: the head's, and the body's.
pub(super) struct Wire {
    pub(super) socket: Socket,
    /// What was read and not taken. It has no allocation while it is empty.
    pub(super) buffer: BytesMut,
    body: Receiving,
    /// The connection, where it waits for the end of the body.
    settled: Option<Waker>,
    /// Whoever waits for more of the body.
    reader: Option<Waker>,
    /// Whether the response has begun: then a slow body is a conversation.
    responding: bool,
    /// Bytes of the body that have come.
    received: u64,
    appetite: Appetite,
}

/// How far the body of the request under way has come.
#[derive(Debug)]
enum Receiving {
    /// There is none, or its end has been seen.
    Over,
    Flowing(Decoder),
    /// Nobody wants the rest of it.
    Unwanted(Decoder),
    /// It broke off, or broke a rule: no border of a message can be told any more.
    Broken,
}

/// What became of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Over,
    Unwanted,
    Broken,
}

impl Line {
    pub(super) fn new(socket: Socket) -> Self {
        let wire = Wire {
            socket,
            buffer: BytesMut::new(),
            body: Receiving::Over,
            settled: None,
            reader: None,
            responding: false,
            received: 0,
            appetite: Appetite::default(),
        };
        Self {
            wire: Arc::new(Mutex::new(wire)),
        }
    }

    /// Works on the wire; without a lock where no body shares it.
    pub(super) fn with<T>(&mut self, work: impl FnOnce(&mut Wire) -> T) -> T {
        match Arc::get_mut(&mut self.wire) {
            Some(alone) => work(alone.get_mut().unwrap_or_else(PoisonError::into_inner)),
            None => work(&mut lock(&self.wire)),
        }
    }

    /// The wire for the body that `decoder` takes off it.
    pub(super) fn share(&mut self, decoder: Decoder) -> Arc<Mutex<Wire>> {
        self.with(|wire| {
            wire.body = Receiving::Flowing(decoder);
            (wire.responding, wire.received) = (false, 0);
        });
        Arc::clone(&self.wire)
    }

    /// The socket and what was read of it, where nobody shares them.
    pub(super) fn into_parts(self) -> Option<(Socket, Bytes)> {
        let wire = Arc::clone(&self.wire);
        drop(self);
        let wire = Arc::into_inner(wire)?;
        let wire = wire.into_inner().unwrap_or_else(PoisonError::into_inner);
        Some((wire.socket, wire.buffer.freeze()))
    }
}

impl Drop for Line {
    /// A body must not wait for what nobody reads any more.
    fn drop(&mut self) {
        self.with(Wire::refuse_body);
    }
}

pub(super) fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    /// Reads the beginning of a request, or more of its head: as much as the last requests had.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let (socket, buffer) = (&mut self.socket, &mut self.buffer);
        self.appetite
            .poll_fill(cx, socket, buffer, limits::BODY_READ_BYTES)
    }

    /// Reads more of a body.
    fn poll_fill_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = fill::room(self.left(), limits::BODY_READ_BYTES);
        fill::poll_fill(cx, &mut self.socket, &mut self.buffer, room)
    }

    /// [`Wire::poll_body`] for whoever wants the body.
    pub(super) fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<Result<Decoded, Error>> {
        if !self.is_flowing() {
            return Poll::Ready(Err(
                Error::new(Kind::ClientClosed).with_source("the body is not read")
            ));
        }
        let polled = self.poll_body(cx);
        self.reader = polled.is_pending().then(|| cx.waker().clone());
        polled
    }

    /// The next piece of the body; [`Decoded::End`] at its end, and from then on.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Decoded, Error>> {
        loop {
            let found = match &mut self.body {
                Receiving::Flowing(decoder) | Receiving::Unwanted(decoder) => {
                    let found = decoder.next(&mut self.buffer);
                    found.map(|found| (found, decoder.is_over()))
                }
                Receiving::Over | Receiving::Broken => return Poll::Ready(Ok(Decoded::End)),
            };
            let error = match found {
                Ok((Decoded::More, _)) => match ready!(self.poll_fill_body(cx)) {
                    Ok(1..) => continue,
                    Ok(0) => Error::new(Kind::ClientClosed).with_source("the body broke off"),
                    Err(error) => Error::new(Kind::ClientClosed).with_source(error),
                },
                Ok((found, over)) => {
                    if self.buffer.is_empty() {
                        self.buffer = BytesMut::new();
                    }
                    if let Decoded::Data(data) = &found {
                        self.received += data.len() as u64;
                    }
                    if over {
                        self.settle(Receiving::Over);
                    }
                    return Poll::Ready(Ok(found));
                }
                Err(error) => error,
            };
            self.settle(Receiving::Broken);
            return Poll::Ready(Err(error));
        }
    }

    /// Whoever read the body wants no more of it.
    pub(super) fn give_up(&mut self) {
        match std::mem::replace(&mut self.body, Receiving::Broken) {
            Receiving::Flowing(decoder) => self.settle(Receiving::Unwanted(decoder)),
            other => self.body = other,
        }
    }

    fn settle(&mut self, body: Receiving) {
        self.body = body;
        if let Some(connection) = self.settled.take() {
            connection.wake();
        }
    }

    /// Nobody may read the body any more: whoever waits for it is told.
    pub(super) fn refuse_body(&mut self) {
        if !self.is_over() {
            self.settle(Receiving::Broken);
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Resolves when the body has been read to its end, or nobody wants it.
    pub(super) fn poll_settled(&mut self, cx: &Context<'_>) -> Poll<Settled> {
        match &self.body {
            Receiving::Over => Poll::Ready(Settled::Over),
            Receiving::Unwanted(_) => Poll::Ready(Settled::Unwanted),
            Receiving::Broken => Poll::Ready(Settled::Broken),
            Receiving::Flowing(_) => {
                self.settled = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// How much of the body is still to come: none where it has no announced length.
    pub(super) fn left(&self) -> Option<u64> {
        match &self.body {
            Receiving::Over => Some(0),
            Receiving::Flowing(decoder) | Receiving::Unwanted(decoder) => decoder.left(),
            Receiving::Broken => None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.body, Receiving::Over)
    }

    /// Whether somebody may read the body, and has not come to its end.
    pub(super) fn is_flowing(&self) -> bool {
        matches!(self.body, Receiving::Flowing(_))
    }

    /// Whether somebody waits for more of the body.
    pub(super) fn is_awaited(&self) -> bool {
        self.is_flowing() && self.reader.is_some()
    }

    /// Whether the end of the body will not be reached: it is broken, or nobody wants it and it is too long to skip.
    pub(super) fn is_beyond_reading(&self) -> bool {
        match &self.body {
            Receiving::Over | Receiving::Flowing(_) => false,
            Receiving::Unwanted(decoder) => decoder
                .left()
                .is_some_and(|left| left > limits::UNREAD_BYTES_MAX as u64),
            Receiving::Broken => true,
        }
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    pub(super) fn is_responding(&self) -> bool {
        self.responding
    }

    pub(super) fn begin_response(&mut self) {
        self.responding = true;
    }
}
