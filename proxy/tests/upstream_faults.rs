//! What becomes of an HTTP/1.1 upstream's response that breaks the rules, has no end, or is not what was asked for?

mod support;

use support::{Front, HOST};
use tidegate_testkit::client::{Client, get};
use tidegate_testkit::upstream::{RawConnection, RawUpstream};
use tidegate_testkit::wait::eventually;
use tidegate_testkit::wire::Wire;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const FINE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";

/// An upstream that answers the first request of each connection with these bytes and each later one well.
async fn answering(first: impl Into<Vec<u8>>) -> RawUpstream {
    let first = first.into();
    RawUpstream::start(move |mut connection: RawConnection| {
        let first = first.clone();
        async move {
            connection.wire.head().await;
            if connection.number > 1 {
                return connection.wire.send(FINE).await;
            }
            // The proxy may close in the middle of it.
            _ = connection.wire.try_send(first).await;
            connection.wire.rest().await;
        }
    })
    .await
}

/// Such a response is a bad gateway, and its connection is not used again.
async fn check_refused(response: impl Into<Vec<u8>>) {
    let response = response.into();
    let shown = String::from_utf8_lossy(&response)
        .chars()
        .take(90)
        .collect::<String>();
    let upstream = answering(response).await;
    let front = Front::to(upstream.address());
    assert_eq!(get(front.address, HOST, "/").await.status, 502, "{shown}");
    assert_eq!(get(front.address, HOST, "/").await.text(), "fine", "{shown}");
    assert_eq!(upstream.connections(), 2, "{shown}");
}

#[tokio::test]
async fn a_length_that_can_be_read_in_two_ways_is_a_bad_gateway() {
    for fields in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "content-length: 4\r\ncontent-length: 4",
        "content-length: 4\r\ncontent-length: 5",
        "content-length: 4, 4",
        "content-length: +4",
        "content-length: x",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: identity",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    ] {
        check_refused(format!(
            "HTTP/1.1 200 OK\r\n{fields}\r\n\r\n4\r\nfour\r\n0\r\n\r\n"
        ))
        .await;
    }
}

#[tokio::test]
async fn what_is_no_head_or_has_no_end_is_a_bad_gateway() {
    check_refused("SSH-2.0-OpenSSH_9.9\r\n\r\n").await;
    check_refused("HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n").await;
    check_refused("HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n").await;
    check_refused([b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 1 << 20]].concat()).await;
    let many: String = (0..150).map(|number| format!("x-{number}: y\r\n")).collect();
    check_refused(format!("HTTP/1.1 200 OK\r\n{many}content-length: 0\r\n\r\n")).await;
}

#[tokio::test]
async fn bytes_after_a_response_end_its_connection_and_are_nobodys_response() {
    for response in [
        format!("{FINE}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"),
        format!("{FINE}\r\n"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n{FINE}"),
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nfine".to_owned(),
    ] {
        let upstream = RawUpstream::start(move |mut connection: RawConnection| {
            let response = response.clone();
            async move {
                connection.wire.head().await;
                connection.wire.send(response).await;
            }
        })
        .await;
        let front = Front::to(upstream.address());
        let mut client = Client::http1(front.address).await;
        for round in 1..=3 {
            assert_eq!(client.get(HOST, "/").await.text(), "fine");
            assert_eq!(upstream.connections(), round);
        }
    }
}

#[tokio::test]
async fn a_body_where_none_belongs_does_not_reach_the_client() {
    for (method, response, status) in [
        ("GET", "HTTP/1.1 204 No Content\r\n\r\npoison", 204),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 6\r\n\r\npoison",
            304,
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison", 200),
    ] {
        let upstream = answering(response).await;
        let front = Front::to(upstream.address());
        let mut wire = Wire::connect(front.address).await;
        wire.send(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        assert_eq!(wire.head().await.status(), status);
        wire.send(GET).await;
        assert_eq!(wire.message().await.text(), "fine", "{response}");
        assert_eq!(upstream.connections(), 2);
    }
}

#[tokio::test]
async fn a_reset_before_and_after_the_head_is_seen_as_what_it_is() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        if connection.number == 2 {
            connection
                .wire
                .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
                .await;
        }
        connection.wire.reset();
    })
    .await;
    let front = Front::to(upstream.address());
    assert_eq!(get(front.address, HOST, "/").await.status, 502);
    let mut wire = Wire::connect(front.address).await;
    wire.send(GET).await;
    let all = wire.rest().await;
    let text = String::from_utf8_lossy(&all);
    // A reset may overtake what was sent before it; a clean end is what there must never be.
    assert!(text.contains(" 502 ") || text.ends_with("half"), "{text}");
}

#[tokio::test]
async fn a_flood_of_interim_responses_is_cut_and_the_final_one_arrives() {
    let flood = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(200);
    let upstream = answering(format!("{flood}{FINE}")).await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(GET).await;
    let mut interim = 0;
    let head = loop {
        let head = wire.head().await;
        if head.status() != 103 {
            break head;
        }
        interim += 1;
    };
    assert_eq!(head.status(), 200);
    assert!(interim <= tidegate_proxy::config::limits::INTERIM_RESPONSES_MAX);
}

#[tokio::test]
async fn an_early_response_keeps_its_connection_from_others_until_the_upload_is_done() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        connection.wire.send(FINE).await;
        // The others close: what is kept then is the first.
        if connection.number == 1 {
            assert_eq!(connection.wire.bytes(8).await, b"one, two");
            connection.wire.head().await;
            let kept = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nkept";
            connection.wire.send(kept).await;
            connection.wire.rest().await;
        }
    })
    .await;
    let front = Front::to(upstream.address());
    let mut slow = Wire::connect(front.address).await;
    slow.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\none, ")
        .await;
    assert_eq!(slow.message().await.text(), "fine");
    assert_eq!(get(front.address, HOST, "/").await.text(), "fine");
    assert_eq!(upstream.connections(), 2);
    slow.send("two").await;
    eventually("a request on the first connection", async || {
        get(front.address, HOST, "/").await.text() == "kept"
    })
    .await;
}
