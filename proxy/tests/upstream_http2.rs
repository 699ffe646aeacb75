//! What becomes of requests on HTTP/2 connections whose upstream refuses, resets, says goodbye, floods or stalls?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::time::Duration;

use support::{Front, HOST, everything_to, over};
use tidegate_proxy::cluster::transport::{Http2Keepalive, Http2Upstream};
use tidegate_proxy::cluster::{Protocol, TransportSettings};
use tidegate_testkit::body::full;
use tidegate_testkit::client::{Answer, Client, get, get_request, post_request};
use tidegate_testkit::frames::{Frame, Frames, PREFACE, flag, hpack, kind, reason};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{RawConnection, RawUpstream};
use tidegate_testkit::wire::Wire;
use tokio::io::AsyncReadExt;

/// A server's side of a connection, and which one it is. Its SETTINGS are these.
async fn accept(connection: RawConnection, settings: &[(u16, u32)]) -> (usize, Frames) {
    let mut stream = connection.wire.into_stream();
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await.unwrap();
    assert_eq!(preface, PREFACE);
    let mut frames = Frames::over(stream);
    frames.send(Frame::settings(settings)).await;
    (connection.number, frames)
}

async fn request(frames: &mut Frames) -> Frame {
    let head = |frame: &Frame| frame.kind == kind::HEADERS;
    frames.find("a request", head).await
}

fn head(status: &str) -> Vec<u8> {
    hpack::block([(":status", status)])
}

/// Answers whatever comes, until the client leaves.
async fn answer_all(mut frames: Frames) {
    while let Some(frame) = frames.next().await {
        if frame.kind == kind::HEADERS {
            frames.send(Frame::request(frame.stream, head("200"))).await;
        }
    }
}

