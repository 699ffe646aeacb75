//! When does a connection end, and when a stream, if its client or its upstream lets time pass? In memory, on a clock that
//! jumps.

use std::convert::Infallible;
use std::future;
use std::num::NonZeroU32;

use ::h2::client::SendRequest;
use futures_util::stream;
use http::Response;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::io::DuplexStream;
use tokio::task::JoinSet;
use tower::layer::layer_fn;
use tower::service_fn;

use super::*;
use crate::body::Body;
use crate::cluster::{Cluster, ClusterSettings};
use crate::config::http::{DownstreamTimeouts, Http2KeepAlive};
use crate::config::{Handle, Snapshot};
use crate::connection::Peer;
use crate::drain::Drain;
use crate::error::{Error, Kind};
use crate::layers::Layers;
use crate::listener::chain::Chain;
use crate::observe::ledger::Ledger;
use crate::route::{Domain, Route, Split, VirtualHost};
use crate::upstream::Upstream;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A connection being served, and what its client needs.
struct Served {
    sender: SendRequest<Bytes>,
    tasks: JoinSet<&'static str>,
    books: Ledger,
    _drain: Drain,
    began: Instant,
}

/// Answers by the path: `/body` once the request's body is whole, `/never` never, `/stuck` by a body without an end,
/// `/large` with more than any window takes.
async fn answer(request: Request<Body>) -> Result<Response<Body>, Error> {
    let body = match request.uri().path() {
        "/body" => Body::full(request.into_body().collect().await?.to_bytes()),
        "/never" => future::pending().await,
        "/stuck" => Body::new(http_body_util::StreamBody::new(stream::pending::<
            Result<Frame<Bytes>, Infallible>,
        >())),
        "/large" => Body::new(http_body_util::StreamBody::new(stream::iter(large()))),
        _ => Body::full("here"),
    };
    Ok(Response::new(body))
}

fn large() -> [Result<Frame<Bytes>, Infallible>; 2] {
    [(); 2].map(|()| Ok(Frame::data(vec![b'x'; 1 << 19].into())))
}

fn proxy(settings: HttpSettings, drain: &crate::drain::Watch) -> Proxy {
    let layers = Layers::new(layer_fn(|_: Upstream| service_fn(answer)));
    let route = Route {
        layers: Some(layers),
        ..Route::forward(Split::single("app", [].into()))
    };
    let host = VirtualHost::new("all", [Domain::parse("*").unwrap()], [route]);
    let config = Handle::new(Snapshot::new([host], [Cluster::new(ClusterSettings::new("app"))]));
    let mut chain = Chain::nobody();
    chain.http = Arc::new(settings);
    Proxy::new(config, drain.clone()).for_peer(Peer::of(Arc::new(chain)))
}

/// Serves one end of a connection; the other is the client's.
fn serve_one(settings: HttpSettings) -> (DuplexStream, JoinSet<&'static str>, Drain, Ledger) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (drain, watch) = Drain::new();
    let proxy = proxy(settings, &watch);
    let books = proxy.ledger();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        serve(far, proxy, watch.guard()).await;
        "served"
    });
    (near, tasks, drain, books)
}

async fn served_with(settings: HttpSettings, window: u32) -> Served {
    let (near, mut tasks, drain, books) = serve_one(settings);
    let mut builder = ::h2::client::Builder::new();
    let (sender, connection) = builder.initial_window_size(window).handshake(near).await.unwrap();
    tasks.spawn(async {
        connection.await.unwrap_or_default();
        "left"
    });
    let (sender, began) = (sender.ready().await.unwrap(), Instant::now());
    Served {
        sender,
        tasks,
        books,
        _drain: drain,
        began,
    }
}

async fn served(timeouts: DownstreamTimeouts) -> Served {
    let settings = HttpSettings {
        timeouts,
        ..HttpSettings::default()
    };
    served_with(settings, 65_535).await
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://a.example{path}")).body(()).unwrap()
}

impl Served {
    async fn status(&mut self, path: &str) -> u16 {
        let (response, _) = self.sender.send_request(get(path), true).unwrap();
        response.await.unwrap().status().as_u16()
    }

