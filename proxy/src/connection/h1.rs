//! HTTP/1.1 from clients. hyper's codec, seen nowhere else.

use std::convert::Infallible;
use std::future::{self, Future};
use std::pin::pin;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::socket::Socket;
use super::{Exchange, RequestBody};
use crate::body::Body;
use crate::config::limits;
use crate::drain::Watch;
use crate::upgrade;
use crate::worker::Proxy;

/// Serves requests until the client leaves, an idle time or a deadline passes, or the drain asks for the end.
pub(super) async fn serve(socket: Socket, proxy: Proxy) {
    let drain = proxy.worker().drain.clone();
    proxy.worker().metrics.connections.increment(1.0);
    let service = service_fn(|request| {
        let proxy = proxy.clone();
        async move { Ok::<_, Infallible>(super::run(OneRequest::new(request, &proxy), &proxy).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::REQUEST_HEAD_TIMEOUT)
        .max_buf_size(limits::REQUEST_HEAD_BYTES_MAX)
        .max_headers(limits::HEADER_FIELDS_MAX)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drain.draining() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "downstream connection ended");
    }
    proxy.worker().metrics.connections.decrement(1.0);
}

/// One request under hyper, which takes the response as what the exchange comes to.
struct OneRequest {
    request: Option<Request<Body>>,
    upgrade: Option<OnUpgrade>,
    drain: Watch,
}

impl OneRequest {
    fn new(mut request: Request<Incoming>, proxy: &Proxy) -> Self {
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let request = request.map(|body| Body::downstream(RequestBody::H1(body)));
        Self {
            request: Some(request),
            upgrade,
            drain: proxy.worker().drain.clone(),
        }
    }
}

impl Exchange for OneRequest {
    type Outcome = Response<Body>;

    fn request(&mut self) -> Request<Body> {
        self.request.take().unwrap_or_default()
    }

    /// hyper drops the exchange when it reads the end of input; where nothing reads, `Peer::gone` tells.
    fn abandoned(&mut self) -> impl Future<Output = ()> + Send {
        future::pending()
    }

    async fn respond(self, mut response: Response<Body>) -> Response<Body> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            match (self.upgrade, response.body_mut().take_tunnel()) {
                (Some(downstream), Some((upstream, held))) => {
                    upgrade::join(upgrade::Half::new(downstream), upstream, held, &self.drain);
                }
                // An upstream that switches unasked gets no tunnel.
                _ => *response.status_mut() = StatusCode::BAD_GATEWAY,
            }
        }
        response
    }

    fn cancel(self) -> Response<Body> {
        Response::default()
    }
}
