//! Do interim (1xx) responses of an upstream reach an HTTP/1 client, before the final one and never instead of it?

mod support;

use support::{Front, http_10};
use tidegate_proxy::config::limits;
use tidegate_testkit::upstream::{RawConnection, RawUpstream};
use tidegate_testkit::wire::Wire;

const EARLY_HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// An upstream that answers each request by these bytes.
async fn answering(answer: String) -> RawUpstream {
    RawUpstream::start(move |mut connection: RawConnection| {
        let answer = answer.clone();
        async move {
            for _ in 0..2 {
                connection.wire.head().await;
                connection.wire.send(&answer).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn early_hints_come_first() {
    let upstream = answering(format!("{EARLY_HINTS}{EARLY_HINTS}{OK}")).await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    for _ in 0..2 {
        wire.send(GET).await;
        for _ in 0..2 {
            assert_eq!(wire.head().await.text(), EARLY_HINTS);
        }
        assert_eq!(wire.message().await.text(), "ok");
    }
}

#[tokio::test]
async fn a_continue_that_nobody_waits_for_is_dropped() {
    let upstream = answering(format!("HTTP/1.1 100 Continue\r\n\r\n{OK}")).await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(GET).await;
    assert_eq!(wire.message().await.text(), "ok");
}

#[tokio::test]
async fn a_flood_is_cut_and_the_answer_comes() {
    let upstream = answering(format!(
        "{}{OK}",
        EARLY_HINTS.repeat(2 * limits::INTERIM_RESPONSES_MAX)
    ))
    .await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(GET).await;
    for _ in 0..limits::INTERIM_RESPONSES_MAX {
        assert_eq!(wire.head().await.status(), 103);
    }
    assert_eq!(wire.message().await.text(), "ok");
}

#[tokio::test]
async fn an_http10_client_gets_none() {
    let upstream = answering(format!("{EARLY_HINTS}{OK}")).await;
    let front = Front::speaking(http_10(), upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    assert_eq!(wire.message().await.text(), "ok");
}

#[tokio::test]
async fn an_upstreams_continue_opens_the_way_for_the_body() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        connection.wire.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        assert_eq!(connection.wire.bytes(5).await, b"hello");
        connection.wire.send(OK).await;
    })
    .await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(wire.head().await.status(), 100);
    wire.send("hello").await;
    assert_eq!(wire.message().await.text(), "ok");
    upstream.finish().await;
}
