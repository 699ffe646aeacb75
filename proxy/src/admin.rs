//! What operators and probes may ask a running process, on a port of its own.
//!
//! ```
//! use tidegate_proxy::admin::{self, Admin, Readiness};
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::process;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (_drain, watch) = Drain::new();
//! let (listener, readiness) = (admin::bind("127.0.0.1:0".parse()?)?, Readiness::default());
//! let address = listener.local_addr()?;
//! let pages = Admin::new(readiness.clone()).json("/version", || r#"{"version":1}"#.to_owned());
//! process::spawn("admin", watch.unguarded(), pages.serve(listener, watch.clone()));
//!
//! for (ready, expected) in [(false, "HTTP/1.1 503 "), (true, "HTTP/1.1 200 ")] {
//!     if ready {
//!         readiness.set_ready();
//!     }
//!     let mut client = tokio::net::TcpStream::connect(address).await?;
//!     client.write_all(b"GET /ready HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n").await?;
//!     let mut answer = String::new();
//!     client.read_to_string(&mut answer).await?;
//!     assert!(answer.starts_with(expected), "{answer}");
//! }
//! # Ok(()) }
//! ```

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::config::limits;
use crate::drain::Watch;
use crate::process;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// Whether the process takes traffic. Not ready until somebody says so, and never again once it drains: [`Admin`] sees
/// to that.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    ready: Arc<AtomicBool>,
}

impl Readiness {
    /// From now on `/ready` answers 200.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// From now on `/ready` answers 503.
    pub fn set_unready(&self) {
        self.ready.store(false, Ordering::Release);
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

/// The admin endpoints: `/ready` (`LIVE` or 503, as Envoy words it), and what the program adds.
pub struct Admin {
    readiness: Readiness,
    pages: BTreeMap<&'static str, Page>,
}

/// Kept under its path without the slash in front.
struct Page {
    content_type: &'static str,
    render: Box<dyn Fn() -> String + Send + Sync>,
}

impl Admin {
    /// Endpoints that report `readiness`.
    #[must_use]
    pub fn new(readiness: Readiness) -> Self {
        Self {
            readiness,
            pages: BTreeMap::new(),
        }
    }

    /// Adds `/metrics`, in Prometheus' text format.
    #[must_use]
    pub fn metrics(self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.page("metrics", PROMETHEUS, render)
    }

    /// Adds a JSON page at `path`, such as `/state`.
    #[must_use]
    pub fn json(self, path: &'static str, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.page(path.trim_start_matches('/'), JSON, render)
    }

    /// Serves on `listener` until the drain is over: an operator can watch it.
    ///
    /// # Errors
    /// When the socket cannot be used in the runtime that this is called in.
    pub async fn serve(self, listener: std::net::TcpListener, drain: Watch) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let (admin, places) = (
            Arc::new(self),
            Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS_MAX)),
        );
        let forced = drain.forced();
        tokio::pin!(forced);
        loop {
            let place = Arc::clone(&places).acquire_owned();
            let accepted = tokio::select! {
                accepted = async { (place.await, listener.accept().await) } => accepted,
                () = &mut forced => return Ok(()),
            };
            match accepted {
                (Ok(place), Ok((stream, _))) => {
                    let (admin, watch) = (Arc::clone(&admin), drain.clone());
                    let serve = async move {
                        admin.connection(stream, &watch).await;
                        drop(place);
                    };
                    process::spawn("admin", drain.unguarded(), serve);
                }
                (_, Err(error)) => {
                    tracing::warn!(%error, "admin connection could not be accepted");
                    tokio::time::sleep(limits::ACCEPT_BACKOFF).await;
                }
                (Err(_closed), _) => return Ok(()),
            }
        }
    }

    async fn connection(&self, stream: TcpStream, drain: &Watch) {
        let service = service_fn(|request| async move { Ok::<_, Infallible>(self.answer(&request, drain)) });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits::ADMIN_TIMEOUT)
            .max_buf_size(limits::ADMIN_HEAD_BYTES_MAX)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        match tokio::time::timeout(limits::ADMIN_TIMEOUT, connection).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "admin connection failed"),
            Err(_elapsed) => tracing::debug!("admin connection took too long"),
        }
    }

    fn answer(&self, request: &Request<Incoming>, drain: &Watch) -> Response<Full<Bytes>> {
        if foreign_page(request.headers()) {
            return text(
                StatusCode::FORBIDDEN,
                "requests from other sites' pages are refused\n",
            );
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        // Literal, but for the slashes in front, which proxies on the way may have multiplied.
        match request.uri().path().trim_start_matches('/') {
            "ready" if drain.is_draining() => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            "ready" if self.readiness.is_ready() => text(StatusCode::OK, "LIVE\n"),
            "ready" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            "" => text(StatusCode::OK, &self.index()),
            path => match self.pages.get(path) {
                Some(page) => with_type(StatusCode::OK, page.content_type, (page.render)()),
                None => text(
                    StatusCode::NOT_FOUND,
                    &format!("no such page; there are:\n{}", self.index()),
                ),
            },
        }
    }

    fn index(&self) -> String {
        std::iter::once(&"ready")
            .chain(self.pages.keys())
            .map(|path| format!("/{path}\n"))
            .collect()
    }

    fn page(
        mut self,
        path: &'static str,
        content_type: &'static str,
        render: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        self.pages.insert(
            path,
            Page {
                content_type,
                render: Box::new(render),
            },
        );
        self
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("pages", &self.pages.keys())
            .finish_non_exhaustive()
    }
}

/// Opens the admin address. A taken port is an error.
///
/// # Errors
/// What the system said, with the address.
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, crate::listener::BindError> {
    let failed = |source| crate::listener::BindError {
        address: address.into(),
        source,
    };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// A browser sends these with what a page of another site makes it do.
fn foreign_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
        || headers
            .get(SEC_FETCH_SITE)
            .is_some_and(|site| site != "none" && site != "same-origin")
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    with_type(status, TEXT, body.to_owned())
}

fn with_type(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
