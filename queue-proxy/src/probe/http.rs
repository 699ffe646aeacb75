//! Does a GET succeed, over HTTP/1.1 or, where that is to be found out, over HTTP/2 first?

use std::pin::pin;

use ::http::header::{CONNECTION, HOST, USER_AGENT};
use ::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tidegate_knative::headers::KUBE_PROBE_USER_AGENT;
use tidegate_knative::object::{HttpHeader, Scheme};

use super::{Authority, Failure, InvalidProbe, tcp};
use crate::limits::PROBE_HEAD_BYTES_MAX;

const PROTOCOL: &str = "HTTP/1.1";
const HTTP2: &str = "HTTP/2";

/// The request of a probe. Each attempt has a connection of its own; redirects are answers, not followed.
#[derive(Clone, Debug)]
pub(super) struct Get {
    uri: Uri,
    headers: HeaderMap,
    /// Whether HTTP/2 is tried first.
    detects: bool,
}

impl Get {
    pub(super) fn new(path: &str, scheme: Scheme, headers: &[HttpHeader]) -> Result<Self, InvalidProbe> {
        if scheme == Scheme::Https {
            return Err(InvalidProbe::Https);
        }
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        let uri = path.parse().map_err(|_| InvalidProbe::Path(path))?;
        let mut all = HeaderMap::new();
        all.insert(USER_AGENT, HeaderValue::from_static(KUBE_PROBE_USER_AGENT));
        for header in headers {
            let invalid = || InvalidProbe::Header(header.name.clone());
            let name = HeaderName::try_from(&header.name).map_err(|_| invalid())?;
            let value = HeaderValue::try_from(&header.value).map_err(|_| invalid())?;
            // A configured Host has no effect, as with Knative; the others come after our own.
            if name != HOST {
                all.append(name, value);
            }
        }
        Ok(Self {
            uri,
            headers: all,
            detects: false,
        })
    }

    /// The same, which tries HTTP/2 first.
    pub(super) fn detecting(self) -> Self {
        Self {
            detects: true,
            ..self
        }
    }

    /// Sends it. To find out whether HTTP/2 is spoken, a request without the configured headers goes first; whoever answers that
    /// well gets the whole one the same way, and its answer counts (Knative `pkg/queue/health/probe.go`).
    pub(super) async fn send(&self, authority: &Authority) -> Result<(), Failure> {
        if self.detects {
            let bare = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(KUBE_PROBE_USER_AGENT))]);
            if self.send_http2(authority, &bare).await.is_ok() {
                return self.send_http2(authority, &self.headers).await;
            }
        }
        self.send_http1(authority).await
    }

    async fn send_http2(&self, authority: &Authority, headers: &HeaderMap) -> Result<(), Failure> {
        let broken = |error: h2::Error| Failure::protocol(HTTP2, error);
        let uri = Uri::builder().scheme("http").authority(authority.to_string());
        let uri = uri.path_and_query(self.uri.to_string()).build();
        let mut request = Request::new(());
        *request.uri_mut() = uri.map_err(|error| Failure::protocol(HTTP2, error))?;
        request.headers_mut().extend(headers.clone());
        let stream = tcp::connect(authority).await?;
        let (sender, connection) = h2::client::handshake(stream).await.map_err(broken)?;
        let answer = async {
            let mut sender = sender.ready().await.map_err(broken)?;
            let (response, _body) = sender.send_request(request, true).map_err(broken)?;
            self.judge(response.await.map_err(broken)?.status())
        };
        let mut answer = pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // The answer may have come with the end of the connection; if not, it is an error by now.
            _ended = connection => answer.await,
        }
    }

    async fn send_http1(&self, authority: &Authority) -> Result<(), Failure> {
        let stream = TokioIo::new(tcp::connect(authority).await?);
        let request = self.request(authority)?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(PROBE_HEAD_BYTES_MAX)
            .handshake(stream)
            .await
            .map_err(|error| Failure::protocol(PROTOCOL, error))?;
        let mut response = pin!(sender.send_request(request));
        let response = tokio::select! {
            biased;
            response = &mut response => response,
            // The answer may have come with the end of the connection; if not, it is an error by now.
            _ended = connection => response.await,
        };
        self.judge(
            response
                .map_err(|error| Failure::protocol(PROTOCOL, error))?
                .status(),
        )
    }

    fn judge(&self, status: StatusCode) -> Result<(), Failure> {
        if (200..400).contains(&status.as_u16()) {
            Ok(())
        } else {
            Err(Failure::Status {
                path: self.uri.to_string(),
                status: status.as_u16(),
            })
        }
    }

    fn request(&self, authority: &Authority) -> Result<Request<Empty<Bytes>>, Failure> {
        let host = HeaderValue::try_from(authority.to_string())
            .map_err(|error| Failure::protocol(PROTOCOL, error))?;
        let mut request = Request::new(Empty::new());
        request.uri_mut().clone_from(&self.uri);
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.extend(self.headers.clone());
        Ok(request)
    }
}
