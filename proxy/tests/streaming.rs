//! Do bodies flow both ways as they come, at the pace of whoever takes them, and does a broken one look broken?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use support::{Front, HOST};
use tidegate_testkit::body::{Feed, fed, full};
use tidegate_testkit::client::{Answer, Client, get_request, post_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wait::soon;
use tidegate_testkit::wire::Wire;
use tokio::sync::mpsc;

const MIB: usize = 1 << 20;
const LARGE: usize = 64 * MIB;
/// More than the sockets' own buffers on the way, much less than [`LARGE`].
const BOUND: usize = 32 * MIB;
/// Nobody takes anything for so long: the way is full.
const QUIET: Duration = Duration::from_millis(300);

/// One of the pieces that make up [`LARGE`] bytes.
const PIECE: &[u8] = &[b'x'; MIB / 4];

/// Hands over one more piece after `taken` bytes; says so when the other side stops taking.
async fn hand<T>(taken: usize, handing: impl Future<Output = T>, stalled: &mpsc::Sender<usize>) -> T {
    let mut handing = std::pin::pin!(handing);
    match tokio::time::timeout(QUIET, &mut handing).await {
        Ok(handed) => handed,
        Err(_elapsed) => {
            _ = stalled.try_send(taken);
            handing.await
        }
    }
}

async fn next(body: &mut Incoming) -> Bytes {
    let frame = soon("the next piece", body.frame()).await;
    frame.unwrap().unwrap().into_data().unwrap()
}

/// An upstream that answers with a body which the test feeds.
async fn feeding() -> (Upstream, mpsc::Receiver<Feed>) {
    let (feeds, fed_ones) = mpsc::channel(1);
    let upstream = Upstream::start(move |_| {
        let feeds = feeds.clone();
        async move {
            let (feed, body) = fed();
            feeds.send(feed).await.unwrap();
            let mut response = Response::new(body);
            response
                .headers_mut()
                .insert("content-type", HeaderValue::from_static("text/event-stream"));
            response
        }
    });
    (upstream.await, fed_ones)
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_its_upstream() {
    let (stalled, mut stall) = mpsc::channel(1);
    let upstream = RawUpstream::start(move |mut connection: RawConnection| {
        let stalled = stalled.clone();
        async move {
            connection.wire.head().await;
            connection
                .wire
                .send(format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n"))
                .await;
            for taken in (0..LARGE).step_by(PIECE.len()) {
                hand(taken, connection.wire.send(PIECE), &stalled).await;
            }
        }
    })
    .await;
    let front = Front::to(upstream.address());
    for mut client in [
        Client::http1(front.address).await,
        Client::http2(front.address).await,
    ] {
        let response = client.send(get_request(HOST, "/")).await.unwrap();
        let taken = soon("a stall", stall.recv()).await.unwrap();
        assert!(taken < BOUND, "{taken} bytes were taken from the upstream");
        assert_eq!(Answer::read(response).await.unwrap().body.len(), LARGE);
    }
}

/// An upstream that reads the body when the gate lets it, and answers how long it was.
async fn slow_reader(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |request: Request<Incoming>| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            let (mut body, mut length) = (request.into_body(), 0);
            while let Some(frame) = body.frame().await {
                length += frame.unwrap().into_data().unwrap().len();
            }
            Response::new(full(length.to_string()))
        }
    })
    .await
}

#[tokio::test]
async fn an_upstream_that_does_not_read_stops_its_http1_client() {
    let gate = Gate::closed();
    let upstream = slow_reader(&gate).await;
    let front = Front::to(upstream.address());
    let (stalled, mut stall) = mpsc::channel(1);
    let mut wire = Wire::connect(front.address).await;
    wire.send(format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LARGE}\r\n\r\n"
    ))
    .await;
    let poured = async {
        for taken in (0..LARGE).step_by(PIECE.len()) {
            hand(taken, wire.send(PIECE), &stalled).await;
        }
    };
    tokio::join!(poured, async {
        let taken = soon("a stall", stall.recv()).await.unwrap();
        assert!(taken < BOUND, "{taken} bytes were taken from the client");
        gate.open();
    });
    assert_eq!(wire.message().await.text(), LARGE.to_string());
}

#[tokio::test]
async fn an_upstream_that_does_not_read_stops_its_http2_client() {
    let gate = Gate::closed();
    let upstream = slow_reader(&gate).await;
    let front = Front::to(upstream.address());
    let (stalled, mut stall) = mpsc::channel(1);
    let mut client = Client::http2(front.address).await;
    let (feed, body) = fed();
    let mut request = post_request(HOST, "/", body);
    request.headers_mut().insert("content-length", LARGE.into());
    let poured = async {
        for taken in (0..LARGE).step_by(PIECE.len()) {
            assert!(hand(taken, feed.data(PIECE), &stalled).await);
        }
        drop(feed);
    };
    let (response, (), ()) = tokio::join!(client.send(request), poured, async {
        let taken = soon("a stall", stall.recv()).await.unwrap();
        assert!(taken < BOUND, "{taken} bytes were taken from the client");
        gate.open();
    });
    let answer = Answer::read(response.unwrap()).await.unwrap();
    assert_eq!(answer.text(), LARGE.to_string());
}