fn goaway(last: u32) -> Frame {
    let payload = [last.to_be_bytes(), reason::NO_ERROR.to_be_bytes()].concat();
    Frame::new(kind::GOAWAY, 0, 0, payload)
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_on_another_connection() {
    let upstream = RawUpstream::start(async |connection| {
        let (number, mut frames) = accept(connection, &[]).await;
        if number == 1 {
            let stream = request(&mut frames).await.stream;
            frames.send(Frame::reset(stream, reason::REFUSED_STREAM)).await;
        }
        answer_all(frames).await;
    })
    .await;
    let front = Front::to_http2(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(wire.head().await.status(), 200);
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn who_refuses_always_is_asked_twice() {
    let upstream = RawUpstream::start(async |connection| {
        let (_, mut frames) = accept(connection, &[]).await;
        let stream = request(&mut frames).await.stream;
        frames.send(Frame::reset(stream, reason::REFUSED_STREAM)).await;
        frames.ending().await;
    })
    .await;
    let front = Front::to_http2(upstream.address());
    assert_eq!(get(front.address, HOST, "/").await.status, 503);
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn a_stream_that_goaway_leaves_out_is_sent_again_and_one_that_it_does_not_is_not() {
    for (last, status, connections) in [(0, 200, 2), (1, 502, 1)] {
        let upstream = RawUpstream::start(move |connection| async move {
            let (number, mut frames) = accept(connection, &[]).await;
            if number == 1 {
                request(&mut frames).await;
                return frames.send(goaway(last)).await;
            }
            answer_all(frames).await;
        })
        .await;
        let front = Front::to_http2(upstream.address());
        let mut wire = Wire::connect(front.address).await;
        wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
            .await;
        assert_eq!(wire.head().await.status(), status, "last stream {last}");
        assert_eq!(upstream.connections(), connections, "last stream {last}");
    }
}

#[tokio::test]
async fn after_goaway_streams_finish_and_new_ones_get_another_connection() {
    let upstream = RawUpstream::start(async |connection| {
        let (number, mut frames) = accept(connection, &[]).await;
        if number == 1 {
            let stream = request(&mut frames).await.stream;
            frames.send(goaway(stream)).await;
            frames.send(Frame::head(stream, head("200"))).await;
            let data = Frame::new(kind::DATA, flag::END_STREAM, stream, *b"finished");
            frames.send(data).await;
        }
        answer_all(frames).await;
    })
    .await;
    let front = Front::to_http2(upstream.address());
    assert_eq!(get(front.address, HOST, "/").await.text(), "finished");
    assert_eq!(get(front.address, HOST, "/").await.status, 200);
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn a_stream_that_is_reset_is_a_bad_gateway_or_a_response_cut_short() {
    for code in [reason::INTERNAL_ERROR, reason::CANCEL, reason::ENHANCE_YOUR_CALM] {
        let upstream = RawUpstream::start(move |connection| async move {
            let (_, mut frames) = accept(connection, &[]).await;
            let first = request(&mut frames).await.stream;
            frames.send(Frame::reset(first, code)).await;
            let second = request(&mut frames).await.stream;
            frames.send(Frame::head(second, head("200"))).await;
            frames.send(Frame::new(kind::DATA, 0, second, *b"half")).await;
            frames.send(Frame::reset(second, code)).await;
            frames.ending().await;
        })
        .await;
        let front = Front::to_http2(upstream.address());
        let mut client = Client::http2(front.address).await;
        let post = post_request(HOST, "/", full("x"));
        assert_eq!(client.call(post).await.status, 502);
        // The reset may overtake the head on its way to the client.
        if let Ok(response) = client.send(get_request(HOST, "/")).await {
            Answer::read(response).await.unwrap_err();
        }
        assert_eq!(upstream.connections(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_is_not_sent_again_though_its_connection_was_a_reused_one() {
    let upstream = RawUpstream::start(async |connection| {
        let (number, mut frames) = accept(connection, &[]).await;
        if number == 1 {
            let first = request(&mut frames).await.stream;
            frames.send(Frame::request(first, head("200"))).await;
            let second = request(&mut frames).await.stream;
            frames.send(Frame::reset(second, reason::INTERNAL_ERROR)).await;
        }
        answer_all(frames).await;
    })
    .await;
    let front = Front::to_http2(upstream.address());
    for status in [200, 502, 200] {
        assert_eq!(get(front.address, HOST, "/").await.status, status);
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn all_streams_that_a_goaway_leaves_out_share_one_new_connection() {
    const STREAMS: usize = 20;
    let upstream = RawUpstream::start(async |connection| {
        let (number, mut frames) = accept(connection, &[]).await;
        if number == 1 {
            for _ in 0..STREAMS {
                request(&mut frames).await;
            }
            return frames.send(goaway(0)).await;
        }
        answer_all(frames).await;
    })
    .await;
    let front = Front::to_http2(upstream.address());
    let mut client = Client::http2(front.address).await;
    let answers = (0..STREAMS).map(|_| client.send(get_request(HOST, "/")));
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn more_streams_than_the_endpoint_allows_get_connections_of_their_own() {
    let gate = Gate::closed();
    let passed = gate.clone();
    let upstream = RawUpstream::start(move |connection| {
        let gate = passed.clone();
        async move {
            let (_, mut frames) = accept(connection, &[(3, 1)]).await;
            let stream = request(&mut frames).await.stream;
            gate.pass().await;
            frames.send(Frame::request(stream, head("200"))).await;
            answer_all(frames).await;
        }
    })
    .await;
    let front = Front::to_http2(upstream.address());
    let mut client = Client::http2(front.address).await;
    let answers = futures_util::future::join_all((0..3).map(|_| client.send(get_request(HOST, "/"))));
    let three = async {
        tidegate_testkit::wait::eventually("three connections", async || upstream.connections() == 3).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(answers, three);
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap().status() == 200)
    );
}

#[tokio::test]
async fn a_whole_response_to_half_a_request_is_whole() {
    let upstream = RawUpstream::start(async |connection| {
        let (_, mut frames) = accept(connection, &[]).await;
        let stream = request(&mut frames).await.stream;
        frames.send(Frame::head(stream, head("413"))).await;
        let data = Frame::new(kind::DATA, flag::END_STREAM, stream, *b"too large");
        frames.send(data).await;
        frames.send(Frame::reset(stream, reason::NO_ERROR)).await;
        answer_all(frames).await;
    })
    .await;
    let front = Front::to_http2(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf")
        .await;
    let message = wire.message().await;
    assert_eq!((message.status(), message.text().as_str()), (413, "too large"));
}

/// What a client gets from an upstream that sends this before anything else on its stream.
async fn status_after(frames_of: fn(u32) -> Vec<Frame>) -> u16 {
    let upstream = RawUpstream::start(move |connection| async move {
        let (_, mut frames) = accept(connection, &[]).await;
        let stream = request(&mut frames).await.stream;
        let bytes: Vec<u8> = frames_of(stream).iter().flat_map(Frame::encoded).collect();
        // The connection may be ended in the middle of it.
        if frames.try_send(&bytes).await.is_ok() {
            frames.ending().await;
        }
    })
    .await;
    let front = Front::to_http2(upstream.address());
    get(front.address, HOST, "/").await.status.as_u16()
}

#[tokio::test]
async fn heads_without_an_end_or_measure_are_a_bad_gateway() {
    let flood = |stream| (0..1000).map(|_| Frame::head(stream, head("103"))).collect();
    assert_eq!(status_after(flood).await, 502);
    let many = |stream| {
        let fields = (0..150).map(|number| (format!("x-{number}"), String::new()));
        let status = (":status".to_owned(), "200".to_owned());
        vec![Frame::request(
            stream,
            hpack::block(std::iter::once(status).chain(fields)),
        )]
    };
    assert_eq!(status_after(many).await, 502);
    let switching = |stream| vec![Frame::request(stream, head("101"))];
    assert_eq!(status_after(switching).await, 502);
}

#[tokio::test]
async fn a_connection_without_settings_is_given_up() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.rest().await;
    })
    .await;
    let settings = TransportSettings {
        protocol: Protocol::Http2,
        connect_timeout: Duration::from_millis(50),
        ..TransportSettings::default()
    };
    let front = Front::start(everything_to(&over(settings, &[upstream.address()]), None));
    let answer = get(front.address, HOST, "/").await;
    assert_eq!(answer.text(), "upstream connect timed out\n");
}

#[tokio::test]
async fn an_unanswered_ping_ends_the_connection() {
    let upstream = RawUpstream::start(async |connection| {
        let (_, mut frames) = accept(connection, &[]).await;
        request(&mut frames).await;
        let ping = |frame: &Frame| frame.kind == kind::PING;
        frames.find("a PING", ping).await;
        frames.ending().await;
    })
    .await;
    let keepalive = Http2Keepalive {
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(50),
    };
    let settings = TransportSettings {
        protocol: Protocol::Http2,
        http2: Http2Upstream {
            keepalive: Some(keepalive),
            ..Http2Upstream::default()
        },
        ..TransportSettings::default()
    };
    let front = Front::start(everything_to(&over(settings, &[upstream.address()]), None));
    assert_eq!(get(front.address, HOST, "/").await.status, 502);
    upstream.finish().await;
}

#[tokio::test]
async fn a_websocket_becomes_an_extended_connect_where_the_endpoint_understands_it() {
    const ENABLE_CONNECT_PROTOCOL: u16 = 8;
    let upstream = RawUpstream::start(async |connection| {
        let (_, mut frames) = accept(connection, &[(ENABLE_CONNECT_PROTOCOL, 1)]).await;
        let stream = request(&mut frames).await.stream;
        frames.send(Frame::head(stream, head("200"))).await;
        let data = |frame: &Frame| frame.kind == kind::DATA && !frame.payload.is_empty();
        let said = frames.find("the client's bytes", data).await.payload;
        assert_eq!(said, b"ping");
        frames
            .send(Frame::new(kind::DATA, flag::END_STREAM, stream, *b"pong"))
            .await;
        frames.ending().await;
    })
    .await;
    let front = Front::to_http2(upstream.address());
    let mut wire = Wire::connect(front.address).await;
    wire.send(
        "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .await;
    let head = wire.head().await;
    assert_eq!(head.status(), 101);
    assert_eq!(
        head.header("sec-websocket-accept").as_deref(),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    wire.send("ping").await;
    assert_eq!(wire.bytes(4).await, b"pong");
}
