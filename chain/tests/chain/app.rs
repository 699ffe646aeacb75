//! What runs in the pods? An application that notes whom it answered, and ends its streams in order when it is told to end.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream;
use http::header::{CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use tidegate_testkit::body::{self, Body};
use tidegate_testkit::upstream::{self, Upstream};
use tokio::sync::watch;

/// The header that numbers requests.
pub(crate) const ID: &str = "x-id";

/// How often each request came to any application, by its number.
#[derive(Debug, Default)]
pub(crate) struct Visits(Mutex<HashMap<String, usize>>);

impl Visits {
    fn note(&self, headers: &HeaderMap) {
        if let Some(id) = headers.get(ID).and_then(|id| id.to_str().ok()) {
            let mut visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *visits.entry(id.to_owned()).or_default() += 1;
        }
    }

    /// How many requests came, and which of them more than once.
    pub(crate) fn totals(&self) -> (usize, Vec<String>) {
        let visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let twice = visits.iter().filter(|(_, times)| **times > 1);
        (visits.len(), twice.map(|(id, _)| id.clone()).collect())
    }
}

/// One pod's application.
#[derive(Debug)]
pub(crate) struct App {
    upstream: Upstream,
    ending: watch::Sender<bool>,
}

impl App {
    pub(crate) async fn start(visits: &Arc<Visits>) -> Self {
        let (ending, is_ending) = watch::channel(false);
        let visits = Arc::clone(visits);
        let upstream = Upstream::start(move |request| {
            visits.note(request.headers());
            answer(request, is_ending.clone())
        });
        Self {
            upstream: upstream.await,
            ending,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.upstream.address()
    }

    /// What SIGTERM tells it: its streams end in order, and it serves on.
    pub(crate) fn terminate(&self) {
        self.ending.send_replace(true);
    }
}

async fn answer(request: Request<Incoming>, is_ending: watch::Receiver<bool>) -> Response<Body> {
    if request.headers().contains_key(UPGRADE) {
        return upstream::websocket_echo(request).await;
    }
    let kind = request.headers().get(CONTENT_TYPE);
    if kind.is_some_and(|kind| kind == "application/grpc") {
        let mut response = Response::new(conversation(request.into_body(), is_ending));
        let kind = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        return response;
    }
    let id = request.headers().get(ID).cloned();
    let told = request.into_body().collect().await;
    let told = told.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = id.map_or_else(Vec::new, |id| id.as_bytes().to_owned());
    Response::new(body::full([text.as_slice(), &told].concat()))
}

/// Says back what it is told until either side ends, and then how it went.
fn conversation(told: Incoming, is_ending: watch::Receiver<bool>) -> Body {
    let frames = stream::unfold(Some((told, is_ending)), |state| async {
        let (mut told, mut is_ending) = state?;
        let frame = tokio::select! {
            frame = told.frame() => frame,
            _ = is_ending.wait_for(|is_ending| *is_ending) => None,
        };
        match frame {
            Some(Ok(frame)) if frame.is_data() => Some((Ok(frame), Some((told, is_ending)))),
            Some(Err(error)) => Some((Err(error.into()), None)),
            Some(Ok(_)) | None => Some((Ok(went_well()), None)),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

fn went_well() -> Frame<bytes::Bytes> {
    let status = (
        "grpc-status".parse().expect("a name"),
        HeaderValue::from_static("0"),
    );
    Frame::trailers([status].into_iter().collect())
}
