//! How does one batch reach a collector: by a POST, or by a gRPC call?

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, TE};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::ServiceExt;

use crate::body::Body;
use crate::cluster::transport::{self, Duplex};
use crate::config::limits;
use crate::error::BoxError;
use crate::tls::TlsError;
use crate::tls::trust::Trust;
use crate::tls::upstream::{ClientTls, ClientTlsSettings};
use crate::upstream::Direct;
use crate::worker::Proxy;

/// Where spans go. To an address, a connection is made for each batch, over TLS where its URL says `https`: then who answers has
/// to be trusted as the system trusts ([`Trust::of_system`]). A cluster's connections are as the cluster says.
#[derive(Clone, Debug)]
pub struct Collector {
    protocol: Protocol,
    signal: Signal,
    uri: Uri,
    place: Place,
    /// How long one export may take. Default: [`limits::SPAN_SEND_TIMEOUT`].
    pub timeout: Duration,
}

#[derive(Clone, Debug)]
enum Place {
    Address(Box<str>, u16, Option<ClientTls>),
    Stdout,
    /// In whichever version is in force.
    Cluster(Proxy, Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http,
    Grpc,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Spans,
    Metrics,
}

/// An address that spans cannot be sent to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollectorError {
    /// It is no URL of one.
    #[error("'{url}' is no address of a collector: it has to look like http://HOST:PORT{path}")]
    Url {
        /// What was given.
        url: String,
        /// What such a URL ends with.
        path: &'static str,
    },
    /// It is to be spoken to over TLS, and nobody is trusted here.
    #[error("'{url}' cannot be trusted: {error}")]
    Tls {
        /// What was given.
        url: String,
        /// Why.
        error: TlsError,
    },
}

/// What became of a batch.
pub(crate) enum Outcome {
    Taken,
    /// It may be sent again, after a while that the collector may have named.
    Busy(Option<Duration>),
    /// There is no use in sending it again.
    Refused(String),
}

const GRPC_STATUS: &str = "grpc-status";
/// gRPC's codes that OTLP calls retryable: CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, OUT_OF_RANGE,
/// UNAVAILABLE, DATA_LOSS.
const GRPC_RETRYABLE: [&[u8]; 7] = [b"1", b"4", b"8", b"10", b"11", b"14", b"15"];

impl Signal {
    /// Where a POST goes whose URL has no path.
    fn path(self) -> &'static str {
        match self {
            Self::Spans => "/v1/traces",
            Self::Metrics => "/v1/metrics",
        }
    }

    /// The method that is called by gRPC.
    fn method(self) -> &'static str {
        match self {
            Self::Spans => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }
}

impl Outcome {
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self, Self::Taken)
    }
}

impl Collector {
    /// OTLP over HTTP with protobuf, by a POST to this URL, such as `http://127.0.0.1:4318/v1/traces`.
    ///
    /// # Errors
    /// When it is no `http` or `https` URL with a host; when it is to be over TLS, and the system trusts nobody.
    pub fn http(url: &str) -> Result<Self, CollectorError> {
        Self::parse(url, Protocol::Http, "/v1/traces")
    }

    /// OTLP over gRPC at this URL, such as `http://127.0.0.1:4317`; a path in it does not count.
    ///
    /// # Errors
    /// When it is no `http` or `https` URL with a host; when it is to be over TLS, and the system trusts nobody.
    pub fn grpc(url: &str) -> Result<Self, CollectorError> {
        Self::parse(url, Protocol::Grpc, "")
    }

    /// No collector: spans are written on standard output, one line of JSON for each.
    #[must_use]
    pub fn stdout() -> Self {
        Self {
            protocol: Protocol::Http,
            signal: Signal::Spans,
            uri: Uri::from_static("stdout"),
            place: Place::Stdout,
            timeout: limits::SPAN_SEND_TIMEOUT,
        }
    }

    pub(super) fn is_stdout(&self) -> bool {
        matches!(self.place, Place::Stdout)
    }

    /// OTLP over HTTP with protobuf, through a cluster of `proxy`; the URI says its `Host` and path.
    #[must_use]
    pub fn http_through(proxy: &Proxy, cluster: impl Into<Arc<str>>, uri: Uri) -> Self {
        Self::through(proxy, cluster.into(), uri, Protocol::Http)
    }

