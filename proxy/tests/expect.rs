//! Who gets `100 Continue`, from whom, and what becomes of a body that was not asked for?

mod support;

use support::Front;
use tidegate_testkit::upstream::{RawConnection, RawUpstream};
use tidegate_testkit::wire::Wire;

const EXPECT: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn an_upstream_that_says_nothing_gets_the_body_after_a_while() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        let head = connection.wire.head().await;
        assert_eq!(head.header("expect").as_deref(), Some("100-continue"));
        assert_eq!(connection.wire.bytes(5).await, b"hello");
        connection.wire.send(OK).await;
    })
    .await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(EXPECT).await;
    let head = wire.head().await;
    assert_eq!(head.raw, b"HTTP/1.1 100 Continue\r\n\r\n");
    wire.send("hello").await;
    assert_eq!(wire.message().await.text(), "ok");
    upstream.finish().await;
}

#[tokio::test]
async fn a_client_that_does_not_wait_needs_no_permission() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        for _ in 0..2 {
            connection.wire.head().await;
            assert_eq!(connection.wire.bytes(5).await, b"hello");
            connection.wire.send(OK).await;
        }
    })
    .await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    for _ in 0..2 {
        wire.send(format!("{EXPECT}hello")).await;
        assert_eq!(
            wire.message().await.text(),
            "ok",
            "no 100 before it, and the connection goes on"
        );
    }
}

#[tokio::test]
async fn a_refusal_leaves_the_body_unread_and_ends_the_connection() {
    for status in [
        "417 Expectation Failed",
        "413 Content Too Large",
        "503 Service Unavailable",
    ] {
        let upstream = RawUpstream::start(move |mut connection: RawConnection| async move {
            connection.wire.head().await;
            connection
                .wire
                .send(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nno"))
                .await;
            connection.wire.ends().await;
        })
        .await;
        let front = Front::to(upstream.address());
        let mut wire = Wire::connect(front.address).await;
        wire.send(EXPECT).await;
        let message = wire.message().await;
        assert_eq!(message.status().to_string(), status[..3]);
        assert_eq!(message.head.header("connection").as_deref(), Some("close"));
        wire.ends().await;
        upstream.finish().await;
    }
}

#[tokio::test]
async fn an_error_of_ours_asks_for_no_body_either() {
    let front = Front::to(tidegate_testkit::upstream::nobody().await);
    let mut wire = Wire::connect(front.address).await;
    wire.send(EXPECT).await;
    let message = wire.message().await;
    assert_eq!(
        (message.status(), message.head.header("connection").as_deref()),
        (503, Some("close"))
    );
    wire.ends().await;
}

#[tokio::test]
async fn nobody_waits_for_a_body_that_is_empty() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        connection.wire.send(OK).await;
        connection.wire.rest().await;
    })
    .await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(EXPECT.replace("length: 5", "length: 0")).await;
    let message = wire.message().await;
    assert_eq!((message.status(), message.head.header("connection")), (200, None));
}

#[tokio::test]
async fn other_expectations_fail() {
    let front = Front::to(tidegate_testkit::upstream::nobody().await);
    let mut wire = Wire::connect(front.address).await;
    wire.send(EXPECT.replace("100-continue", "miracles")).await;
    assert_eq!(wire.message().await.status(), 417);
    wire.ends().await;
}
