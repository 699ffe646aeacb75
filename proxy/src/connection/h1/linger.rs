//! How does a connection end without taking the answer along? And what becomes of input that nobody wants?

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::body::Decoded;
use super::head::Persistence;
use super::wire::{Line, Wire};
use crate::config::limits;
use crate::connection::alarm::Alarm;
use crate::connection::stream::Presence;

/// Whether the client is known to be sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// It may have begun another message, or not.
    Unknown,
    /// It is in the middle of something.
    Expected,
}

/// Whether a client has ended its connection by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It has, or there was nothing to wait for.
    InTime,
    /// Not before its time was over.
    Late,
}

/// Closes for writing, and reads on for a short while, as far as there is anything to read: a socket that is closed on
/// unread input is reset, and the reset overtakes the answer (RFC 9112 §9.6).
///
/// What is beyond a bound is not read: the client is left to find the answer, for as long as it may take.
pub(super) async fn close(mut line: Line, input: Input, presence: &Presence, linger: Duration) -> Left {
    let shut = poll_fn(|cx| line.with(|wire| Pin::new(&mut wire.socket).poll_shutdown(cx)));
    let deadline = Instant::now() + linger;
    if !matches!(tokio::time::timeout_at(deadline, shut).await, Ok(Ok(()))) {
        return Left::InTime;
    }
    // What is dropped here would be a gap in a body that somebody still reads.
    line.with(Wire::refuse_body);
    let mut alarm = Alarm::default();
    let begun = line.with(|wire| !wire.buffer.is_empty() || !wire.is_over());
    let (mut dropped, mut unread) = (0, begun || input == Input::Expected);
    while dropped < limits::UNREAD_BYTES_MAX {
        let read = poll_fn(|cx| {
            let read = line.with(|wire| {
                wire.buffer.clear();
                wire.poll_fill(cx)
            });
            match read {
                // Nothing is there, and nothing is known to come.
                Poll::Pending if !unread => Poll::Ready(0),
                Poll::Pending => alarm.poll(cx, deadline).map(|()| 0),
                Poll::Ready(read) => Poll::Ready(read.unwrap_or_default()),
            }
        });
        match read.await {
            0 if deadline <= Instant::now() => return Left::Late,
            0 => return Left::InTime,
            read => dropped += read,
        }
        unread = true;
    }
    match tokio::time::timeout_at(deadline, presence.ended()).await {
        Ok(()) => Left::InTime,
        Err(_elapsed) => Left::Late,
    }
}

/// Reads the rest of a body that nobody wants, so that the next request can be told from it.
pub(super) async fn skip_body(line: &mut Line, alarm: &mut Alarm, linger: Duration) -> Persistence {
    let bound = limits::UNREAD_BYTES_MAX as u64;
    let deadline = Instant::now() + linger;
    let mut dropped = 0;
    // One that is announced to be longer is not worth beginning with.
    if line.with(|wire| wire.is_beyond_reading()) {
        return Persistence::Close;
    }
    while dropped <= bound {
        let found = poll_fn(|cx| match line.with(|wire| wire.poll_body(cx)) {
            Poll::Pending => alarm.poll(cx, deadline).map(|()| None),
            Poll::Ready(found) => Poll::Ready(found.ok()),
        });
        match found.await {
            Some(Decoded::Data(data)) => dropped += data.len() as u64,
            Some(Decoded::End | Decoded::Trailers(_)) => return Persistence::KeepAlive,
            Some(Decoded::More) | None => break,
        }
    }
    Persistence::Close
}
