//! How long may nothing of a request move, and how does it end in the books when that is over?

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use support::{Front, HOST};
use tidegate_proxy::config::http::{DownstreamTimeouts, HttpSettings};
use tidegate_proxy::error::Kind;
use tidegate_testkit::client::{Client, get_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wait::eventually;
use tidegate_testkit::wire::Wire;

/// A test's patience, where the time that it waits for is the behaviour.
const SHORT: Duration = Duration::from_millis(50);

/// A listener that waits so long.
fn listening(stream_idle: Option<Duration>, upstream: SocketAddr) -> Front {
    let timeouts = DownstreamTimeouts {
        stream_idle,
        ..DownstreamTimeouts::default()
    };
    let http = HttpSettings {
        timeouts,
        ..HttpSettings::default()
    };
    Front::speaking(http, upstream)
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
    for http2 in [false, true] {
        let front = listening(Some(SHORT), upstream.address());
        let mut client = match http2 {
            false => Client::http1(front.address).await,
            true => Client::http2(front.address).await,
        };
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
    let front = listening(Some(SHORT), upstream.address());
    let mut client = Client::http2(front.address).await;
    let answer = client.send(get_request(HOST, "/")).await.expect("a head");
    assert_eq!(answer.status(), 200);
    http_body_util::BodyExt::collect(answer.into_body())
        .await
        .expect_err("it is cut");
    is_booked(&front, Kind::IdleTimeout).await;
}
