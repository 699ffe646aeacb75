//! Does a body reach the upstream as the client framed it, and does the connection know where the next request begins?

mod support;

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use http::StatusCode;
use support::Front;
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::config::http::{DownstreamTimeouts, HttpSettings};
use tidegate_proxy::config::limits::UNREAD_BYTES_MAX;
use tidegate_proxy::error::Kind;
use tidegate_proxy::listener::Connections;
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wait::eventually;
use tidegate_testkit::wire::Wire;

#[tokio::test]
async fn chunks_are_framed_anew_without_their_extensions() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        let message = connection.wire.message().await;
        assert_eq!(message.text(), "hello");
        assert_eq!(message.head.header("content-length"), None);
        assert_eq!(message.trailers, Vec::<String>::new());
        connection
            .wire
            .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
    })
    .await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")
        .await;
    assert_eq!(wire.message().await.status(), 200);
    upstream.finish().await;
}

#[tokio::test]
async fn any_method_may_have_a_body() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    for method in ["GET", "DELETE", "OPTIONS", "PUT", "BREW"] {
        wire.send(format!(
            "{method} / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"
        ))
        .await;
        assert_eq!(wire.message().await.text(), "hello", "{method}");
    }
    assert!(
        upstream
            .seen()
            .iter()
            .all(|seen| seen.header("content-length") == Some("5"))
    );
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_skipped_up_to_a_bound() {
    let front = Front::start(Snapshot::default());
    for (length, connection) in [(5, None), (100_000, None), (10_000_000, Some("close"))] {
        let mut wire = Wire::connect(front.address).await;
        let post = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
        wire.send(post).await;
        let message = wire.message().await;
        assert_eq!(message.status(), 404);
        assert_eq!(
            message.head.header("connection").as_deref(),
            connection,
            "{length}"
        );
        if connection.is_some() {
            wire.ends().await;
        } else {
            wire.send("x".repeat(length)).await;
            wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            assert_eq!(wire.message().await.status(), 404);
        }
    }
}

#[tokio::test]
async fn who_still_uploads_is_left_to_read_the_answer() {
    let http = timeouts(DownstreamTimeouts {
        linger: Duration::from_secs(60),
        ..DownstreamTimeouts::default()
    });
    let listener = support::listen(NonZeroUsize::MIN, Connections::default()).speaking(http);
    let front = Front::behind(listener, Snapshot::default());
    let mut wire = Wire::connect(front.address).await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10000000\r\n\r\n")
        .await;
    wire.send(vec![b'x'; UNREAD_BYTES_MAX + 1]).await;
    assert_eq!(wire.message().await.status(), 404);
    wire.ends().await;
    // A reset would show here.
    for _ in 0..8 {
        wire.send(vec![b'x'; 16 * 1024]).await;
    }
}

#[tokio::test]
async fn a_request_that_nothing_comes_of_ends_with_an_answer() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let http = timeouts(DownstreamTimeouts {
        stream_idle: Some(SHORT),
        ..DownstreamTimeouts::default()
    });
    let front = Front::speaking(http, upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(wire.message().await.status(), 504);
    upstream.runs(0).await;
}

#[tokio::test]
async fn a_connection_ends_after_as_many_requests_as_it_may_have() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let http = HttpSettings {
        requests_per_connection_max: NonZeroU32::new(3),
        ..HttpSettings::default()
    };
    let front = Front::speaking(http, upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(4)).await;
    for expected in [None, None, Some("close")] {
        let message = wire.message().await;
        assert_eq!(message.head.header("connection").as_deref(), expected);
    }
    wire.ends().await;
    assert_eq!(upstream.counts().requests(), 3);
}

/// A test's patience, where the time that it waits for is the behaviour.
const SHORT: Duration = Duration::from_millis(50);
/// Much shorter: how often a byte drips.
const DRIP: Duration = Duration::from_millis(5);

fn timeouts(timeouts: DownstreamTimeouts) -> HttpSettings {
    HttpSettings {
        timeouts,
        ..HttpSettings::default()
    }
}

