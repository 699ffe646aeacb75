//! What is asked?

use std::fmt;
use std::net::SocketAddr;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri};
use tidegate_proxy::Body;

use super::BadQuestion;

/// A request, and on which connection it comes.
#[derive(Clone, Debug)]
pub struct Question {
    method: Method,
    scheme: Scheme,
    authority: Authority,
    target: PathAndQuery,
    headers: HeaderMap,
    /// The listener that takes the connection; without one it is chosen by scheme and port.
    pub listener: Option<String>,
    /// Where the client is; some filter chains go by that.
    pub client: Option<SocketAddr>,
}

impl Question {
    /// Reads a method, a URL (without a scheme `http`) and header fields, each as `name: value`. A `Host` among them replaces the
    /// URL's, which the name that TLS asks for still is.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn new(method: &str, url: &str, headers: &[String]) -> Result<Self, BadQuestion> {
        let bad = |what: &str| BadQuestion(what.to_owned());
        let method = Method::from_bytes(method.as_bytes());
        let method = method.map_err(|_| bad("the method is none"))?;
        let whole = match url.contains("://") {
            true => url.to_owned(),
            false => format!("http://{url}"),
        };
        let uri: Uri = whole
            .parse()
            .map_err(|error| BadQuestion(format!("'{url}' is no URL: {error}")))?;
        let parts = uri.into_parts();
        let scheme = parts
            .scheme
            .filter(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
        let mut fields = HeaderMap::new();
        for header in headers {
            let refused = || {
                BadQuestion(format!(
                    "'{header}' is no header field: it is written 'name: value'"
                ))
            };
            let (name, value) = header.split_once(':').ok_or_else(refused)?;
            let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| refused())?;
            let value = HeaderValue::from_str(value.trim()).map_err(|_| refused())?;
            fields.append(name, value);
        }
        Ok(Self {
            method,
            scheme: scheme.ok_or_else(|| bad("the URL is neither http nor https"))?,
            authority: parts.authority.ok_or_else(|| bad("the URL has no host"))?,
            target: parts
                .path_and_query
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
            headers: fields,
            listener: None,
            client: None,
        })
    }

    /// Whether the client speaks TLS.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The port that the client connects to: the URL's, or its scheme's.
    #[must_use]
    pub fn port(&self) -> u16 {
        let default = if self.tls() { 443 } else { 80 };
        self.authority.port_u16().unwrap_or(default)
    }

    /// The name that TLS asks for; an address is none.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        let host = self.authority.host();
        let address = host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
        (self.tls() && !address).then(|| host.to_ascii_lowercase())
    }

    /// The request as the client sends it.
    #[must_use]
    pub fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from(self.target.clone());
        *request.headers_mut() = self.headers.clone();
        if !self.headers.contains_key(HOST)
            && let Ok(host) = HeaderValue::from_str(self.authority.as_str())
        {
            request.headers_mut().insert(HOST, host);
        }
        request
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, authority) = (&self.scheme, &self.authority);
        write!(f, "{} {scheme}://{authority}{}", self.method, self.target)
    }
}
