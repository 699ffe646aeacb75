//! How does a proxy stop: what finishes, what is closed, what is cut, and who is told?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use http::StatusCode;
use support::{Front, GRACE, HOST};
use tidegate_testkit::client::{Client, get};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wait::{eventually, soon};
use tidegate_testkit::websocket::WebSocket;
use tidegate_testkit::wire::Wire;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const UPGRADE: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
/// Long enough for nothing.
const NO_GRACE: Duration = Duration::from_millis(1);

#[tokio::test]
async fn an_accepted_request_finishes_and_is_the_connections_last() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(GET).await;
    upstream.runs(1).await;
    front.drain.start();
    let (outcome, ()) = tokio::join!(front.finish(GRACE), async {
        gate.open();
        let message = wire.message().await;
        assert_eq!((message.status(), message.text().as_str()), (200, "held"));
        assert_eq!(message.head.header("connection").as_deref(), Some("close"));
        wire.ends().await;
    });
    assert_eq!(outcome.forced, 0);
}

#[tokio::test]
async fn connections_without_a_request_are_closed() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::to(upstream.address());
    let mut silent = Wire::connect(front.address).await;
    let mut idle = Wire::connect(front.address).await;
    idle.send(GET).await;
    assert_eq!(idle.message().await.status(), 200);
    assert_eq!(front.finish(GRACE).await.forced, 0);
    silent.ends().await;
    idle.ends().await;
}

#[tokio::test]
async fn what_was_not_read_does_not_make_the_end_a_reset() {
    let upstream = Upstream::held(&Gate::closed()).await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(GET.repeat(100)).await;
    upstream.runs(1).await;
    assert_eq!(front.finish(NO_GRACE).await.forced, 1);
    let mut stream = wire.into_stream();
    assert_eq!(soon("the end", stream.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn idle_upstream_connections_hold_nothing_up() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::to(upstream.address());
    assert_eq!(get(front.address, HOST, "/").await.status, 200);
    assert_eq!(upstream.counts().connections_open(), 1);
    let begun = tokio::time::Instant::now();
    assert_eq!(front.finish(GRACE).await.forced, 0);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    eventually("the pool's end", async || {
        upstream.counts().connections_open() == 0
    })
    .await;
}

#[tokio::test]
async fn a_new_connection_is_refused() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::to(upstream.address());
    front.drain.start();
    eventually("a closed port", async || {
        tokio::net::TcpStream::connect(front.address).await.is_err()
    })
    .await;
}

fn wire(stream: TcpStream) -> Wire {
    stream.set_nonblocking(true).unwrap();
    Wire::new(tokio::net::TcpStream::from_std(stream).unwrap())
}

/// The proxy runs in this thread: while the test does not wait, it sees nothing of what is sent.
#[tokio::test]
async fn what_waits_in_the_accept_queue_is_answered() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::to(upstream.address());
    let mut queued: Vec<_> = (0..50)
        .map(|_| TcpStream::connect(front.address).unwrap())
        .collect();
    for stream in &mut queued {
        stream.write_all(GET.as_bytes()).unwrap();
    }
    assert_eq!(front.finish(GRACE).await.forced, 0);
    for stream in queued {
        let message = wire(stream).message().await;
        assert_eq!(message.status(), 200);
        assert_eq!(message.head.header("connection").as_deref(), Some("close"));
    }
}

/// As above: the request arrives before the drain begins, and is read after.
#[tokio::test]
async fn a_request_that_has_arrived_on_an_idle_connection_is_answered() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::to(upstream.address());
    let mut idle = Wire::connect(front.address).await;
    for _ in 0..2 {
        idle.send(GET).await;
        assert_eq!(idle.message().await.status(), 200);
    }
    let mut stream = idle.into_stream().into_std().unwrap();
    stream.write_all(GET.as_bytes()).unwrap();
    assert_eq!(front.finish(GRACE).await.forced, 0);
    assert_eq!(wire(stream).message().await.status(), 200);
}

