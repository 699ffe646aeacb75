//! The body of a request as its HTTP/2 stream brings it.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::header::{CONTENT_LENGTH, EXPECT, HeaderMap};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::head;
use super::link::Link;
use crate::clock;
use crate::config::http::HttpSettings;
use crate::config::limits;
use crate::connection::alarm::Alarm;
use crate::connection::interim::Interim;
use crate::connection::pace::Pace;
use crate::error::{Error, Kind};
use crate::respond::Dialect;

/// A stream's request body; its window opens as the body is read.
pub(crate) struct StreamBody {
    stream: RecvStream,
    /// Whether it was at its end when it was looked at last, after each frame: looking takes the lock of its connection.
    ended: bool,
    declared: Option<u64>,
    link: Arc<Link>,
    interim: Interim,
    settings: Arc<HttpSettings>,
    permission: Permission,
    pace: Pace,
    /// A call of gRPC may say little for long, and its server begins to answer when it has something to say.
    grpc: bool,
    alarm: Alarm,
}

/// What a client waits for that sends its body only when it is wanted (RFC 9110 §10.1.1).
enum Permission {
    /// Nothing, or it has been given.
    Given,
    /// For `100 Continue`, and the body was not asked for yet.
    Expected,
    /// The upstream has the head and may give it; at this time we do.
    By(Instant),
}

/// Whether the client waits for `100 Continue`.
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    let expectation = headers.get(EXPECT);
    expectation.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

impl StreamBody {
    pub(super) fn new(
        stream: RecvStream,
        headers: &HeaderMap,
        link: Arc<Link>,
        interim: Interim,
        settings: Arc<HttpSettings>,
    ) -> Self {
        let declared = headers.get(CONTENT_LENGTH);
        let permission = if interim.is_expecting() {
            Permission::Expected
        } else {
            Permission::Given
        };
        let stall = settings.timeouts.stall;
        let whole = settings.timeouts.request.map(|limit| link.began() + limit);
        Self {
            ended: stream.is_end_stream(),
            stream,
            declared: declared.and_then(|length| length.to_str().ok()?.parse().ok()),
            link,
            interim,
            settings,
            permission,
            pace: Pace::new(None, stall, whole),
            grpc: Dialect::of(headers) == Dialect::Grpc,
            alarm: Alarm::default(),
        }
    }

    pub(in super::super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = self.poll_next(cx);
        self.link.awaits(frame.is_pending());
        frame
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Poll::Ready(data) = self.stream.poll_data(cx) else {
            return self.poll_waiting(cx);
        };
        match data {
            Some(Ok(data)) => {
                self.came(data.len());
                self.ended = self.stream.is_end_stream();
                let released = self.stream.flow_control().release_capacity(data.len());
                Poll::Ready(Some(released.map(|()| Frame::data(data)).map_err(lost)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(lost(error)))),
            None => {
                let Poll::Ready(trailers) = self.stream.poll_trailers(cx) else {
                    return self.poll_waiting(cx);
                };
                self.ended = trailers.is_ok();
                Poll::Ready(self.checked(trailers).transpose())
            }
        }
    }

    fn checked(&self, trailers: Result<Option<HeaderMap>, h2::Error>) -> Result<Option<Frame<Bytes>>, Error> {
        let Some(mut trailers) = trailers.map_err(lost)? else {
            return Ok(None);
        };
        match head::trailers(&mut trailers, &self.settings) {
            Ok(()) => Ok(Some(Frame::trailers(trailers))),
            Err(flaw) => Err(Error::new(Kind::BadRequest).with_detail(flaw)),
        }
    }

    fn came(&mut self, bytes: usize) {
        self.link.moved();
        self.pace.came(bytes, clock::now());
        self.declared = self.declared.map(|left| left.saturating_sub(bytes as u64));
        if !matches!(self.permission, Permission::Given) {
            // It sends without permission; RFC 9110 §10.1.1 lets a server leave that out then.
            self.interim.expect_nothing();
            self.permission = Permission::Given;
        }
    }

    /// The client has to send more. It is not waited for when the response has ended meanwhile (RFC 9113 §8.1), or it takes
    /// too long.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.link.is_answered(cx) {
            let error =
                Error::new(Kind::ClientClosed).with_source("the response has ended before the request");
            return Poll::Ready(Some(Err(error)));
        }
        let now = clock::now();
        self.pace.wait(now);
        if let Permission::Expected = self.permission {
            self.permission = Permission::By(now + limits::EXPECT_CONTINUE_WAIT);
        }
        loop {
            let late = self.deadline();
            let permit = match self.permission {
                Permission::By(time) => Some(time),
                Permission::Expected | Permission::Given => None,
            };
            let Some(next) = late.into_iter().chain(permit).min() else {
                return Poll::Pending;
            };
            if self.link.is_young(next) {
                return Poll::Pending;
            }
            ready!(self.alarm.poll(cx, next));
            if permit == Some(next) {
                self.permission = Permission::Given;
                self.interim.send_continue();
            } else if self.deadline().is_some_and(|late| late <= next) {
                return Poll::Ready(Some(Err(Error::new(Kind::RequestIncomplete))));
            }
        }
    }

    /// When the client will have been too slow. Bytes of the response count as life.
    fn deadline(&self) -> Option<Instant> {
        let quiet = self.pace.waits_since()?.max(self.link.last_moved());
        let idle = self.link.patience().idle().map(|idle| quiet + idle);
        let pace = self.pace.deadline(self.grpc || self.link.is_responding());
        idle.into_iter().chain(pace).min()
    }

    /// Where interim responses to this request go.
    pub(in super::super) fn interim(&self) -> &Interim {
        &self.interim
    }

    pub(in super::super) fn is_end_stream(&self) -> bool {
        self.ended
    }

    pub(in super::super) fn size_hint(&self) -> SizeHint {
        match self.declared {
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        self.link.awaits(false);
    }
}

fn lost(error: h2::Error) -> Error {
    Error::new(Kind::ClientClosed).with_source(error)
}
