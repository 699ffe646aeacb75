//! Where is asked, how, and where does an answer lead?

use std::io;
use std::pin::pin;

use ::http::header::{CONNECTION, HOST, LOCATION};
use ::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::cluster::transport::Duplex;
use tidegate_proxy::tls::TlsError;
use tidegate_proxy::tls::upstream::ClientTls;

use super::super::{Authority, Failure, tcp};
use crate::limits::PROBE_HEAD_BYTES_MAX;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) is_encrypted: bool,
    pub(super) authority: Authority,
    /// A path and perhaps a query.
    pub(super) uri: Uri,
}

impl Version {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }

    fn broken(self, error: impl std::error::Error) -> Failure {
        Failure::protocol(self.name(), error)
    }
}

impl Place {
    /// Sends a GET over a connection of its own; the attempt's timeout bounds it.
    pub(super) async fn ask(
        &self,
        version: Version,
        headers: &HeaderMap,
        tls: &Option<Result<ClientTls, TlsError>>,
    ) -> Result<Response<()>, Failure> {
        let stream = tcp::connect(&self.authority).await?;
        let stream: Box<dyn Duplex> = match tls {
            None => Box::new(stream),
            Some(tls) => {
                let untrusted = |error: io::Error| Failure::protocol("TLS", error);
                let tls = tls.as_ref().map_err(|error| Failure::protocol("TLS", error))?;
                let protocol = match version {
                    Version::Http1 => Protocol::Http1,
                    Version::Http2 => Protocol::Http2,
                };
                let stream = tls.handshake(&self.authority.host, protocol, stream).await;
                Box::new(stream.map_err(untrusted)?)
            }
        };
        match version {
            Version::Http1 => self.ask_http1(stream, headers).await,
            Version::Http2 => self.ask_http2(stream, headers).await,
        }
    }

    async fn ask_http2(&self, stream: Box<dyn Duplex>, headers: &HeaderMap) -> Result<Response<()>, Failure> {
        let broken = |error: h2::Error| Version::Http2.broken(error);
        let scheme = if self.is_encrypted { "https" } else { "http" };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(self.authority.to_string());
        let uri = uri.path_and_query(self.uri.to_string()).build();
        let mut request = Request::new(());
        *request.uri_mut() = uri.map_err(|error| Version::Http2.broken(error))?;
        request.headers_mut().extend(headers.clone());
        let (sender, connection) = h2::client::handshake(stream).await.map_err(broken)?;
        let answer = async {
            let mut sender = sender.ready().await.map_err(broken)?;
            let (response, _body) = sender.send_request(request, true).map_err(broken)?;
            Ok(response.await.map_err(broken)?.map(drop))
        };
        let mut answer = pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // The answer may have come with the end of the connection; if not, it is an error by now.
            _ended = connection => answer.await,
        }
    }

    async fn ask_http1(&self, stream: Box<dyn Duplex>, headers: &HeaderMap) -> Result<Response<()>, Failure> {
        let request = self.request(headers)?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(PROBE_HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Version::Http1.broken(error))?;
        let mut response = pin!(sender.send_request(request));
        let response = tokio::select! {
            biased;
            response = &mut response => response,
            // The answer may have come with the end of the connection; if not, it is an error by now.
            _ended = connection => response.await,
        };
        Ok(response.map_err(|error| Version::Http1.broken(error))?.map(drop))
    }

    fn request(&self, headers: &HeaderMap) -> Result<Request<Empty<Bytes>>, Failure> {
        let host = HeaderValue::try_from(self.authority.to_string());
        let host = host.map_err(|error| Version::Http1.broken(error))?;
        let mut request = Request::new(Empty::new());
        request.uri_mut().clone_from(&self.uri);
        let head = request.headers_mut();
        head.insert(HOST, host);
        head.insert(CONNECTION, HeaderValue::from_static("close"));
        head.extend(headers.clone());
        Ok(request)
    }

    /// Where the answer leads, if anywhere; a redirect that says nowhere is an answer.
    pub(super) fn next(&self, answer: &Response<()>) -> Result<Option<Self>, Failure> {
        let is_redirect = matches!(
            answer.status(),
            StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT
        );
        let location = answer.headers().get(LOCATION).filter(|_| is_redirect);
        let Some(location) = location.filter(|location| !location.is_empty()) else {
            return Ok(None);
        };
        let found = location.to_str().ok().and_then(|location| self.join(location));
        found.map(Some).ok_or_else(|| Failure::Protocol {
            protocol: "HTTP",
            message: format!("failed to parse Location header {location:?}"),
        })
    }

    /// The place that a reference means which was found here (RFC 3986 §5.2).
    fn join(&self, location: &str) -> Option<Self> {
        let location = location.split('#').next().unwrap_or_default();
        let scheme = if self.is_encrypted { "https:" } else { "http:" };
        if location.starts_with("//") {
            return Self::absolute(&format!("{scheme}{location}"));
        }
        // A query may well hold a URL.
        let begin = location.split(['/', '?']).next().unwrap_or_default();
        if begin.contains(':') {
            return Self::absolute(location);
        }
        let here = self.uri.path();
        let target = match location.as_bytes().first() {
            Some(b'/') => location.to_owned(),
            Some(b'?') => format!("{here}{location}"),
            Some(_) => {
                let folder = here.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{folder}/{location}")
            }
            None => self.uri.to_string(),
        };
        Some(Self {
            uri: target.parse().ok()?,
            ..self.clone()
        })
    }

    fn absolute(location: &str) -> Option<Self> {
        let uri: Uri = location.parse().ok()?;
        let is_encrypted = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Some(Self {
            is_encrypted,
            authority: Authority { host, port },
            uri: target.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_where_its_location_says() {
        let place = Place {
            is_encrypted: false,
            authority: Authority {
                host: "a".to_owned(),
                port: 8080,
            },
            uri: Uri::from_static("/x/y?q"),
        };
        let check = |location: &str, expected: Option<&str>| {
            let found = place.join(location).map(|place| {
                let scheme = if place.is_encrypted { "https" } else { "http" };
                format!("{scheme}://{}{}", place.authority, place.uri)
            });
            assert_eq!(found.as_deref(), expected, "{location}");
        };
        check("/z", Some("http://a:8080/z"));
        check("z?r", Some("http://a:8080/x/z?r"));
        check("?r", Some("http://a:8080/x/y?r"));
        check("/z?next=http://b/", Some("http://a:8080/z?next=http://b/"));
        check("?next=http://b/", Some("http://a:8080/x/y?next=http://b/"));
        check("z/http://b/", Some("http://a:8080/x/z/http://b/"));
        check("mailto:b", None);
        check("//b/z", Some("http://b:80/z"));
        check("https://b/z#part", Some("https://b:443/z"));
        check("http://[::1]:9", Some("http://[::1]:9/"));
        check("ftp://b/z", None);
    }
}
