//! How long may nothing of a request move, and how does it end in the books when that is over?

mod support;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use support::{Front, HOST, by_policy, cluster, listen};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::http::{DownstreamTimeouts, HttpSettings};
use tidegate_proxy::error::Kind;
use tidegate_proxy::listener::Connections;
use tidegate_proxy::route::{ForwardPolicy, RouteTimeouts};
use tidegate_testkit::client::{Client, get_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wait::eventually;
use tidegate_testkit::wire::Wire;

/// A test's patience, where the time that it waits for is the behaviour.
const SHORT: Duration = Duration::from_millis(50);

/// What a listener speaks that waits so long.
fn http(stream_idle: Option<Duration>) -> HttpSettings {
    HttpSettings {
        timeouts: DownstreamTimeouts {
            stream_idle,
            ..DownstreamTimeouts::default()
        },
        ..HttpSettings::default()
    }
}

fn listening(stream_idle: Option<Duration>, upstream: SocketAddr) -> Front {
    Front::speaking(http(stream_idle), upstream)
}

/// One route that waits so long, behind a listener that does otherwise.
fn routed(stream_idle: Option<Duration>, idle: Duration, upstream: SocketAddr) -> Front {
    let timeouts = RouteTimeouts {
        idle: Some(idle),
        ..RouteTimeouts::default()
    };
    let policy = ForwardPolicy {
        timeouts,
        ..ForwardPolicy::default()
    };
    let listener = listen(NonZeroUsize::MIN, Connections::default()).speaking(http(stream_idle));
    Front::behind(
        listener,
        by_policy(&cluster(Protocol::Http1, &[upstream]), policy),
    )
}

/// Answers with half of what its head promises.
async fn stuck() -> RawUpstream {
    RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        let half = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe";
        connection.wire.send(half).await;
        connection.wire.rest().await;
    })
    .await
}

async fn client(protocol: Protocol, front: &Front) -> Client {
    match protocol {
        Protocol::Http2 => Client::http2(front.address).await,
        Protocol::Http1 | Protocol::Auto => Client::http1(front.address).await,
    }
}

async fn is_booked(front: &Front, kind: Kind) {
    eventually("the failure", async || {
        let totals = front.books.totals();
        let booked = (totals.accepted, totals.failed(kind), totals.in_progress);
        (booked == (1, 1, 0)).then_some(()).ok_or(format!("{totals:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_request_without_an_answer_is_a_failure_of_504() {
    let upstream = Upstream::held(&Gate::closed()).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let front = listening(Some(SHORT), upstream.address());
        let mut client = client(protocol, &front).await;
        assert_eq!(client.get(HOST, "/").await.status, 504);
        is_booked(&front, Kind::IdleTimeout).await;
        upstream.runs(0).await;
    }
}

#[tokio::test]
async fn an_answer_that_stalls_is_cut_and_a_failure() {
    let upstream = stuck().await;
    let front = listening(Some(SHORT), upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(wire.head().await.status(), 200);
    assert_eq!(wire.rest().await, b"he");
    is_booked(&front, Kind::IdleTimeout).await;
}

#[tokio::test]
async fn a_stream_that_stalls_is_reset_and_a_failure() {
    let upstream = stuck().await;
    let front = routed(None, SHORT, upstream.address());
    let mut client = Client::http2(front.address).await;
    let answer = client.send(get_request(HOST, "/")).await.expect("a head");
    assert_eq!(answer.status(), 200);
    http_body_util::BodyExt::collect(answer.into_body())
        .await
        .expect_err("it is cut");
    is_booked(&front, Kind::IdleTimeout).await;
}

#[tokio::test]
async fn a_route_may_wait_less_than_its_listener() {
    let upstream = Upstream::held(&Gate::closed()).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let front = routed(None, SHORT, upstream.address());
        let mut client = client(protocol, &front).await;
        assert_eq!(client.get(HOST, "/").await.status, 504);
        is_booked(&front, Kind::IdleTimeout).await;
        upstream.runs(0).await;
    }
}

#[tokio::test]
async fn a_route_may_wait_longer_than_its_listener_also_for_ever() {
    // The listener's time is over when the route is found.
    let over = Some(Duration::from_nanos(1));
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for idle in [Duration::ZERO, Duration::from_secs(60)] {
            let gate = Gate::closed();
            let upstream = Upstream::held(&gate).await;
            let front = routed(over, idle, upstream.address());
            let mut client = client(protocol, &front).await;
            let open = async {
                upstream.runs(1).await;
                gate.open();
            };
            let (answer, ()) = tokio::join!(client.get(HOST, "/"), open);
            assert_eq!(answer.status, 200, "{protocol:?} {idle:?}");
        }
    }
}

#[tokio::test]
async fn a_body_that_pauses_for_longer_than_its_route_waits_is_refused() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.rest().await;
    })
    .await;
    let front = routed(None, SHORT, upstream.address());
    let mut wire = Wire::connect(front.address).await;
    let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhe";
    wire.send(post).await;
    assert_eq!(wire.message().await.status(), 408);
    is_booked(&front, Kind::RequestIncomplete).await;
}
