//! One HTTP/2 stream: its request as it comes, its response as the client takes it.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::body::Body;
use crate::config::limits::WRITE_STALL_TIMEOUT;
use crate::connection::{Exchange, RequestBody};
use crate::error::{Error, Kind};
use crate::respond::{self, Dialect};

/// One stream.
pub(super) struct Stream {
    respond: SendResponse<Bytes>,
    expect: Option<Arc<Expect>>,
}

/// What a client waits for that sends its body only when it is wanted (RFC 9110 §10.1.1).
#[derive(Debug, Default)]
struct Expect {
    wanted: AtomicBool,
    waker: AtomicWaker,
}

impl Stream {
    pub(super) fn of(request: Request<RecvStream>, respond: SendResponse<Bytes>) -> (Self, Request<Body>) {
        let headers = request.headers();
        let declared = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let expects = headers
            .get(EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let expect: Option<Arc<Expect>> = expects.then(Arc::default);
        let body = |stream| StreamBody {
            stream,
            declared,
            expect: expect.clone(),
        };
        let request = request.map(|stream| Body::downstream(RequestBody::H2(body(stream))));
        (Self { respond, expect }, request)
    }

    fn poll_abandoned(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.expect.as_ref().is_some_and(|expect| expect.is_wanted(cx)) {
            self.expect = None;
            let mut interim = Response::new(());
            *interim.status_mut() = StatusCode::CONTINUE;
            if let Err(error) = self.respond.send_informational(interim) {
                tracing::debug!(%error, "100 Continue could not be sent");
            }
        }
        self.respond.poll_reset(cx).map(drop)
    }
}

impl Expect {
    fn want(&self) {
        self.wanted.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn is_wanted(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        self.wanted.load(Ordering::Acquire)
    }
}

impl Exchange for Stream {
    type Outcome = ();

    fn abandoned(&mut self) -> impl Future<Output = ()> + Send {
        poll_fn(|cx| self.poll_abandoned(cx))
    }

    async fn respond(mut self, mut response: Response<Body>) {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // Not a status of HTTP/2 (RFC 9113 §8.6); nothing asked for it either.
            let error = Error::new(Kind::LayerFailed).with_source("a 101 over HTTP/2");
            response = respond::from_error(&error, Dialect::Http);
        }
        let (head, body) = response.into_parts();
        let ended = body.is_end_stream();
        match self.respond.send_response(Response::from_parts(head, ()), ended) {
            Ok(_) if ended => {}
            Ok(stream) => send_body(stream, body).await,
            Err(error) => tracing::debug!(%error, "response could not be sent"),
        }
    }

    fn cancel(mut self) {
        self.respond.send_reset(Reason::CANCEL);
    }
}

/// Sends a body at the pace of the stream's window; drops it when the client resets the stream.
async fn send_body(mut stream: SendStream<Bytes>, mut body: Body) {
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            _reason = poll_fn(|cx| stream.poll_reset(cx)) => return,
        };
        let sent = match frame {
            None => stream.send_data(Bytes::new(), true).map(|()| Progress::Ended),
            Some(Ok(frame)) => send_frame(&mut stream, frame, body.is_end_stream()).await,
            Some(Err(error)) => {
                // The response is cut short: say so, rather than end it as if it were complete.
                tracing::debug!(%error, "response body failed");
                return stream.send_reset(Reason::INTERNAL_ERROR);
            }
        };
        match sent {
            Ok(Progress::More) => {}
            Ok(Progress::Ended) => return,
            Err(error) => return tracing::debug!(%error, "response body could not be sent"),
        }
    }
}

enum Progress {
    More,
    Ended,
}

async fn send_frame(
    stream: &mut SendStream<Bytes>,
    frame: Frame<Bytes>,
    last: bool,
) -> Result<Progress, h2::Error> {
    match frame.into_data() {
        Ok(data) => {
            send_data(stream, data, last).await?;
            Ok(if last { Progress::Ended } else { Progress::More })
        }
        Err(frame) => match frame.into_trailers() {
            Ok(trailers) => stream.send_trailers(trailers).map(|()| Progress::Ended),
            Err(_unknown_kind) => Ok(Progress::More),
        },
    }
}

async fn send_data(stream: &mut SendStream<Bytes>, mut data: Bytes, ends: bool) -> Result<(), h2::Error> {
    if data.is_empty() {
        return stream.send_data(data, ends);
    }
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let capacity = poll_fn(|cx| stream.poll_capacity(cx));
        let granted = match tokio::time::timeout(WRITE_STALL_TIMEOUT, capacity).await {
            Ok(Some(granted)) => granted?,
            Ok(None) => return Err(Reason::CANCEL.into()),
            Err(_the_client_does_not_read) => {
                stream.send_reset(Reason::CANCEL);
                return Err(Reason::CANCEL.into());
            }
        };
        let chunk = data.split_to(granted.min(data.len()));
        stream.send_data(chunk, ends && data.is_empty())?;
    }
    Ok(())
}

/// A stream's request body; its window opens as the body is read.
pub(crate) struct StreamBody {
    stream: RecvStream,
    declared: Option<u64>,
    expect: Option<Arc<Expect>>,
}

impl StreamBody {
    pub(in super::super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let lost = |error: h2::Error| Error::new(Kind::ClientClosed).with_source(error);
        let polled = self.stream.poll_data(cx);
        if let Some(expect) = self.expect.take()
            && polled.is_pending()
        {
            expect.want();
        }
        match ready!(polled) {
            Some(Ok(data)) => {
                if let Some(declared) = &mut self.declared {
                    *declared = declared.saturating_sub(data.len() as u64);
                }
                let released = self.stream.flow_control().release_capacity(data.len());
                Poll::Ready(Some(released.map(|()| Frame::data(data)).map_err(lost)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(lost(error)))),
            None => {
                let trailers = ready!(self.stream.poll_trailers(cx)).map_err(lost).transpose();
                Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)))
            }
        }
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
