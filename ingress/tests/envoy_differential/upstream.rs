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

/// A request as the upstream saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Seen {
    /// The first field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(of, _)| of == name);
        values.next().map(|(_, value)| value.as_str())
    }

    /// Whether this is in its target or in a field.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.target.contains(text) || self.fields.iter().any(|(_, value)| value.contains(text))
    }
}

/// Makes one line of those of this name.
pub(crate) fn join(fields: &mut Vec<(String, String)>, name: &str) {
    let is_named = |(of, value): &&(String, String)| of == name && !value.is_empty();
    let values = fields.iter().filter(is_named).map(|(_, value)| value.trim());
    let all = values.collect::<Vec<_>>().join(",").replace(" ,", ",");
    let mut lines = 0;
    fields.retain(|(of, _)| {
        lines += usize::from(of == name);
        of != name || lines == 1
    });
    for (_, value) in fields.iter_mut().filter(|(of, _)| of == name) {
        value.clone_from(&all);
    }
}

type Book = Arc<Mutex<HashMap<String, Vec<Seen>>>>;

/// The upstream of both.
pub(crate) struct Recorder {
    pub(crate) upstream: Upstream,
    seen: Book,
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let seen = Book::default();
        let record = Arc::clone(&seen);
        let upstream = Upstream::start(move |request| answer(request, Arc::clone(&record))).await;
        Self { upstream, seen }
    }

    /// Takes out what was seen of a request, once for each try.
    pub(crate) fn take(&self, case: &str) -> Vec<Seen> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(case).unwrap_or_default()
    }
}

async fn answer(request: Request<Incoming>, seen: Book) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes());
    let field = |name| {
        let value = head.headers.get(name).map(HeaderValue::as_bytes);
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    };
    let fields = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), value)
    });
    let mut fields = super::pair::compared(fields);
    fields.retain(|(name, _)| name != CASE);
    let one = Seen {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        version: format!("{:?}", head.version),
        fields,
        body: String::from_utf8_lossy(&body.unwrap_or_default()).into_owned(),
    };
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(field(CASE))
        .or_default()
        .push(one);
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