    /// OTLP over gRPC, through a cluster of `proxy` that speaks HTTP/2; the URI says the authority.
    #[must_use]
    pub fn grpc_through(proxy: &Proxy, cluster: impl Into<Arc<str>>, uri: Uri) -> Self {
        Self::through(proxy, cluster.into(), uri, Protocol::Grpc)
    }

    /// The same one, for metrics.
    pub(crate) fn of_metrics(self) -> Self {
        Self {
            signal: Signal::Metrics,
            ..self
        }
    }

    fn through(proxy: &Proxy, cluster: Arc<str>, uri: Uri, protocol: Protocol) -> Self {
        Self {
            protocol,
            signal: Signal::Spans,
            uri,
            place: Place::Cluster(proxy.clone(), cluster),
            timeout: limits::SPAN_SEND_TIMEOUT,
        }
    }

    fn parse(url: &str, protocol: Protocol, path: &'static str) -> Result<Self, CollectorError> {
        let wrong = || CollectorError::Url {
            url: url.to_owned(),
            path,
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let is_encrypted = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let host = uri.host().ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').into();
        let port = uri.port_u16().unwrap_or(match protocol {
            Protocol::Http => 4318,
            Protocol::Grpc => 4317,
        });
        let tls = || Trust::of_system().and_then(|trust| ClientTls::new(ClientTlsSettings::trusting(trust)));
        let tls = is_encrypted.then(tls).transpose();
        let tls = tls.map_err(|error| CollectorError::Tls {
            url: url.to_owned(),
            error,
        })?;
        Ok(Self {
            protocol,
            signal: Signal::Spans,
            uri,
            place: Place::Address(host, port, tls),
            timeout: limits::SPAN_SEND_TIMEOUT,
        })
    }

    /// Sends one encoded batch. The caller bounds the time.
    pub(crate) async fn send(&self, message: &[u8]) -> Outcome {
        let sent = async {
            let (host, port, tls) = match &self.place {
                Place::Address(host, port, tls) => (host, *port, tls),
                Place::Cluster(proxy, name) => return self.direct(proxy, name, message).await,
                Place::Stdout => return Ok(Outcome::Refused("standard output takes lines".to_owned())),
            };
            let stream = TcpStream::connect((&**host, port)).await?;
            let spoken = match self.protocol {
                Protocol::Http => transport::Protocol::Http1,
                Protocol::Grpc => transport::Protocol::Http2,
            };
            let stream: Box<dyn Duplex> = match tls {
                Some(tls) => Box::new(tls.handshake(host, spoken, stream).await?),
                None => Box::new(stream),
            };
            match self.protocol {
                Protocol::Http => self.post(stream, message).await,
                Protocol::Grpc => self.call(stream, message).await,
            }
        };
        sent.await.unwrap_or_else(|error: BoxError| {
            tracing::debug!(%error, uri = %self.uri, "spans could not be sent");
            Outcome::Busy(None)
        })
    }

    async fn post(&self, stream: Box<dyn Duplex>, message: &[u8]) -> Result<Outcome, BoxError> {
        let authority = self.uri.authority().map_or("", http::uri::Authority::as_str);
        let target = self.target();
        let request = Request::builder()
            .method(Method::POST)
            .uri(target)
            .header(HOST, authority)
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(Full::new(Bytes::copy_from_slice(message)))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await?;
        let mut connection = pin!(connection);
        let response = tokio::select! {
            biased;
            response = sender.send_request(request) => response?,
            ended = &mut connection => {
                ended?;
                return Err("the collector closed the connection".into());
            }
        };
        Ok(by_status(response.status(), response.headers()))
    }

    async fn direct(&self, proxy: &Proxy, cluster: &str, message: &[u8]) -> Result<Outcome, BoxError> {
        let Some(cluster) = proxy.worker().config.load().cluster(cluster).cloned() else {
            return Err(format!("there is no cluster '{cluster}'").into());
        };
        let authority = self.uri.authority().map_or("", http::uri::Authority::as_str);
        let request = Request::builder().method(Method::POST).header(HOST, authority);
        let (request, message) = match self.protocol {
            Protocol::Http => {
                let request = request
                    .uri(self.target())
                    .header(CONTENT_TYPE, "application/x-protobuf");
                (request, Bytes::copy_from_slice(message))
            }
            Protocol::Grpc => {
                let request = request
                    .uri(self.signal.method())
                    .header(CONTENT_TYPE, "application/grpc")
                    .header(TE, HeaderValue::from_static("trailers"));
                (request, framed(message)?)
            }
        };
        let request = request.body(Body::new(Full::new(message)))?;
        let response = Direct::new(proxy, cluster).oneshot(request).await?;
        let (head, body) = response.into_parts();
        let outcome = by_status(head.status, &head.headers);
        if self.protocol == Protocol::Http || !matches!(outcome, Outcome::Taken) {
            return Ok(outcome);
        }
        let body = Limited::new(body, limits::SPAN_ANSWER_BYTES_MAX)
            .collect()
            .await?;
        let trailers = body.trailers().and_then(|trailers| trailers.get(GRPC_STATUS));
        let status = trailers.or_else(|| head.headers.get(GRPC_STATUS));
        Ok(by_grpc_status(status.ok_or("the collector sent no grpc-status")?))
    }

    /// Where a POST goes.
    fn target(&self) -> &str {
        let target = self
            .uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str);
        if target == "/" { self.signal.path() } else { target }
    }

