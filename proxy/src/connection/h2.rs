//! HTTP/2 from clients, on the `h2` crate: streams, flow control, resets, GOAWAY.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::header::CONTENT_LENGTH;
use http::{Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::socket::Socket;
use super::{Exchange, RequestBody};
use crate::body::Body;
use crate::config::limits;
use crate::drain::Guard;
use crate::error::{Error, Kind};
use crate::process;
use crate::worker::Proxy;

/// Serves streams until the client leaves, nothing happened for too long, or the drain asks for the end.
pub(super) async fn serve(socket: Socket, proxy: Proxy, guard: Guard) {
    let handshake = builder().handshake::<_, Bytes>(socket);
    match tokio::time::timeout(limits::REQUEST_HEAD_TIMEOUT, handshake).await {
        Ok(Ok(connection)) => accept(connection, &proxy, &guard).await,
        Ok(Err(error)) => tracing::debug!(%error, "HTTP/2 handshake failed"),
        Err(_elapsed) => tracing::debug!("HTTP/2 handshake took too long"),
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits::H2_STREAMS_MAX)
        .initial_window_size(limits::H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::H2_CONNECTION_WINDOW_BYTES)
        .max_header_list_size(u32::try_from(limits::REQUEST_HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_send_buffer_size(limits::H2_SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(limits::H2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(Some(limits::H2_LOCAL_RESETS_MAX));
    builder
}

async fn accept(mut connection: Connection<Socket, Bytes>, proxy: &Proxy, guard: &Guard) {
    let draining = proxy.worker().drain.draining();
    tokio::pin!(draining);
    let idle = tokio::time::sleep(limits::DOWNSTREAM_IDLE_TIMEOUT);
    tokio::pin!(idle);
    let mut closing = false;
    let streams = Arc::new(());
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    idle.as_mut().reset(Instant::now() + limits::DOWNSTREAM_IDLE_TIMEOUT);
                    let proxy = proxy.clone();
                    let (exchange, running) = (Stream::new(request, respond), Arc::clone(&streams));
                    process::spawn("h2-stream", guard.clone(), async move {
                        super::run(exchange, &proxy).await;
                        drop(running);
                    });
                }
                Some(Err(error)) => return tracing::debug!(%error, "downstream connection failed"),
                None => return,
            },
            () = &mut draining, if !closing => {
                closing = true;
                connection.graceful_shutdown();
            }
            () = &mut idle, if !closing => {
                // A long stream is not idleness.
                if Arc::strong_count(&streams) > 1 {
                    idle.as_mut().reset(Instant::now() + limits::DOWNSTREAM_IDLE_TIMEOUT);
                } else {
                    closing = true;
                    connection.graceful_shutdown();
                }
            }
        }
    }
}

/// One stream.
struct Stream {
    request: Option<Request<Body>>,
    respond: SendResponse<Bytes>,
}

impl Stream {
    fn new(request: Request<RecvStream>, respond: SendResponse<Bytes>) -> Self {
        let declared = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let request =
            request.map(|stream| Body::downstream(RequestBody::H2(StreamBody { stream, declared })));
        Self {
            request: Some(request),
            respond,
        }
    }
}

impl Exchange for Stream {
    type Outcome = ();

    fn request(&mut self) -> Request<Body> {
        self.request.take().unwrap_or_default()
    }

    fn abandoned(&mut self) -> impl Future<Output = ()> + Send {
        poll_fn(|cx| self.respond.poll_reset(cx).map(drop))
    }

    async fn respond(mut self, mut response: Response<Body>) {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // Not a status of HTTP/2 (RFC 9113 §8.6); nothing asked for it either.
            response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::BAD_GATEWAY;
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
        let granted = match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(granted) => granted?,
            None => return Err(Reason::CANCEL.into()),
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
}

impl StreamBody {
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let lost = |error: h2::Error| Error::new(Kind::ClientClosed).with_source(error);
        match ready!(self.stream.poll_data(cx)) {
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

    pub(super) fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.declared {
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}
