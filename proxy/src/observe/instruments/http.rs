//! What is counted about HTTP, as a server and as a client? As OpenTelemetry's library for Go counts it (`otelhttp`).
//!
//! ```
//! use std::time::Instant;
//! use http::Request;
//! use tidegate_proxy::Body;
//! use tidegate_proxy::observe::instruments::Instruments;
//! use tidegate_proxy::observe::instruments::http::{Exchange, HttpInstruments};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let http = HttpInstruments::new(100);
//! let mut request = Request::get("/").header("host", "a.example:8080").body(Body::empty())?;
//! let exchange = Exchange::of(&mut request, false, Instant::now());
//! http.served(&exchange, 200, 5, &[]);
//! let page = Instruments::new([], http.groups()).text();
//! assert!(page.contains(r#"server_address="a.example",server_port="8080""#));
//! # Ok(()) }
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::header::{HOST, HeaderValue};
use http::{Method, Request, Version};

use super::{Attributes, DURATIONS, Definition, Form, Group, Scope, USUAL, Value};
use crate::body::Body;

/// The library whose numbers these are to whoever reads them.
pub const SCOPE: Scope = Scope {
    name: "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
    version: "0.69.0",
};

/// More attributes than this of the caller's own are left out.
pub const OWN_ATTRIBUTES_MAX: usize = 5;

const SERVER: [Definition; 3] = [
    seconds(
        "http.server.request.duration",
        "Duration of HTTP server requests.",
    ),
    bytes(
        "http.server.request.body.size",
        "Size of HTTP server request bodies.",
    ),
    bytes(
        "http.server.response.body.size",
        "Size of HTTP server response bodies.",
    ),
];
const CLIENT: [Definition; 2] = [
    seconds(
        "http.client.request.duration",
        "Duration of HTTP client requests.",
    ),
    bytes(
        "http.client.request.body.size",
        "Size of HTTP client request bodies.",
    ),
];

const fn seconds(name: &'static str, description: &'static str) -> Definition {
    Definition {
        name,
        unit: "s",
        description,
        form: Form::Durations(&DURATIONS),
    }
}

const fn bytes(name: &'static str, description: &'static str) -> Definition {
    Definition {
        name,
        unit: "By",
        description,
        form: Form::Sizes(&USUAL),
    }
}

/// The instruments of a server that passes requests on.
#[derive(Clone, Debug)]
pub struct HttpInstruments {
    server: Arc<Group>,
    client: Arc<Group>,
}

/// As much of a request as is counted.
#[derive(Debug)]
pub struct Exchange {
    method: &'static str,
    version: &'static str,
    is_tls: bool,
    host: Option<HeaderValue>,
    began: Instant,
    /// None of a request without a body.
    received: Option<Arc<AtomicU64>>,
}

/// Whom a request was passed on to, and with what success.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The server's address.
    pub address: &'a str,
    /// Its port.
    pub port: u16,
    /// Whether over TLS.
    pub is_tls: bool,
    /// How long it took until the head of a response was there, or a failure.
    pub took: Duration,
    /// The status of the response, where there was one.
    pub status: Option<u16>,
}

impl HttpInstruments {
    /// With at most so many different sets of attributes on each side.
    #[must_use]
    pub fn new(series_max: usize) -> Self {
        Self {
            server: Group::new(SCOPE, &SERVER, series_max),
            client: Group::new(SCOPE, &CLIENT, series_max),
        }
    }

    /// What they are counted in.
    #[must_use]
    pub fn groups(&self) -> [Arc<Group>; 2] {
        [Arc::clone(&self.server), Arc::clone(&self.client)]
    }

    /// A request was answered with this status and so many bytes, to the end; `own` are attributes of the caller's.
    pub fn served(&self, exchange: &Exchange, status: u16, sent: u64, own: &Attributes<'_>) {
        let host = exchange.host.as_ref().and_then(|host| host.to_str().ok());
        let (address, port) = split(host.unwrap_or_default());
        let attributes = All::of(own, exchange)
            .with_server(address, port, exchange.is_tls)
            .with_status(Some(status));
        let series = self.server.series(attributes.as_slice());
        series.took(0, exchange.began.elapsed());
        series.sized(1, exchange.received());
        series.sized(2, sent);
    }

    /// The request was passed on.
    pub fn asked(&self, exchange: &Exchange, asked: &Asked<'_>, own: &Attributes<'_>) {
        let attributes = All::of(own, exchange)
            .with_server(asked.address, Some(asked.port), asked.is_tls)
            .with_status(asked.status);
        let series = self.client.series(attributes.as_slice());
        series.took(0, asked.took);
        series.sized(1, exchange.received());
    }
}

