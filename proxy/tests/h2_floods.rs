//! Is an HTTP/2 client ended that makes more work than its requests are worth, while others go on unharmed?

mod support;

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use support::{Front, HOST};
use tidegate_proxy::Body;
use tidegate_proxy::layers::Layers;
use tidegate_proxy::upstream::Upstream as Sender;
use tidegate_testkit::client::Client;
use tidegate_testkit::frames::{Frame, Frames, flag, hpack, kind, reason};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{Upstream, answer};
use tidegate_testkit::wait::{eventually, soon};
use tower::layer::layer_fn;
use tower::{ServiceExt, service_fn};

/// More frames of any kind than any bound allows.
const MANY: u32 = 5_000;

/// Floods `front` and asserts that it ends the connection for that, while another client is served before, meanwhile and
/// afterwards.
async fn is_ended(front: &Front, begin: &[Frame], make: impl FnMut(u32) -> Vec<u8>) {
    let mut other = Client::http2(front.address).await;
    assert_eq!(other.get(HOST, "/other").await.status, 200);
    let mut frames = Frames::connect(front.address).await;
    for frame in begin {
        frames.send(frame.clone()).await;
    }
    tokio::join!(frames.flood(MANY, make), async {
        for _ in 0..20 {
            assert_eq!(other.get(HOST, "/other").await.status, 200);
        }
    });
    let reason = frames.ending().await;
    assert!(
        matches!(reason, None | Some(reason::ENHANCE_YOUR_CALM)),
        "reason {reason:?}"
    );
    assert_eq!(other.get(HOST, "/other").await.status, 200);
}

/// Floods with `frame`, over and over.
async fn flood_of(frame: Frame) {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    is_ended(&front, &[], |_| frame.encoded()).await;
    let paths: Vec<_> = upstream
        .seen()
        .iter()
        .map(|seen| seen.uri.path().to_owned())
        .collect();
    assert!(paths.iter().all(|path| path == "/other"), "{paths:?}");
}

#[tokio::test]
async fn of_pings() {
    flood_of(Frame::new(kind::PING, 0, 0, [0; 8])).await;
}

#[tokio::test]
async fn of_answers_to_pings() {
    flood_of(Frame::new(kind::PING, flag::ACK, 0, [0; 8])).await;
}

#[tokio::test]
async fn of_settings() {
    flood_of(Frame::settings(&[])).await;
}

#[tokio::test]
async fn of_settings_that_thrash_the_table_and_the_windows() {
    flood_of(Frame::settings(&[(1, 0), (1, 4096), (4, 0), (4, 65_535)])).await;
}

#[tokio::test]
async fn of_priorities() {
    flood_of(Frame::new(kind::PRIORITY, 0, 3, [0, 0, 0, 0, 1])).await;
}

#[tokio::test]
async fn of_window_updates_of_the_connection() {
    flood_of(Frame::window_update(0, 1)).await;
}

#[tokio::test]
async fn of_unknown_frames() {
    flood_of(Frame::new(0xbe, 0, 0, [])).await;
}

#[tokio::test]
async fn of_goaways() {
    flood_of(Frame::new(kind::GOAWAY, 0, 0, [0; 8])).await;
}

/// Floods the stream of a request whose upstream waits for the end of its body.
async fn while_a_request_is_under_way(flood: Frame) {
    let upstream = Upstream::start(async |request| {
        let whole = request.into_body().collect().await;
        answer(
            if whole.is_ok() {
                StatusCode::OK
            } else {
                StatusCode::BAD_REQUEST
            },
            "",
        )
    })
    .await;
    let front = Front::to(upstream.address());
    let head = Frame::head(1, hpack::request("POST", HOST, "/flooded", &[]));
    is_ended(&front, &[head], |_| flood.encoded()).await;
    // The flood's own request was cancelled with its connection.
    upstream.runs(0).await;
}

/// Nobody reads the body of a request that a layer keeps waiting: what floods it has to be counted elsewhere.
#[tokio::test]
async fn of_data_without_a_byte_to_a_request_that_waits() {
    let upstream = Upstream::echo().await;
    let wait = layer_fn(|upstream: Sender| {
        service_fn(move |request: Request<Body>| {
            let upstream = upstream.clone();
            async move {
                if request.uri().path() == "/flooded" {
                    std::future::pending::<()>().await;
                }
                upstream.oneshot(request).await
            }
        })
    });
    let front = Front::through(Layers::new(wait), upstream.address());
    let flood = Frame::new(kind::DATA, 0, 1, []).encoded();
    let head = Frame::head(1, hpack::request("POST", HOST, "/flooded", &[]));
    is_ended(&front, &[head], |_| flood.clone()).await;
    front.at_rest().await;
    assert!(upstream.seen().iter().all(|seen| seen.uri.path() == "/other"));
}

