//! What the upstream of both writes down, and what it answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tidegate_testkit::body::{self, Body};
use tidegate_testkit::upstream::Upstream;

/// The field that says which request it is: nothing changes it.
pub(crate) const CASE: &str = "x-case";
/// The field that says what to answer: `status` or `status;more`.
pub(crate) const ANSWER: &str = "x-answer";

type Seen = Arc<Mutex<HashMap<String, Vec<String>>>>;

/// The upstream of both.
pub(crate) struct Recorder {
    pub(crate) upstream: Upstream,
    seen: Seen,
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let seen = Seen::default();
        let record = Arc::clone(&seen);
        let upstream = Upstream::start(move |request| answer(request, Arc::clone(&record))).await;
        Self { upstream, seen }
    }

    /// Takes out what was seen of a request, once for each try.
    pub(crate) fn take(&self, case: &str) -> Vec<String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(case).unwrap_or_default()
    }
}

async fn answer(request: Request<Incoming>, seen: Seen) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes());
    let field = |name| {
        let value = head.headers.get(name).map(HeaderValue::as_bytes);
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    };
    let mut text = format!("{} {} {:?}\n", head.method, head.uri, head.version);
    let fields = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), value)
    });
    for (name, value) in super::pair::compared(fields) {
        if name != CASE {
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    text.push_str(&String::from_utf8_lossy(&body.unwrap_or_default()));
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(field(CASE))
        .or_default()
        .push(text);
    let order = field(ANSWER);
    let (status, more) = order.split_once(';').unwrap_or((&order, ""));
    let status = status.parse().ok();
    let mut response = Response::new(body::full("of upstream"));
    *response.status_mut() = status.unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    let fields = [("x-up", "up"), ("x-a", "of upstream"), ("server", "of upstream")];
    let more = match more {
        "twice" => [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-b", "")].as_slice(),
        "elsewhere" => &[("location", "/elsewhere"), ("x-envoy-upstream-service-time", "7")],
        _ => &[],
    };
    for (name, value) in fields.iter().chain(more) {
        headers.append(*name, HeaderValue::from_static(value));
    }
    response
}