#[tokio::test]
async fn what_outlasts_the_grace_is_cut_and_counted() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = Front::to(upstream.address());
    let mut wires = [
        Wire::connect(front.address).await,
        Wire::connect(front.address).await,
    ];
    for wire in &mut wires {
        wire.send(GET).await;
    }
    upstream.runs(2).await;
    assert_eq!(front.finish(NO_GRACE).await.forced, 2);
    for mut wire in wires {
        wire.ends().await;
    }
    upstream.runs(0).await;
}

#[tokio::test]
async fn a_websocket_is_asked_to_end_and_may_do_so_in_order() {
    let upstream = Upstream::websocket().await;
    let front = Front::to(upstream.address());
    let mut socket = WebSocket::connect(front.address, HOST, "/").await.unwrap();
    socket.say("still here").await;
    assert_eq!(socket.hear().await, "still here");
    front.drain.start();
    let (outcome, ()) = tokio::join!(front.finish(GRACE), async {
        assert_eq!(socket.asked_to_close().await, 1001);
        socket.close().await;
    });
    assert_eq!(outcome.forced, 0);
}

#[tokio::test]
async fn a_websocket_is_asked_between_two_frames_on_either_side() {
    let (told, mut tells) = mpsc::channel(1);
    let upstream = RawUpstream::start(move |mut connection: RawConnection| {
        let told = told.clone();
        async move {
            connection.wire.head().await;
            connection.wire.send(SWITCH).await;
            assert_eq!(connection.wire.bytes(8).await, b"\x82\x84mask12");
            told.send(()).await.unwrap();
            let rest = connection.wire.bytes(10).await;
            assert_eq!(rest[..4], *b"34\x88\x82");
            assert_eq!([rest[8] ^ rest[4], rest[9] ^ rest[5]], 1001_u16.to_be_bytes());
            connection.wire.send(b"\x88\x02\x03\xe9").await;
            connection.wire.ends().await;
        }
    })
    .await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(UPGRADE).await;
    assert_eq!(wire.head().await.status(), 101);
    wire.send(b"\x82\x84mask12").await;
    soon("half a frame", tells.recv()).await.unwrap();
    front.drain.start();
    assert_eq!(wire.bytes(4).await, b"\x88\x02\x03\xe9");
    wire.send(b"34\x82\x80mask\x88\x82mask\x6e\x88").await;
    wire.ends().await;
    assert_eq!(front.finish(GRACE).await.forced, 0);
    upstream.finish().await;
}

#[tokio::test]
async fn a_websocket_that_does_not_answer_is_cut_at_the_end_of_the_grace() {
    let upstream = Upstream::websocket().await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(UPGRADE).await;
    assert_eq!(wire.head().await.status(), 101);
    front.drain.start();
    assert_eq!(wire.bytes(4).await, b"\x88\x02\x03\xe9");
    assert_eq!(front.finish(NO_GRACE).await.forced, 1);
    wire.ends().await;
}

#[tokio::test]
async fn a_body_that_flows_may_end() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\nhalf")
        .await;
    assert_eq!(wire.head().await.status(), 200);
    assert_eq!(wire.bytes(4).await, b"half");
    front.drain.start();
    let (outcome, ()) = tokio::join!(front.finish(GRACE), async {
        wire.send("done").await;
        assert_eq!(wire.rest().await, b"done");
    });
    assert_eq!(outcome.forced, 0);
}

#[tokio::test]
async fn dropping_the_owner_cuts_everything() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = Front::to(upstream.address());
    let mut client = Client::http1(front.address).await;
    let pending = client.send(tidegate_testkit::client::get_request(HOST, "/"));
    let (answer, ()) = tokio::join!(pending, async {
        upstream.runs(1).await;
        drop(front);
    });
    answer.unwrap_err();
}