    /// One unary call: a message of five bytes and the batch, then trailers.
    async fn call(&self, stream: Box<dyn Duplex>, message: &[u8]) -> Result<Outcome, BoxError> {
        let authority = self.uri.authority().map_or("", http::uri::Authority::as_str);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{authority}{}", self.signal.method()))
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, HeaderValue::from_static("trailers"))
            .body(())?;
        let message = framed(message)?;
        let (client, connection) = h2::client::handshake(stream).await?;
        let mut connection = pin!(connection);
        tokio::select! {
            biased;
            outcome = unary(client, request, message) => outcome,
            ended = &mut connection => {
                ended?;
                Err("the collector closed the connection".into())
            }
        }
    }
}

async fn unary(
    client: h2::client::SendRequest<Bytes>,
    request: Request<()>,
    mut message: Bytes,
) -> Result<Outcome, BoxError> {
    let mut client = client.ready().await?;
    let (response, mut stream) = client.send_request(request, false)?;
    while !message.is_empty() {
        stream.reserve_capacity(message.len());
        let granted = poll_fn(|cx| stream.poll_capacity(cx)).await;
        let granted = granted.ok_or("the collector reset the call")??;
        let part = message.split_to(granted.min(message.len()));
        stream.send_data(part, message.is_empty())?;
    }
    let response = response.await?;
    if !response.status().is_success() {
        return Ok(Outcome::Refused(response.status().to_string()));
    }
    let (head, mut body) = response.into_parts();
    let mut status = head.headers.get(GRPC_STATUS).cloned();
    while let Some(data) = body.data().await {
        // What it says about partial success is not looked at; it is small.
        body.flow_control().release_capacity(data?.len())?;
    }
    if let Some(trailers) = body.trailers().await? {
        status = trailers.get(GRPC_STATUS).cloned().or(status);
    }
    let status = status.ok_or("the collector sent no grpc-status")?;
    Ok(by_grpc_status(&status))
}

/// A message of gRPC: five bytes, and the batch.
fn framed(message: &[u8]) -> Result<Bytes, BoxError> {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len())?);
    framed.put_slice(message);
    Ok(framed.freeze())
}

fn by_status(status: StatusCode, headers: &HeaderMap) -> Outcome {
    match status {
        status if status.is_success() => Outcome::Taken,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Outcome::Busy(retry_after(headers)),
        status => Outcome::Refused(status.to_string()),
    }
}

fn by_grpc_status(status: &HeaderValue) -> Outcome {
    match status.as_bytes() {
        b"0" => Outcome::Taken,
        code if GRPC_RETRYABLE.contains(&code) => Outcome::Busy(None),
        code => Outcome::Refused(format!("grpc-status {}", String::from_utf8_lossy(code))),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uri, f)
    }
}