#[tokio::test]
async fn of_data_without_a_byte_to_a_request_under_way() {
    while_a_request_is_under_way(Frame::new(kind::DATA, 0, 1, [])).await;
}

#[tokio::test]
async fn of_data_that_is_padding_to_a_request_under_way() {
    while_a_request_is_under_way(Frame::new(kind::DATA, flag::PADDED, 1, [1, 0])).await;
}

#[tokio::test]
async fn of_window_updates_of_a_stream() {
    while_a_request_is_under_way(Frame::window_update(1, 1)).await;
}

fn rapid(number: u32) -> Vec<u8> {
    let stream = 2 * number + 1;
    let opened = Frame::request(stream, hpack::get(HOST, "/rapid")).encoded();
    [opened, Frame::reset(stream, reason::CANCEL).encoded()].concat()
}

#[tokio::test]
async fn of_requests_that_are_reset_at_once() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.flood(MANY, rapid).await;
    let reason = frames.ending().await;
    assert!(
        matches!(reason, None | Some(reason::ENHANCE_YOUR_CALM)),
        "{reason:?}"
    );
    // Whatever reached the upstream was cancelled there.
    upstream.runs(0).await;
    assert!(
        upstream.counts().requests() <= 200,
        "{} requests",
        upstream.counts().requests()
    );
    gate.open();
    assert_eq!(
        Client::http2(front.address).await.get(HOST, "/").await.status,
        200
    );
}

#[tokio::test]
async fn a_request_that_was_reset_in_the_same_packet_never_leaves() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.settle().await;
    let twenty: Vec<u8> = (0..20).flat_map(rapid).collect();
    frames.send_bytes(&twenty).await;
    frames.ping().await;
    frames.send(Frame::request(101, hpack::get(HOST, "/last"))).await;
    assert_eq!(frames.response(101).await, 200);
    assert_eq!(upstream.counts().requests(), 1);
}

#[tokio::test]
async fn of_streams_that_this_side_has_to_reset() {
    // MadeYouReset: a window update of 0 is a stream's fault.
    let upstream = Upstream::held(&Gate::closed()).await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    let make = |number| {
        let stream = 2 * number + 1;
        let opened = Frame::request(stream, hpack::get(HOST, "/")).encoded();
        [
            opened,
            Frame::window_update(stream, i32::MAX.cast_unsigned()).encoded(),
        ]
        .concat()
    };
    frames.flood(MANY, make).await;
    frames.ending().await;
    upstream.runs(0).await;
}

#[tokio::test]
async fn of_continuations() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let first = Frame::new(kind::HEADERS, flag::END_STREAM, 1, hpack::get(HOST, "/never"));
    let more = Frame::new(kind::CONTINUATION, 0, 1, hpack::literal(b"a", b"b"));
    is_ended(&front, &[first], |_| more.encoded()).await;
    assert!(upstream.seen().iter().all(|seen| seen.uri.path() == "/other"));
}

#[tokio::test]
async fn of_streams_beyond_the_most_that_may_be_open() {
    let upstream = Upstream::held(&Gate::closed()).await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.settle().await;
    let open = |number: u32| Frame::request(2 * number + 1, hpack::get(HOST, "/")).encoded();
    frames.flood(251, open).await;
    frames.expect_reset(501, reason::REFUSED_STREAM).await;
    frames.flood(MANY, |number| open(number + 251)).await;
    frames.ending().await;
    soon("the end of the requests", upstream.runs(0)).await;
}

#[tokio::test]
async fn a_flood_shows_in_a_metric() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames
        .flood(MANY, |_| Frame::new(kind::PING, 0, 0, [0; 8]).encoded())
        .await;
    eventually("the count", async || {
        let text = handle.render();
        let line = "tidegate_downstream_h2_connections_cut_total{reason=\"ping\"} 1";
        text.contains(line).then_some(()).ok_or(text)
    })
    .await;
}
