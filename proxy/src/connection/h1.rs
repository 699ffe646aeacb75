//! HTTP/1.1 from clients. hyper's codec, seen nowhere else.

use std::convert::Infallible;
use std::future::{self, Future};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::socket::Socket;
use super::stream::Presence;
use super::{Exchange, RequestBody};
use crate::body::Body;
use crate::config::limits;
use crate::error::{Error, Kind};
use crate::respond::{self, Dialect};
use crate::upgrade::{Half, Tunnel};
use crate::upstream::TunnelEnd;
use crate::worker::Proxy;

/// Serves requests until the client leaves, an idle time or a deadline passes, or the drain asks for the end;
/// and the tunnel that the last of them may have become.
pub(super) async fn serve(socket: Socket, presence: &Presence, proxy: Proxy) {
    let tunnel = Mutex::new(None);
    match exchanges(socket, presence, &proxy, &tunnel).await {
        Ok(()) => {
            let tunnel = tunnel.into_inner().unwrap_or_else(PoisonError::into_inner);
            if let Some(tunnel) = tunnel {
                // Boxed, as the task of a connection that never becomes a tunnel need not have room for one.
                Box::pin(Tunnel::run(tunnel)).await;
            }
        }
        Err(error) => tracing::debug!(%error, "downstream connection ended"),
    }
}

async fn exchanges(
    socket: Socket,
    presence: &Presence,
    proxy: &Proxy,
    tunnel: &Mutex<Option<Tunnel>>,
) -> hyper::Result<()> {
    let service = service_fn(|request| async move {
        let (exchange, request) = OneRequest::of(request, tunnel);
        let response = super::run(exchange, request, proxy).await;
        Ok::<_, Infallible>(response.map(Unhurried::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::REQUEST_HEAD_TIMEOUT)
        .max_buf_size(limits::REQUEST_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        // The connection first: a request that has arrived is served before the drain closes what is idle.
        biased;
        ended = connection.as_mut() => ended,
        () = super::asked_to_end(proxy, presence) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

/// One request under hyper, which takes the response as what the exchange comes to.
struct OneRequest<'a> {
    upgrade: Option<OnUpgrade>,
    tunnel: &'a Mutex<Option<Tunnel>>,
}

impl<'a> OneRequest<'a> {
    fn of(mut request: Request<Incoming>, tunnel: &'a Mutex<Option<Tunnel>>) -> (Self, Request<Body>) {
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let request = request.map(|body| Body::downstream(RequestBody::H1(body)));
        (Self { upgrade, tunnel }, request)
    }

    fn switch(self, response: &mut Response<Body>) -> Option<()> {
        let upstream = response.extensions_mut().remove::<Half>()?;
        let downstream = Half::upgrading(self.upgrade?);
        let end = response.extensions_mut().remove::<TunnelEnd>();
        let held = mem::take(response.body_mut());
        let mut slot = self.tunnel.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(Tunnel::new(downstream, upstream, held).until(end));
        Some(())
    }
}

impl Exchange for OneRequest<'_> {
    type Outcome = Response<Body>;

    /// hyper drops the exchange when it reads the end of input; where nothing reads, `Peer::gone` tells.
    fn abandoned(&mut self) -> impl Future<Output = ()> + Send {
        future::pending()
    }

    async fn respond(self, mut response: Response<Body>) -> Response<Body> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS && self.switch(&mut response).is_none() {
            let error = Error::new(Kind::LayerFailed).with_source("a 101 without an upstream's connection");
            return respond::from_error(&error, Dialect::Http);
        }
        // Whoever breaks the rules of heads may see other borders between messages than we do.
        let kind = response.extensions().get();
        if matches!(kind, Some(Kind::BadRequest | Kind::ConnectRefused)) {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn cancel(self) -> Response<Body> {
        Response::default()
    }
}

/// A response body whose failure waits for one more poll.
///
/// hyper drops the connection when a body fails, with all that it has not flushed yet. In between it flushes: the
/// client sees how far the response came before it broke off.
struct Unhurried {
    body: Body,
    failure: Option<Error>,
}

impl Unhurried {
    fn new(body: Body) -> Self {
        Self { body, failure: None }
    }
}

impl http_body::Body for Unhurried {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Err(failure)) => {
                self.failure = Some(failure);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
