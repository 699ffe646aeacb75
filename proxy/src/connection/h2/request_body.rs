//! The body of a request as its HTTP/2 stream brings it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::header::{CONTENT_LENGTH, EXPECT, HeaderMap};
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::head;
use super::link::Link;
use crate::config::http::HttpSettings;
use crate::config::limits;
use crate::connection::interim::Interim;
use crate::error::{Error, Kind};

/// A stream's request body; its window opens as the body is read.
pub(crate) struct StreamBody {
    stream: RecvStream,
    declared: Option<u64>,
    link: Arc<Link>,
    interim: Interim,
    settings: Arc<HttpSettings>,
    permission: Permission,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// What a client waits for that sends its body only when it is wanted (RFC 9110 §10.1.1).
enum Permission {
    /// Nothing, or it has been given.
    Given,
    /// For `100 Continue`, and the body was not asked for yet.
    Expected,
    /// The upstream has the head and may give it; at the end of this time we do.
    Asked(Pin<Box<Sleep>>),
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
        let permission = if expects_continue(headers) {
            Permission::Expected
        } else {
            Permission::Given
        };
        if stream.is_end_stream() {
            link.arrive();
        }
        Self {
            stream,
            declared: declared.and_then(|length| length.to_str().ok()?.parse().ok()),
            link,
            interim,
            settings,
            permission,
            deadline: None,
        }
    }

    pub(in super::super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Poll::Ready(data) = self.stream.poll_data(cx) else {
            return self.poll_waiting(cx);
        };
        self.permission = Permission::Given;
        match data {
            Some(Ok(data)) => {
                self.link.moved();
                if let Some(declared) = &mut self.declared {
                    *declared = declared.saturating_sub(data.len() as u64);
                }
                if self.stream.is_end_stream() {
                    self.link.arrive();
                }
                let released = self.stream.flow_control().release_capacity(data.len());
                Poll::Ready(Some(released.map(|()| Frame::data(data)).map_err(lost)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(lost(error)))),
            None => {
                let Poll::Ready(trailers) = self.stream.poll_trailers(cx) else {
                    return self.poll_waiting(cx);
                };
                self.link.arrive();
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

    /// The client has to send more. It is not waited for when the response has ended meanwhile (RFC 9113 §8.1), or the
    /// time for the request is over.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.poll_permission(cx);
        if self.link.is_answered(cx) {
            let error =
                Error::new(Kind::ClientClosed).with_source("the response has ended before the request");
            return Poll::Ready(Some(Err(error)));
        }
        let Some(limit) = self.settings.timeouts.request else {
            return Poll::Pending;
        };
        let end = self.link.began() + limit;
        let deadline = self.deadline.get_or_insert_with(|| sleep_until(end));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Some(Err(Error::new(Kind::RequestIncomplete))))
    }

    fn poll_permission(&mut self, cx: &mut Context<'_>) {
        if let Permission::Expected = self.permission {
            self.permission = Permission::Asked(sleep_until(Instant::now() + limits::EXPECT_CONTINUE_WAIT));
        }
        let Permission::Asked(wait) = &mut self.permission else {
            return;
        };
        if wait.as_mut().poll(cx).is_ready() {
            self.permission = Permission::Given;
            let mut permission = Response::new(());
            *permission.status_mut() = StatusCode::CONTINUE;
            // Dropped if the upstream's has passed already.
            self.interim.send(permission);
        }
    }

    /// Where interim responses to this request go.
    pub(in super::super) fn interim(&self) -> &Interim {
        &self.interim
    }

    pub(in super::super) fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    pub(in super::super) fn size_hint(&self) -> SizeHint {
        match self.declared {
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

fn lost(error: h2::Error) -> Error {
    Error::new(Kind::ClientClosed).with_source(error)
}

// Boxed, as hardly any body needs it.
fn sleep_until(end: Instant) -> Pin<Box<Sleep>> {
    Box::pin(tokio::time::sleep_until(end))
}
