//! Which web pages of other origins may use a service from a browser (the Fetch standard's CORS protocol).
//!
//! ```
//! use std::sync::Arc;
//! use http::{Request, StatusCode};
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::filter::{Cors, Filter};
//! use tidegate_proxy::route::{Domain, Route, TextMatch, VirtualHost};
//! use tidegate_proxy::{Body, Proxy};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cors = Cors::of_origins([TextMatch::exact("https://app.example")]).allowing_methods("GET, PUT")?;
//! let mut route = Route::respond(StatusCode::OK, "hello");
//! route.filters = [Filter::Cors(Arc::new(cors))].into();
//! let host = VirtualHost::new("all", [Domain::Any], [route]);
//! let (_drain, watch) = Drain::new();
//! let proxy = Proxy::new(Handle::new(Snapshot::new([host], [])), watch);
//!
//! let request = Request::get("http://api.example/").header("origin", "https://app.example").body(Body::empty())?;
//! let response = proxy.oneshot(request).await?;
//! assert_eq!(response.headers()["access-control-allow-origin"], "https://app.example");
//! # Ok(()) }
//! ```

use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Request, Response};

use super::{Note, Verdict, Why};
use crate::body::Body;
use crate::route::{InvalidField, TextMatch};

/// Answers preflights of origins that are allowed, and marks the responses that their pages may read. Requests of other
/// origins go on without a mark: the browser then keeps the response from the page.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    origins: Vec<TextMatch>,
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    exposed: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
    credentials: Credentials,
    private_network: PrivateNetwork,
}

/// Whether pages may send cookies and read what they get for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// They may not.
    #[default]
    Refused,
    /// They may.
    Allowed,
}

/// Whether pages of the public network may reach a service of a private one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrivateNetwork {
    /// They may not.
    #[default]
    Refused,
    /// They may.
    Allowed,
}

/// An origin that is allowed.
pub(super) struct Granted(HeaderValue);

const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");
const TRUE: HeaderValue = HeaderValue::from_static("true");

impl Cors {
    /// Allows the origins that meet one of these conditions; nothing else is allowed yet.
    #[must_use]
    pub fn of_origins(origins: impl IntoIterator<Item = TextMatch>) -> Self {
        Self {
            origins: origins.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The methods that a preflight may ask for: `GET, PUT`.
    ///
    /// # Errors
    /// When no field can have this value.
    pub fn allowing_methods(self, methods: &str) -> Result<Self, InvalidField> {
        let methods = Some(value("CORS methods", methods)?);
        Ok(Self { methods, ..self })
    }

    /// The fields that a preflight may ask for; `*` allows whatever it asks for.
    ///
    /// # Errors
    /// When no field can have this value.
    pub fn allowing_headers(self, headers: &str) -> Result<Self, InvalidField> {
        let headers = Some(value("CORS headers", headers)?);
        Ok(Self { headers, ..self })
    }

    /// The fields of a response that a page may read.
    ///
    /// # Errors
    /// When no field can have this value.
    pub fn exposing(self, headers: &str) -> Result<Self, InvalidField> {
        let exposed = Some(value("CORS exposed headers", headers)?);
        Ok(Self { exposed, ..self })
    }

    /// How long a browser may remember the answer to a preflight, in whole seconds.
    #[must_use]
    pub fn with_max_age(self, age: Duration) -> Self {
        let max_age = Some(HeaderValue::from(age.as_secs()));
        Self { max_age, ..self }
    }

    /// Whether pages may send cookies.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    /// Whether pages of the public network may come.
    #[must_use]
    pub fn with_private_network(self, private_network: PrivateNetwork) -> Self {
        Self {
            private_network,
            ..self
        }
    }

    pub(super) fn on_request(&self, request: &Request<Body>) -> Verdict {
        let headers = request.headers();
        let Some(origin) = headers.get(ORIGIN).filter(|origin| self.allows(origin)) else {
            return Verdict::Pass(Note::None);
        };
        let granted = Granted(origin.clone());
        let preflight = headers
            .get(ACCESS_CONTROL_REQUEST_METHOD)
            .is_some_and(|method| !method.is_empty());
        if request.method() == Method::OPTIONS && preflight {
            return Verdict::Answer(
                Box::new(self.answer(granted, request)),
                Why::fine("cors_response"),
            );
        }
        Verdict::Pass(Note::Cors(granted))
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let origin = origin.as_bytes();
        !origin.is_empty() && self.origins.iter().any(|allowed| allowed.matches(origin))
    }

    fn answer(&self, granted: Granted, request: &Request<Body>) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        self.on_response(granted, &mut response);
        let headers = response.headers_mut();
        if let Some(methods) = &self.methods {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
        }
        let asked = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS);
        let allowed = match &self.headers {
            Some(all) if all == "*" => asked.cloned(),
            listed => listed.clone(),
        };
        if let Some(allowed) = allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
        if let Some(age) = &self.max_age {
            headers.insert(ACCESS_CONTROL_MAX_AGE, age.clone());
        }
        let private = request.headers().get(REQUEST_PRIVATE_NETWORK) == Some(&TRUE);
        if private && self.private_network == PrivateNetwork::Allowed {
            headers.insert(ALLOW_PRIVATE_NETWORK, TRUE);
        }
        response
    }