impl Exchange {
    /// Of a request that came at `began`: before anything of it is changed or read.
    #[must_use]
    pub fn of(request: &mut Request<Body>, is_tls: bool, began: Instant) -> Self {
        Self {
            method: known(request.method()),
            version: match request.version() {
                Version::HTTP_2 => "2.0",
                Version::HTTP_10 => "1.0",
                _ => "1.1",
            },
            is_tls,
            host: request.headers().get(HOST).cloned(),
            began,
            received: request.body_mut().tally(),
        }
    }

    /// How many bytes of its body have come so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        let received = self.received.as_ref();
        received.map_or(0, |received| received.load(Ordering::Relaxed))
    }
}

/// A set of attributes, without an allocation.
struct All<'a> {
    attributes: [(&'static str, Value<'a>); OWN_ATTRIBUTES_MAX + 7],
    count: usize,
}

impl<'a> All<'a> {
    fn of(own: &Attributes<'a>, exchange: &Exchange) -> Self {
        let mut all = Self {
            attributes: [("", Value::Int(0)); OWN_ATTRIBUTES_MAX + 7],
            count: 0,
        };
        for (key, value) in own.iter().take(OWN_ATTRIBUTES_MAX) {
            all.push(key, *value);
        }
        all.push("http.request.method", Value::Text(exchange.method));
        all.push("network.protocol.name", Value::Text("http"));
        all.push("network.protocol.version", Value::Text(exchange.version));
        all
    }

    /// The port of the scheme is not told.
    fn with_server(mut self, address: &'a str, port: Option<u16>, is_tls: bool) -> Self {
        let (scheme, usual) = if is_tls { ("https", 443) } else { ("http", 80) };
        self.push("server.address", Value::Text(address));
        if let Some(port) = port.filter(|port| *port != usual && *port > 0) {
            self.push("server.port", Value::Int(port.into()));
        }
        self.push("url.scheme", Value::Text(scheme));
        self
    }

    fn with_status(mut self, status: Option<u16>) -> Self {
        if let Some(status) = status {
            self.push("http.response.status_code", Value::Int(status.into()));
        }
        self
    }

    fn push(&mut self, key: &'static str, value: Value<'a>) {
        if let Some(place) = self.attributes.get_mut(self.count) {
            *place = (key, value);
            self.count += 1;
        }
    }

    fn as_slice(&self) -> &Attributes<'a> {
        self.attributes.get(..self.count).unwrap_or_default()
    }
}

/// A name or address, without brackets, and the port where one is said.
fn split(authority: &str) -> (&str, Option<u16>) {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').unwrap_or((rest, ""));
        let port = port.strip_prefix(':').and_then(|port| port.parse().ok());
        return (address, port);
    }
    match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (authority, None),
    }
}

/// The method where it is one that everybody knows: a client must not choose what is counted apart.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::instruments::Instruments;

    #[test]
    fn a_host_is_told_without_its_port_and_brackets() {
        let check = |authority, expected| assert_eq!(split(authority), expected, "{authority}");
        check("a.example", ("a.example", None));
        check("a.example:8080", ("a.example", Some(8080)));
        check("a.example:x", ("a.example", None));
        check("[::1]:80", ("::1", Some(80)));
        check("[::1]", ("::1", None));
        check("", ("", None));
    }

    #[test]
    fn a_request_that_was_passed_on_is_counted_on_both_sides() {
        let http = HttpInstruments::new(10);
        let mut request = Request::post("/")
            .header(HOST, "a.example:80")
            .body(Body::empty());
        let exchange = Exchange::of(request.as_mut().unwrap(), false, Instant::now());
        let own = [("kn.route.tag", Value::Text("blue"))];
        let asked = Asked {
            address: "127.0.0.1",
            port: 8080,
            is_tls: false,
            took: Duration::from_millis(3),
            status: None,
        };
        http.asked(&exchange, &asked, &own);
        http.served(&exchange, 502, 9, &own);
        let page = Instruments::new([], http.groups()).text();
        let scope = r#"network_protocol_name="http",network_protocol_version="1.1",otel_scope_name="go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",otel_scope_schema_url="",otel_scope_version="0.69.0""#;
        let ours = r#"kn_route_tag="blue""#;
        for line in [
            format!(
                r#"http_client_request_duration_seconds_bucket{{http_request_method="POST",{ours},{scope},server_address="127.0.0.1",server_port="8080",url_scheme="http",le="0.005"}} 1"#
            ),
            format!(
                r#"http_server_response_body_size_bytes_sum{{http_request_method="POST",http_response_status_code="502",{ours},{scope},server_address="a.example",url_scheme="http"}} 9"#
            ),
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
        }
    }
}
