//! How does a test call a server without thinking of bytes? One connection, HTTP/1.1 or HTTP/2 by prior knowledge.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::body::{self, Body};
use crate::wait::soon;

/// A whole response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status code.
    pub status: StatusCode,
    /// The version it came by.
    pub version: Version,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, without framing.
    pub body: Bytes,
    /// What came after the body, if anything.
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// Reads a response to its end.
    ///
    /// # Errors
    /// When the body breaks off.
    pub async fn read(response: Response<Incoming>) -> Result<Self, hyper::Error> {
        let (head, body) = response.into_parts();
        let collected = soon("the end of the body", body.collect()).await?;
        let trailers = collected.trailers().cloned();
        let body = collected.to_bytes();
        Ok(Self {
            status: head.status,
            version: head.version,
            headers: head.headers,
            body,
            trailers,
        })
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first value of a header, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// One client connection. Dropping it closes the connection.
#[derive(Debug)]
pub struct Client {
    sender: Sender,
    _driver: JoinSet<()>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Client {
    /// Connects for HTTP/1.1.
    ///
    /// # Panics
    /// When nobody listens at `address`.
    pub async fn http1(address: SocketAddr) -> Self {
        Self::http1_over(dial(address).await).await
    }

    /// HTTP/1.1 over a connection that stands: TLS, a unix socket.
    ///
    /// # Panics
    /// Never: nothing is sent yet.
    pub async fn http1_over<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .expect("an HTTP/1 handshake sends nothing");
        let mut driver = JoinSet::new();
        driver.spawn(async {
            // What the connection dies of, the request reports too.
            drop(connection.with_upgrades().await);
        });
        Self {
            sender: Sender::Http1(sender),
            _driver: driver,
        }
    }

    /// Connects for HTTP/2 without asking first (h2c).
    ///
    /// # Panics
    /// When nobody listens at `address`.
    pub async fn http2(address: SocketAddr) -> Self {
        Self::http2_over(dial(address).await).await
    }

    /// HTTP/2 over a connection that stands: TLS, a unix socket.
    ///
    /// # Panics
    /// When the connection is gone already.
    pub async fn http2_over<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream));
        let (sender, connection) = soon("the HTTP/2 handshake", handshake)
            .await
            .expect("a preface is sent");
        let mut driver = JoinSet::new();
        driver.spawn(async {
            // What the connection dies of, the requests report too.
            drop(connection.await);
        });
        Self {
            sender: Sender::Http2(sender),
            _driver: driver,
        }
    }

    /// Sends a request whose URI is absolute (`http://host/path`), written as the protocol wants it: a `Host` header of
    /// the request wins over the URI's. The future is free of the client, so that HTTP/2 requests can run side by side.
    pub fn send(
        &mut self,
        request: Request<Body>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                futures_util::future::Either::Left(sender.send_request(origin_form(request)))
            }
            Sender::Http2(sender) => futures_util::future::Either::Right(sender.send_request(request)),
        };
        soon("the head of a response", response)
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Panics
    /// When there is none, or it breaks off.
    pub async fn call(&mut self, request: Request<Body>) -> Answer {
        let uri = request.uri().clone();
        let response = self
            .send(request)
            .await
            .unwrap_or_else(|error| panic!("{uri}: {error:?}"));
        let answer = Answer::read(response).await;
        answer.unwrap_or_else(|error| panic!("{uri}: the body broke off: {error:?}"))
    }

    /// GETs `path` of `host`.
    ///
    /// # Panics
    /// When there is no whole response.
    pub async fn get(&mut self, host: &str, path: &str) -> Answer {
        self.call(get_request(host, path)).await
    }

    /// Whether the connection can take no more requests.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Waits until an HTTP/1 connection can take the next request; an HTTP/2 one always can.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn ready(&mut self) -> hyper::Result<()> {
        match &mut self.sender {
            Sender::Http1(sender) => soon("the connection to be free", sender.ready()).await,
            Sender::Http2(sender) => sender.ready().await,
        }
    }
}

/// GETs `path` of `host` at `address` over a new HTTP/1.1 connection.
///
/// # Panics
/// When there is no whole response.
pub async fn get(address: SocketAddr, host: &str, path: &str) -> Answer {
    Client::http1(address).await.get(host, path).await
}

/// A GET request without a body.
///
/// # Panics
/// When host or path are not fit for a URI.
#[must_use]
pub fn get_request(host: &str, path: &str) -> Request<Body> {
    Request::get(format!("http://{host}{path}"))
        .body(body::empty())
        .expect("host and path fit a URI")
}

/// A POST request.
///
/// # Panics
/// When host or path are not fit for a URI.
#[must_use]
pub fn post_request(host: &str, path: &str, body: Body) -> Request<Body> {
    Request::post(format!("http://{host}{path}"))
        .body(body)
        .expect("host and path fit a URI")
}

async fn dial(address: SocketAddr) -> TcpStream {
    let connected = soon("a connection", TcpStream::connect(address)).await;
    let stream = connected.unwrap_or_else(|error| panic!("connect to {address}: {error}"));
    stream
        .set_nodelay(true)
        .expect("a fresh socket takes TCP_NODELAY");
    stream
}

fn origin_form(mut request: Request<Body>) -> Request<Body> {
    if let Some(authority) = request.uri().authority().cloned() {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        let host = HeaderValue::from_str(authority.as_str()).expect("an authority fits a header");
        request.headers_mut().entry(HOST).or_insert(host);
    }
    request
}
