//! What runs in the pods? An application that notes whom it answered, and ends its streams in order when it is told to end.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream;
use http::header::{CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use tidegate_testkit::body::{self, Body};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{self, Upstream};
use tokio::sync::watch;

use crate::ledger::OF_STREAMS;

/// The header that numbers requests.
pub(crate) const ID: &str = "x-id";

/// The header of requests that are answered when the gate is opened.
pub(crate) const HELD: &str = "x-held";

/// Which applications each request and stream came to, by its number.
#[derive(Debug)]
pub(crate) struct Visits {
    by_number: Mutex<HashMap<String, Vec<SocketAddr>>>,
    gate: Mutex<Gate>,
}

impl Visits {
    pub(crate) fn new() -> Self {
        Self {
            by_number: Mutex::default(),
            gate: Mutex::new(Gate::closed()),
        }
    }

    fn note(&self, headers: &HeaderMap, app: SocketAddr) {
        if let Some(id) = headers.get(ID).and_then(|id| id.to_str().ok()) {
            lock(&self.by_number).entry(id.to_owned()).or_default().push(app);
        }
    }

    /// Where the request or stream of this number came.
    pub(crate) fn of(&self, number: &str) -> Vec<SocketAddr> {
        lock(&self.by_number).get(number).cloned().unwrap_or_default()
    }

    /// How many requests and streams came to this application.
    pub(crate) fn at(&self, app: SocketAddr) -> usize {
        lock(&self.by_number)
            .values()
            .filter(|apps| apps.contains(&app))
            .count()
    }

    /// How many requests came, and which of them more than once.
    pub(crate) fn totals(&self) -> (usize, Vec<String>) {
        let visits = lock(&self.by_number);
        let requests = visits
            .iter()
            .filter(|(number, _)| !number.starts_with(OF_STREAMS));
        let twice = requests.clone().filter(|(_, apps)| apps.len() > 1);
        (
            requests.count(),
            twice.map(|(number, _)| number.clone()).collect(),
        )
    }

    /// Lets requests go that are held, and holds those to come at another gate.
    pub(crate) fn open_gate(&self) {
        std::mem::replace(&mut *lock(&self.gate), Gate::closed()).open();
    }

    fn gate(&self) -> Gate {
        lock(&self.gate).clone()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
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
        let listener = upstream::bind().await;
        let address = listener.local_addr().expect("it is bound");
        let upstream = Upstream::start_on(listener, move |request| {
            visits.note(request.headers(), address);
            answer(request, visits.gate(), is_ending.clone())
        });
        Self { upstream, ending }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.upstream.address()
    }

    /// What SIGTERM tells it: its streams end in order, and it serves on.
    pub(crate) fn terminate(&self) {
        self.ending.send_replace(true);
    }
}

async fn answer(request: Request<Incoming>, gate: Gate, is_ending: watch::Receiver<bool>) -> Response<Body> {
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
    if request.headers().contains_key(HELD) {
        gate.pass().await;
    }
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