#[tokio::test]
async fn a_head_that_drips_is_given_up_with_an_answer() {
    let upstream = Upstream::echo().await;
    let http = timeouts(DownstreamTimeouts {
        request_head: SHORT,
        ..DownstreamTimeouts::default()
    });
    let front = Front::speaking(http, upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nx: ")
        .await;
    assert_eq!(wire.message().await.status(), 200);
    // One byte more whenever no answer has come yet: it comes all the same.
    let head = loop {
        match tokio::time::timeout(DRIP, wire.head()).await {
            Ok(head) => break head,
            Err(_elapsed) => wire.try_send("y").await.unwrap_or_default(),
        }
    };
    assert_eq!(
        (head.status(), head.header("connection").as_deref()),
        (408, Some("close"))
    );
}

#[tokio::test]
async fn a_connection_without_a_request_ends_in_silence() {
    let upstream = Upstream::echo().await;
    for http in [
        timeouts(DownstreamTimeouts {
            idle: SHORT,
            ..DownstreamTimeouts::default()
        }),
        timeouts(DownstreamTimeouts {
            connection_max: Some(SHORT),
            ..DownstreamTimeouts::default()
        }),
    ] {
        let front = Front::speaking(http, upstream.address());
        let mut wire = Wire::connect(front.address).await;
        wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(wire.message().await.status(), 200);
        wire.ends().await;
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up_with_an_answer() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        connection.wire.rest().await;
    })
    .await;
    for http in [
        timeouts(DownstreamTimeouts {
            request: Some(SHORT),
            ..DownstreamTimeouts::default()
        }),
        timeouts(DownstreamTimeouts {
            stream_idle: Some(SHORT),
            ..DownstreamTimeouts::default()
        }),
    ] {
        let front = Front::speaking(http, upstream.address());
        let mut wire = Wire::connect(front.address).await;
        wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhe")
            .await;
        let message = wire.message().await;
        assert_eq!(
            (message.status(), message.head.header("connection").as_deref()),
            (408, Some("close"))
        );
        wire.ends().await;
    }
}

#[tokio::test]
async fn a_response_that_stalls_is_cut() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        connection
            .wire
            .send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe")
            .await;
        connection.wire.rest().await;
    })
    .await;
    let http = timeouts(DownstreamTimeouts {
        stream_idle: Some(SHORT),
        ..DownstreamTimeouts::default()
    });
    let front = Front::speaking(http, upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(wire.head().await.status(), 200);
    assert_eq!(wire.rest().await, b"he");
}

/// What an upstream would send for ever. More than the sockets on the way hold.
const ENDLESS: usize = 1 << 30;

#[tokio::test]
async fn a_client_that_reads_nothing_of_its_response_is_cut() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {ENDLESS}\r\n\r\n");
        connection.wire.send(head).await;
        let piece = vec![b'x'; 1 << 20];
        while connection.wire.try_send(&piece).await.is_ok() {}
    })
    .await;
    let http = timeouts(DownstreamTimeouts {
        stream_idle: Some(SHORT),
        ..DownstreamTimeouts::default()
    });
    let front = Front::speaking(http, upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(wire.head().await.status(), 200);
    eventually("the end of the exchange", async || {
        front.books.totals().failed(Kind::ClientStalled) == 1
    })
    .await;
    upstream.finish().await;
    drop(wire);
}

/// A connection that is old at once, and may end what is under way on it within a moment.
fn short_lived() -> HttpSettings {
    timeouts(DownstreamTimeouts {
        connection_max: Some(SHORT),
        drain: SHORT,
        ..DownstreamTimeouts::default()
    })
}

#[tokio::test]
async fn a_request_that_outlasts_its_connection_is_answered_for_that() {
    let upstream = Upstream::held(&Gate::closed()).await;
    let front = Front::speaking(short_lived(), upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let message = wire.message().await;
    assert_eq!(
        (message.status(), message.head.header("connection").as_deref()),
        (503, Some("close"))
    );
    wire.ends().await;
    assert_eq!(front.books.totals().failed(Kind::DrainCut), 1);
}

#[tokio::test]
async fn a_response_that_outlasts_its_connection_is_cut() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n";
        connection.wire.send(head).await;
        connection.wire.rest().await;
    })
    .await;
    let front = Front::speaking(short_lived(), upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(wire.head().await.status(), 200);
    assert!(!wire.rest().await.ends_with(b"0\r\n\r\n"), "it looks complete");
    eventually("the failure", async || {
        front.books.totals().failed(Kind::DrainCut) == 1
    })
    .await;
}
