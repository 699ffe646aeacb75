//! Compressing responses for clients that ask for it.
//!
//! ```
//! use std::sync::Arc;
//! use http::{HeaderValue, Request, StatusCode};
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::filter::{Compression, Filter};
//! use tidegate_proxy::route::{Action, DirectResponse, Domain, Route, VirtualHost};
//! use tidegate_proxy::{Body, Proxy};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let page = DirectResponse::new(StatusCode::OK, "tides come and go ".repeat(1000))
//!     .with_content_type(HeaderValue::from_static("text/html"));
//! let mut route = Route::new(Action::Respond(page.into()));
//! route.filters = [Filter::Compression(Arc::new(Compression::default()))].into();
//! let host = VirtualHost::new("all", [Domain::Any], [route]);
//! let (_drain, watch) = Drain::new();
//! let proxy = Proxy::new(Handle::new(Snapshot::new([host], [])), watch);
//!
//! let request = Request::get("http://a.example/").header("accept-encoding", "gzip").body(Body::empty())?;
//! assert_eq!(proxy.oneshot(request).await?.headers()["content-encoding"], "gzip");
//! # Ok(()) }
//! ```

use std::convert::Infallible;
use std::future::ready;

use futures_util::FutureExt;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY,
};
use http::{Method, Request, Response, StatusCode};
use tower::{ServiceExt, service_fn};
use tower_http::compression::Compression as Compress;
use tower_http::compression::predicate::Predicate;

use super::Note;
use crate::body::Body;
use crate::config::limits;

/// Compresses responses of chosen content types that are worth it, in the best of its encodings that a client accepts. A
/// response that is encoded already, says `no-transform`, or is a part of one stays as it is. A strong `ETag` becomes a weak
/// one, since the bytes differ.
#[derive(Clone, Debug)]
pub struct Compression {
    /// The encodings to choose from. Default: all.
    pub encodings: Vec<Encoding>,
    /// The content types that are compressed, without parameters. Default: text of the web, as Envoy has it.
    pub content_types: Vec<Box<str>>,
    /// The shortest response that is compressed, in bytes, where its length is known.
    /// Default: [`limits::COMPRESSION_BYTES_MIN`].
    pub bytes_min: u64,
}

/// How a response can be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `gzip`.
    Gzip,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

/// What a client accepts.
pub(super) struct Asked(Vec<HeaderValue>);

const CONTENT_TYPES: [&str; 8] = [
    "application/javascript",
    "application/json",
    "application/xhtml+xml",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/plain",
    "text/xml",
];

impl Default for Compression {
    fn default() -> Self {
        Self {
            encodings: vec![Encoding::Gzip, Encoding::Brotli, Encoding::Zstd],
            content_types: CONTENT_TYPES.map(Into::into).into(),
            bytes_min: limits::COMPRESSION_BYTES_MIN,
        }
    }
}

impl Compression {
    pub(super) fn on_request(&self, request: &Request<Body>) -> Note {
        let accepted = request.headers().get_all(ACCEPT_ENCODING);
        let accepted: Vec<_> = accepted.iter().cloned().collect();
        if request.method() == Method::HEAD {
            return Note::None;
        }
        Note::Compression(Asked(accepted))
    }

    pub(super) fn on_response(&self, asked: &Asked, mut response: Response<Body>) -> Response<Body> {
        if !self.fits(&response) {
            return response;
        }
        // What this client gets depends on what it accepts, also where it accepts nothing.
        if asked.0.is_empty() {
            add_vary(response.headers_mut());
            return response;
        }
        let mut request = Request::new(Body::empty());
        for value in &asked.0 {
            request.headers_mut().append(ACCEPT_ENCODING, value.clone());
        }
        let has = |encoding| self.encodings.contains(&encoding);
        let mut slot = Some(response);
        let ready_response =
            service_fn(move |_: Request<Body>| ready(Ok::<_, Infallible>(slot.take().unwrap_or_default())));
        let compress = Compress::new(ready_response)
            .gzip(has(Encoding::Gzip))
            .br(has(Encoding::Brotli))
            .zstd(has(Encoding::Zstd))
            .compress_when(Always);
        // The response is there, so nothing waits.
        let Some(Ok(compressed)) = compress.oneshot(request).now_or_never() else {
            return Response::default();
        };
        let mut compressed = compressed.map(Body::new);
        if compressed.headers().contains_key(CONTENT_ENCODING) {
            weaken(compressed.headers_mut());
        }
        add_vary(compressed.headers_mut());
        compressed
    }

    /// Whether a response may be compressed and is worth it.
    fn fits(&self, response: &Response<Body>) -> bool {
        let headers = response.headers();
        let status = response.status();
        let whole = !status.is_informational()
            && ![
                StatusCode::NO_CONTENT,
                StatusCode::PARTIAL_CONTENT,
                StatusCode::NOT_MODIFIED,
            ]
            .contains(&status);
        let length = http_body::Body::size_hint(response.body());
        whole
            && !headers.contains_key(CONTENT_ENCODING)
            && !transform_forbidden(headers)
            && self.of_content_type(headers)
            && length.exact().is_none_or(|bytes| bytes >= self.bytes_min)
    }

    fn of_content_type(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
            return false;
        };
        let essence = value.split(';').next().unwrap_or_default().trim();
        self.content_types
            .iter()
            .any(|content_type| content_type.eq_ignore_ascii_case(essence))
    }
}

/// What is compressed was decided before.
#[derive(Clone, Copy, Debug)]
struct Always;

impl Predicate for Always {
    fn should_compress<B: http_body::Body>(&self, _: &Response<B>) -> bool {
        true
    }
}

fn transform_forbidden(headers: &HeaderMap) -> bool {
    headers.get_all(CACHE_CONTROL).iter().any(|value| {
        value.to_str().is_ok_and(|value| {
            value
                .split(',')
                .any(|part| part.trim().eq_ignore_ascii_case("no-transform"))
        })
    })
}

fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) else {
        return;
    };
    let weak = [b"W/", tag.as_bytes()].concat();
    match HeaderValue::from_bytes(&weak) {
        Ok(weak) => _ = headers.insert(ETAG, weak),
        Err(_) => _ = headers.remove(ETAG),
    }
}

fn add_vary(headers: &mut HeaderMap) {
    let varies = headers.get_all(VARY).iter().any(|value| {
        value.to_str().is_ok_and(|value| {
            value
                .split(',')
                .any(|part| part.trim().eq_ignore_ascii_case("accept-encoding"))
        })
    });
    if !varies {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}