    pub(super) fn on_response(&self, granted: Granted, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, granted.0);
        if self.credentials == Credentials::Allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        if let Some(exposed) = &self.exposed {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
        // A cache must not give one origin what was marked for another.
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
}

fn value(field: &'static str, text: &str) -> Result<HeaderValue, InvalidField> {
    HeaderValue::from_str(text).map_err(|_| InvalidField::new(field, text, "no header can have this value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors() -> Cors {
        Cors::of_origins([
            TextMatch::exact("https://a.example"),
            TextMatch::suffix(".b.example"),
            TextMatch::regex("CORS origin", "https://c[0-9]\\.example").unwrap(),
        ])
        .allowing_methods("GET, PUT")
        .unwrap()
        .allowing_headers("x-a")
        .unwrap()
        .exposing("x-b")
        .unwrap()
        .with_max_age(Duration::from_secs(60))
        .with_credentials(Credentials::Allowed)
        .with_private_network(PrivateNetwork::Allowed)
    }

    fn request(method: &str, fields: &[(&str, &str)]) -> Request<Body> {
        let builder = Request::builder().method(method);
        let builder = fields
            .iter()
            .fold(builder, |builder, (name, value)| builder.header(*name, *value));
        builder.body(Body::empty()).unwrap()
    }

    fn fields(response: &Response<Body>) -> Vec<(&str, &str)> {
        let mut fields: Vec<_> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        fields.sort_unstable();
        fields
    }

    const PREFLIGHT: [(&str, &str); 4] = [
        ("origin", "https://a.example"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-c, x-d"),
        ("access-control-request-private-network", "true"),
    ];

    #[test]
    fn a_preflight_of_an_allowed_origin_is_answered() {
        let Verdict::Answer(response, _) = cors().on_request(&request("OPTIONS", &PREFLIGHT)) else {
            panic!("not answered");
        };
        assert_eq!(response.status(), 200);
        let expected = [
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-headers", "x-a"),
            ("access-control-allow-methods", "GET, PUT"),
            ("access-control-allow-origin", "https://a.example"),
            ("access-control-allow-private-network", "true"),
            ("access-control-expose-headers", "x-b"),
            ("access-control-max-age", "60"),
            ("vary", "origin"),
        ];
        assert_eq!(fields(&response), expected);
    }

    #[test]
    fn a_star_allows_the_fields_that_are_asked_for() {
        let cors = cors().allowing_headers("*").unwrap();
        let Verdict::Answer(response, _) = cors.on_request(&request("OPTIONS", &PREFLIGHT)) else {
            panic!("not answered");
        };
        assert_eq!(response.headers()["access-control-allow-headers"], "x-c, x-d");
    }

    #[test]
    fn other_requests_pass_and_only_those_of_allowed_origins_are_marked() {
        let check = |method: &str, fields: &[(&str, &str)], marked: bool| {
            let found = match cors().on_request(&request(method, fields)) {
                Verdict::Pass(note) | Verdict::PassAnew(note) => matches!(note, Note::Cors(_)),
                Verdict::Answer(..) => panic!("answered: {method} {fields:?}"),
            };
            assert_eq!(found, marked, "{method} {fields:?}");
        };
        check("GET", &[], false);
        check("GET", &[("origin", "https://a.example")], true);
        check("GET", &[("origin", "https://x.b.example")], true);
        check("GET", &[("origin", "https://c1.example")], true);
        check("GET", &[("origin", "https://c1.example.evil")], false);
        check("GET", &[("origin", "https://a.example.evil")], false);
        check("GET", &[("origin", "")], false);
        check("OPTIONS", &[("origin", "https://a.example")], true);
        let stranger = [
            ("origin", "https://evil"),
            ("access-control-request-method", "PUT"),
        ];
        check("OPTIONS", &stranger, false);
    }
}
