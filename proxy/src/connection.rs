//! One downstream socket's life: which protocol it speaks, its requests, its end.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use tokio::net::TcpStream;

use crate::body::Body;
use crate::config::http::HttpSettings;
use crate::config::limits;
use crate::drain::Guard;
use crate::error::Error;
use crate::worker::Proxy;

pub(crate) mod alarm;
mod detect;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod interim;
mod socket;
mod stream;

use socket::Socket;
use stream::{Presence, Stream};

/// What the requests of one connection know about who sent them.
pub(crate) struct Peer {
    ip_text: Option<HeaderValue>,
    scheme: Scheme,
    http: Arc<HttpSettings>,
}

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// It is not.
    Http,
    /// It is, by TLS.
    #[allow(dead_code, reason = "for the listeners that end TLS")]
    Https,
}

impl Peer {
    /// Nobody in particular: a request that an embedder calls the proxy with.
    pub(crate) fn unknown() -> Self {
        Self {
            ip_text: None,
            scheme: Scheme::Http,
            http: Arc::default(),
        }
    }

    /// A client at this address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let ip = address.ip().to_canonical().to_string();
        Self {
            ip_text: HeaderValue::try_from(ip).ok(),
            ..Self::unknown()
        }
    }

    fn with_settings(self, http: Arc<HttpSettings>) -> Self {
        Self { http, ..self }
    }

    /// The client's address for `X-Forwarded-For`, made once for the connection.
    pub(crate) fn ip_text(&self) -> Option<&HeaderValue> {
        self.ip_text.as_ref()
    }

    /// The scheme of the URLs that its clients see.
    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// How the filter chain that it came in by speaks HTTP.
    pub(crate) fn http(&self) -> &Arc<HttpSettings> {
        &self.http
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("ip", &self.ip_text)
            .finish_non_exhaustive()
    }
}

/// What answers one request of a downstream connection, whatever its protocol: all that the request path needs of it.
///
/// The request's body streams, its last frame may be trailers; the same holds for the response's.
trait Exchange: Send {
    /// What is left to do for the connection once the exchange is over.
    type Outcome;

    /// Resolves when the client has given this request up, where the protocol can say so for one request.
    fn abandoned(&mut self) -> impl Future<Output = ()> + Send;

    /// Sends the response, to the last trailer.
    fn respond(self, response: Response<Body>) -> impl Future<Output = Self::Outcome> + Send;

    /// Ends the exchange without a response.
    fn cancel(self) -> Self::Outcome;
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold its arguments twice, and each idle connection has room for this future"
)]
fn run<E: Exchange>(
    mut exchange: E,
    request: Request<Body>,
    proxy: &Proxy,
) -> impl Future<Output = E::Outcome> + Send {
    async move {
        let response = tokio::select! {
            biased;
            response = proxy.handle(request) => response,
            () = exchange.abandoned() => return exchange.cancel(),
        };
        exchange.respond(response).await
    }
}

/// Serves one accepted connection to its end. `guard` is held for that long.
pub(crate) async fn serve(
    stream: TcpStream,
    remote: SocketAddr,
    http: Arc<HttpSettings>,
    proxy: Proxy,
    guard: Guard,
) {
    let forced = proxy.worker().drain.forced();
    let _open = proxy.worker().metrics.connection();
    let served = async {
        // Without it small responses would wait for the client's delayed acknowledgements.
        stream.set_nodelay(true)?;
        let stream = Stream::from(stream);
        let presence = stream.presence();
        let mut socket = Socket::plain(stream);
        let detected = tokio::time::timeout(limits::REQUEST_HEAD_TIMEOUT, detect::protocol(&mut socket));
        let protocol = tokio::select! {
            biased;
            detected = detected => detected??,
            () = asked_to_end(&proxy, &presence) => return Ok(()),
        };
        let peer = Peer::at(remote).with_settings(http);
        match protocol {
            Some(detect::Protocol::Http1) => {
                h1::serve(socket, &presence, proxy.for_peer(peer)).await;
            }
            Some(detect::Protocol::Http2) => {
                // Boxed, as the task of every HTTP/1.1 connection would have room for it.
                Box::pin(h2::serve(socket, proxy.for_peer(peer), guard.clone())).await;
            }
            None => {}
        }
        Ok::<(), std::io::Error>(())
    };
    tokio::select! {
        result = served => if let Err(error) = result {
            tracing::debug!(%remote, %error, "connection ended before its first request");
        },
        () = forced => tracing::debug!(%remote, "connection cut at the end of the drain"),
    }
}

/// Resolves when the drain has begun and nothing that the client had sent by then is unread.
async fn asked_to_end(proxy: &Proxy, presence: &Presence) {
    proxy.worker().drain.draining().await;
    presence.caught_up().await;
}

/// A request body as it comes from the client.
pub(crate) enum RequestBody {
    /// Of an HTTP/1.1 request.
    H1(h1::Incoming),
    /// Of an HTTP/2 stream.
    H2(h2::StreamBody),
}

impl RequestBody {
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self {
            Self::H1(body) => body.poll_frame(cx),
            Self::H2(body) => body.poll_frame(cx),
        }
    }

    /// Where interim responses to this request go.
    pub(crate) fn interim(&self) -> Option<&interim::Interim> {
        match self {
            Self::H1(body) => Some(body.interim()),
            Self::H2(body) => Some(body.interim()),
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::H1(body) => body.is_end_stream(),
            Self::H2(body) => body.is_end_stream(),
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::H1(body) => body.size_hint(),
            Self::H2(body) => body.size_hint(),
        }
    }
}