#[tokio::test]
async fn an_early_response_does_not_stop_the_request() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        connection
            .wire
            .send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly")
            .await;
        assert_eq!(connection.wire.bytes(8).await, b"one, two");
    })
    .await;
    let front = Front::to(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\none, ")
        .await;
    assert_eq!(wire.message().await.text(), "early");
    wire.send("two").await;
    upstream.finish().await;
    wire.send("GET / HTTP/1.1\r\nhost: b:x\r\n\r\n").await;
    assert_eq!(wire.message().await.status(), 400, "the connection goes on");
}

#[tokio::test]
async fn events_are_passed_on_as_they_come() {
    let (upstream, mut feeds) = feeding().await;
    for front in [Front::to(upstream.address()), Front::to_http2(upstream.address())] {
        for mut client in [
            Client::http1(front.address).await,
            Client::http2(front.address).await,
        ] {
            let mut events = client.send(get_request(HOST, "/")).await.unwrap().into_body();
            let feed = feeds.recv().await.unwrap();
            for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
                assert!(feed.data(event).await);
                assert_eq!(next(&mut events).await, event);
            }
            drop(feed);
            assert_eq!(soon("the end", events.collect()).await.unwrap().to_bytes(), "");
        }
    }
}

#[tokio::test]
async fn an_upload_is_passed_on_as_it_comes() {
    let upstream = Upstream::echo().await;
    for front in [Front::to(upstream.address()), Front::to_http2(upstream.address())] {
        for mut client in [
            Client::http1(front.address).await,
            Client::http2(front.address).await,
        ] {
            let (feed, body) = fed();
            let request = client.send(post_request(HOST, "/", body));
            let (response, _) = tokio::join!(request, feed.data("0"));
            let mut echoed = response.unwrap().into_body();
            assert_eq!(next(&mut echoed).await, "0");
            for piece in ["1", "2"] {
                assert!(feed.data(piece).await);
                assert_eq!(next(&mut echoed).await, piece);
            }
        }
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_never_looks_complete() {
    let chunked = Upstream::breaking_off("half").await;
    let sized = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        connection
            .wire
            .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
            .await;
    })
    .await;
    for (address, rest) in [(chunked.address(), "4\r\nhalf\r\n"), (sized.address(), "half")] {
        let front = Front::to(address);
        let mut wire = Wire::connect(front.address).await;
        wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(wire.head().await.status(), 200);
        assert_eq!(wire.rest().await, rest.as_bytes());
        let mut client = Client::http2(front.address).await;
        let response = client.send(get_request(HOST, "/")).await.unwrap();
        Answer::read(response).await.unwrap_err();
        assert!(!client.is_closed(), "only the stream is reset");
    }
}

#[tokio::test]
async fn an_http2_response_that_breaks_off_never_looks_complete() {
    let upstream = Upstream::breaking_off("half").await;
    let front = Front::to_http2(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(wire.head().await.status(), 200);
    assert_eq!(wire.rest().await, b"4\r\nhalf\r\n");
}

#[tokio::test]
async fn a_request_that_breaks_off_never_looks_complete() {
    let (arrivals, mut arrived) = mpsc::channel(1);
    let upstream = RawUpstream::start(move |mut connection: RawConnection| {
        let arrivals = arrivals.clone();
        async move {
            connection.wire.head().await;
            assert_eq!(connection.wire.bytes(9).await, b"4\r\nhalf\r\n");
            arrivals.send(()).await.unwrap();
            assert_eq!(connection.wire.rest().await, b"");
        }
    })
    .await;
    let front = Front::to(upstream.address());
    for mut client in [
        Client::http1(front.address).await,
        Client::http2(front.address).await,
    ] {
        let (feed, body) = fed();
        let (response, ()) = tokio::join!(client.send(post_request(HOST, "/", body)), async {
            assert!(feed.data("half").await);
            soon("the first half", arrived.recv()).await.unwrap();
            feed.abort().await;
        });
        response.unwrap_err();
    }
    upstream.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_response() {
    let (upstream, mut feeds) = feeding().await;
    for front in [Front::to(upstream.address()), Front::to_http2(upstream.address())] {
        for mut client in [
            Client::http1(front.address).await,
            Client::http2(front.address).await,
        ] {
            let mut response = client.send(get_request(HOST, "/")).await.unwrap();
            let feed = feeds.recv().await.unwrap();
            assert!(feed.data("something").await);
            assert_eq!(next(response.body_mut()).await, "something");
            drop((response, client));
            soon("nobody reads any more", feed.dropped()).await;
        }
    }
}