    /// After how many seconds the connection is over.
    async fn ends_after(&mut self) -> u64 {
        while self.tasks.join_next().await.unwrap().unwrap() != "served" {}
        self.began.elapsed().as_secs()
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_ends_when_its_time_is_over() {
    let mut served = served(DownstreamTimeouts {
        idle: 10 * SECOND,
        ..DownstreamTimeouts::default()
    })
    .await;
    tokio::time::sleep(9 * SECOND).await;
    assert_eq!(served.status("/").await, 200);
    assert_eq!(served.ends_after().await, 19);
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_is_no_idleness() {
    let mut served = served(DownstreamTimeouts {
        idle: 10 * SECOND,
        ..DownstreamTimeouts::default()
    })
    .await;
    let (response, _) = served.sender.send_request(get("/never"), true).unwrap();
    assert!(tokio::time::timeout(MINUTE, response).await.is_err());
    // The client's task is told of the drop when it runs next.
    assert_eq!(served.status("/").await, 200);
    assert_eq!(served.ends_after().await, 70);
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_drained_and_what_runs_has_its_time() {
    let mut served = served(DownstreamTimeouts {
        connection_max: Some(MINUTE),
        drain: 30 * SECOND,
        ..DownstreamTimeouts::default()
    })
    .await;
    let (response, _) = served.sender.send_request(get("/never"), true).unwrap();
    response.await.unwrap_err();
    assert_eq!(served.ends_after().await, 90);
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_after_so_many_requests() {
    let settings = HttpSettings {
        requests_per_connection_max: NonZeroU32::new(2),
        ..HttpSettings::default()
    };
    let mut served = served_with(settings, 65_535).await;
    assert_eq!([served.status("/").await, served.status("/").await], [200, 200]);
    assert_eq!(served.ends_after().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_cut() {
    let mut settings = HttpSettings::default();
    settings.http2.keep_alive = Some(Http2KeepAlive {
        interval: 10 * SECOND,
        timeout: 5 * SECOND,
    });
    let mut answering = served_with(settings.clone(), 65_535).await;
    tokio::time::sleep(MINUTE).await;
    assert_eq!(answering.status("/").await, 200);
    let (near, mut tasks, _drain, _books) = serve_one(settings);
    let (_sender, _never_polled) = ::h2::client::handshake(near).await.unwrap();
    let began = Instant::now();
    assert_eq!(tasks.join_next().await.unwrap().unwrap(), "served");
    assert_eq!(began.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_speak_is_cut() {
    let (_near, mut tasks, _drain, _books) = serve_one(HttpSettings::default());
    let began = Instant::now();
    tasks.join_next().await.unwrap().unwrap();
    assert_eq!(began.elapsed(), limits::REQUEST_HEAD_TIMEOUT);
}

/// What becomes of a POST whose body does not end.
async fn unfinished(timeouts: DownstreamTimeouts, fields: &[(&str, &str)], drips: u32) -> (u16, u64) {
    let mut served = served(timeouts).await;
    let mut request = Request::post("http://a.example/body");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (response, mut body) = served
        .sender
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    served.tasks.spawn(async move {
        for _ in 0..drips {
            tokio::time::sleep(SECOND).await;
            body.send_data(Bytes::from_static(b"x"), false)
                .unwrap_or_default();
        }
        future::pending::<()>().await;
        "dripped"
    });
    let status = response.await.unwrap().status();
    (status.as_u16(), served.began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_body_has_to_come_in_time() {
    let request = DownstreamTimeouts {
        request: Some(20 * SECOND),
        ..DownstreamTimeouts::default()
    };
    assert_eq!(unfinished(request, &[], 1000).await, (408, 20));
    let quiet = DownstreamTimeouts {
        stream_idle: Some(10 * SECOND),
        ..DownstreamTimeouts::default()
    };
    assert_eq!(unfinished(quiet, &[], 5).await, (408, 15));
    assert_eq!(
        unfinished(DownstreamTimeouts::default(), &[], 1000).await,
        (408, 60)
    );
}

#[tokio::test(start_paused = true)]
async fn a_grpc_call_may_say_little_for_long() {
    let timeouts = DownstreamTimeouts {
        stream_idle: Some(100 * SECOND),
        ..DownstreamTimeouts::default()
    };
    let grpc = [("content-type", "application/grpc")];
    // Trailers-only: the error is in `grpc-status`.
    assert_eq!(unfinished(timeouts, &grpc, 200).await, (200, 300));
}

#[tokio::test(start_paused = true)]
async fn a_response_without_a_byte_is_cut() {
    let mut served = served(DownstreamTimeouts::default()).await;
    let (response, _) = served.sender.send_request(get("/stuck"), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let error = body.data().await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    assert_eq!(served.began.elapsed(), limits::STREAM_IDLE_TIMEOUT);
    assert_eq!(served.books.totals().failed(Kind::IdleTimeout), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nothing_comes_of_is_504() {
    let mut served = served(DownstreamTimeouts::default()).await;
    assert_eq!(served.status("/never").await, 504);
    assert_eq!(served.began.elapsed(), limits::STREAM_IDLE_TIMEOUT);
    assert_eq!(served.books.totals().failed(Kind::IdleTimeout), 1);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_opens_byte_by_byte_is_cut() {
    let mut served = served_with(HttpSettings::default(), 1).await;
    let (response, _) = served.sender.send_request(get("/large"), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let error = loop {
        match body.data().await.unwrap() {
            Ok(data) => {
                tokio::time::sleep(SECOND).await;
                body.flow_control().release_capacity(data.len()).unwrap();
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    assert_eq!(served.began.elapsed().as_secs(), 60);
    assert_eq!(served.books.totals().failed(Kind::ClientStalled), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_but_steady_reader_gets_all() {
    let mut served = served_with(HttpSettings::default(), 16 * 1024).await;
    let (response, _) = served.sender.send_request(get("/large"), true).unwrap();
    let (mut body, mut whole) = (response.await.unwrap().into_body(), 0);
    while let Some(data) = body.data().await {
        let length = data.unwrap().len();
        whole += length;
        tokio::time::sleep(30 * SECOND).await;
        body.flow_control().release_capacity(length).unwrap();
    }
    assert_eq!(whole, 1 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_client_that_says_nothing() {
    let (near, mut tasks, drain, _books) = serve_one(HttpSettings::default());
    let (_sender, _never_polled) = ::h2::client::handshake(near).await.unwrap();
    tokio::time::sleep(SECOND).await;
    let began = Instant::now();
    drain.start();
    assert_eq!(tasks.join_next().await.unwrap().unwrap(), "served");
    assert_eq!(began.elapsed(), limits::H2_FAREWELL_TIMEOUT);
}

/// It is allocated for each stream.
#[test]
fn the_future_of_a_stream_stays_small() {
    fn size<F>(
        _serve: impl Fn(Request<RecvStream>, SendResponse<Bytes>, Proxy, (Arc<Link>, Open)) -> F,
    ) -> usize {
        size_of::<F>()
    }
    let size = size(super::stream::serve);
    assert!(size <= 3200, "{size} bytes");
}
