//! Does a GET succeed?

use std::pin::pin;

use ::http::header::{CONNECTION, HOST, USER_AGENT};
use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tidegate_knative::headers::KUBE_PROBE_USER_AGENT;
use tidegate_knative::object::{HttpHeader, Scheme};

use super::{Authority, Failure, InvalidProbe, tcp};
use crate::limits::PROBE_HEAD_BYTES_MAX;

const PROTOCOL: &str = "HTTP/1.1";

/// The request of a probe. Each attempt has a connection of its own; redirects are answers, not followed.
#[derive(Clone, Debug)]
pub(super) struct Get {
    uri: Uri,
    headers: HeaderMap,
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
        Ok(Self { uri, headers: all })
    }

    pub(super) async fn send(&self, authority: &Authority) -> Result<(), Failure> {
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
        let status = response
            .map_err(|error| Failure::protocol(PROTOCOL, error))?
            .status();
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
