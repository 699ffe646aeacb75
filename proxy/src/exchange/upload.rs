//! The body of a request on its way up an HTTP/2 stream, at the pace of the stream's window.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as _;
use tokio::time::Sleep;

use crate::body::Body;
use crate::config::limits;
use crate::error::{Error, Kind};
use crate::normalize;

/// What is left of an upload. Dropped before its end, it resets the stream unless the response holds on to it.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    body: Body,
    /// Taken from the body, and waiting for the window.
    waiting: Bytes,
    /// Whether nothing comes after `waiting`.
    last: bool,
    /// Whether anything was taken from the body.
    touched: bool,
    stall: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    pub(super) fn new(stream: SendStream<Bytes>, body: Body) -> Self {
        Self {
            stream,
            body,
            waiting: Bytes::new(),
            last: false,
            touched: false,
            stall: None,
        }
    }

    pub(super) fn is_touched(&self) -> bool {
        self.touched
    }

    /// The body, if it can still be sent elsewhere.
    pub(super) fn into_untouched(self) -> Option<Body> {
        (!self.touched).then_some(self.body)
    }

    /// Ready when there is no more to send, or when the upstream wants no more; an error is the body's own.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            while !self.waiting.is_empty() {
                let Some(room) = ready!(self.poll_window(cx))? else {
                    return Poll::Ready(Ok(()));
                };
                let chunk = self.waiting.split_to(room.min(self.waiting.len()));
                let ends = self.last && self.waiting.is_empty();
                if self.stream.send_data(chunk, ends).is_err() || ends {
                    return Poll::Ready(Ok(()));
                }
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                // Who wants no more of it says so by a reset; the response tells the rest.
                return self.stream.poll_reset(cx).map(|_reason| Ok(()));
            };
            self.touched = true;
            match frame.map(|frame| frame.map(http_body::Frame::into_data)) {
                None => return self.finish(),
                Some(Ok(Ok(data))) => {
                    self.last = self.body.is_end_stream();
                    if data.is_empty() && self.last {
                        return self.finish();
                    }
                    self.waiting = data;
                }
                Some(Ok(Err(frame))) => {
                    if let Ok(mut fields) = frame.into_trailers() {
                        normalize::drop_from_trailers(&mut fields);
                        // The stream may be gone; then the response says why.
                        _ = self.stream.send_trailers(fields);
                        return Poll::Ready(Ok(()));
                    }
                }
                Some(Err(error)) => {
                    // Cut short it must not look complete.
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    fn finish(&mut self) -> Poll<Result<(), Error>> {
        // The stream may be gone; then the response says why.
        _ = self.stream.send_data(Bytes::new(), true);
        Poll::Ready(Ok(()))
    }

    /// How much the upstream takes now; none when it takes no more at all.
    fn poll_window(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<usize>, Error>> {
        if let Poll::Ready(room) = poll_room(&mut self.stream, self.waiting.len(), cx) {
            self.stall = None;
            return Poll::Ready(Ok(room));
        }
        let stall = self
            .stall
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limits::STREAM_IDLE_TIMEOUT)));
        ready!(stall.as_mut().poll(cx));
        self.stream.send_reset(Reason::INTERNAL_ERROR);
        Poll::Ready(Err(
            Error::new(Kind::IdleTimeout).with_source("the upstream reads no more of the request")
        ))
    }
}

/// How much of `wanted` bytes a stream takes now, at least one; none when it takes no more at all.
pub(super) fn poll_room(
    stream: &mut SendStream<Bytes>,
    wanted: usize,
    cx: &mut Context<'_>,
) -> Poll<Option<usize>> {
    stream.reserve_capacity(wanted);
    loop {
        let room = stream.capacity();
        if room > 0 {
            return Poll::Ready(Some(room));
        }
        // What it grants is what `capacity` says next.
        match ready!(stream.poll_capacity(cx)) {
            Some(Ok(_granted)) => {}
            Some(Err(_)) | None => return Poll::Ready(None),
        }
    }
}
