//! Does an extended CONNECT (RFC 8441) become a WebSocket to an HTTP/1.1 upstream, and a refusal an ordinary answer?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use support::{Front, GRACE, HOST};
use tidegate_proxy::error::Kind;
use tidegate_testkit::client::Client;
use tidegate_testkit::frames::{Frame, Frames, flag, hpack, kind, reason};
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};

const CLOSE: [u8; 6] = [0x88, 0x80, 0, 0, 0, 0];

fn connect(stream: u32, fields: &[(&str, &str)]) -> Frame {
    let pseudo = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", HOST),
        (":path", "/chat?room=1"),
        ("sec-websocket-version", "13"),
    ];
    Frame::head(stream, hpack::block(pseudo.iter().chain(fields).copied()))
}

/// A text message as a client sends it: masked, with a key of zeros.
fn text(message: &str) -> Vec<u8> {
    let length = 0x80 | u8::try_from(message.len()).unwrap();
    [&[0x81, length, 0, 0, 0, 0], message.as_bytes()].concat()
}

fn data(stream: u32, bytes: impl Into<Vec<u8>>) -> Frame {
    Frame::new(kind::DATA, 0, stream, bytes)
}

async fn hear(frames: &mut Frames, stream: u32) -> Vec<u8> {
    let data = |frame: &Frame| frame.kind == kind::DATA && frame.stream == stream;
    frames.find("DATA", data).await.payload
}

#[tokio::test]
async fn messages_pass_both_ways_and_both_sides_close() {
    let upstream = Upstream::websocket().await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.settle().await;
    frames.send(connect(1, &[])).await;
    assert_eq!(frames.response(1).await, 200);
    for message in ["one", "two"] {
        frames.send(data(1, text(message))).await;
        assert_eq!(
            hear(&mut frames, 1).await,
            [&[0x81, 3], message.as_bytes()].concat()
        );
    }
    frames.send(data(1, CLOSE)).await;
    assert_eq!(hear(&mut frames, 1).await, [0x88, 0]);
    let ended = |frame: &Frame| frame.stream == 1 && frame.has(flag::END_STREAM);
    frames.find("the end", ended).await;
    let seen = upstream.seen().remove(0);
    assert_eq!(
        (seen.method.as_str(), seen.uri.to_string().as_str()),
        ("GET", "/chat?room=1")
    );
    assert_eq!(seen.header("upgrade"), Some("websocket"));
}

#[tokio::test]
async fn the_support_is_announced() {
    let upstream = Upstream::websocket().await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    let settings = frames
        .find("SETTINGS", |frame| frame.kind == kind::SETTINGS)
        .await;
    let enabled = settings
        .payload
        .chunks(6)
        .any(|setting| setting == [0, 8, 0, 0, 0, 1]);
    assert!(enabled, "{:?}", settings.payload);
}

#[tokio::test]
async fn the_response_has_nothing_of_http1() {
    let upstream = Upstream::websocket().await;
    let front = Front::to(upstream.address());
    let stream = tokio::net::TcpStream::connect(front.address).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(async { connection.await.unwrap_or_default() });
    tidegate_testkit::wait::eventually("SETTINGS", async || sender.is_extended_connect_protocol_enabled())
        .await;
    let request = http::Request::connect("http://app.example/chat")
        .extension(h2::ext::Protocol::from_static("websocket"))
        .body(())
        .unwrap();
    let (response, _send) = sender.send_request(request, false).unwrap();
    let response = tidegate_testkit::wait::soon("a response", response)
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    for name in ["connection", "upgrade", "sec-websocket-accept"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn an_upstream_that_declines_is_an_ordinary_answer() {
    let upstream = Upstream::fixed(http::StatusCode::FORBIDDEN, "no").await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.send(connect(1, &[])).await;
    assert_eq!(frames.response(1).await, 403);
    assert_eq!(hear(&mut frames, 1).await, b"no");
    frames.expect_reset(1, reason::NO_ERROR).await;
}

#[tokio::test]
async fn an_answer_that_would_look_like_a_tunnel_is_a_bad_gateway() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.send(connect(1, &[])).await;
    assert_eq!(frames.response(1).await, 502);
    failed_by_upstream(&front).await;
}

/// The one request is in the books as what the client saw of it.
async fn failed_by_upstream(front: &Front) {
    front.at_rest().await;
    let totals = front.books.totals();
    let failed = totals.failed(Kind::UpstreamProtocol);
    assert_eq!((totals.accepted, totals.answered, failed), (1, 0, 1));
}

#[tokio::test]
async fn an_upstream_that_did_not_understand_the_handshake_is_a_bad_gateway() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
        connection
            .wire
            .send(format!("{head}sec-websocket-accept: wrong\r\n\r\n"))
            .await;
        connection.wire.rest().await;
    })
    .await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.send(connect(1, &[])).await;
    assert_eq!(frames.response(1).await, 502);
    upstream.finish().await;
    failed_by_upstream(&front).await;
}

#[tokio::test]
async fn a_length_in_a_connect_is_refused() {
    let upstream = Upstream::websocket().await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.send(connect(1, &[("content-length", "3")])).await;
    frames.expect_reset(1, reason::PROTOCOL_ERROR).await;
    assert_eq!(upstream.counts().requests(), 0);
}

#[tokio::test]
async fn a_reset_ends_the_upstreams_side_and_the_connection_goes_on() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        let head = connection.wire.head().await;
        let accept = derive_accept_key(head.header("sec-websocket-key").unwrap().as_bytes());
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
        let head = format!("{head}sec-websocket-accept: {accept}\r\n\r\n");
        connection.wire.send(head).await;
        connection.wire.rest().await;
    })
    .await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.settle().await;
    frames.send(connect(1, &[])).await;
    assert_eq!(frames.response(1).await, 200);
    frames.send(Frame::reset(1, reason::CANCEL)).await;
    upstream.finish().await;
    frames.ping().await;
}

/// spec: RFC 6455 §4.2.2, item 5.4
fn derive_accept_key(key: &[u8]) -> String {
    let digest = Sha1::new()
        .chain_update(key)
        .chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest.finalize())
}

#[tokio::test]
async fn a_client_without_a_window_gets_what_fits_and_the_rest_later() {
    let upstream = Upstream::websocket().await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.settle().await;
    frames.send(Frame::settings(&[(4, 0)])).await;
    frames.send(connect(1, &[])).await;
    assert_eq!(frames.response(1).await, 200);
    frames.send(data(1, text("abc"))).await;
    frames.send(Frame::window_update(1, 2)).await;
    assert_eq!(hear(&mut frames, 1).await, b"\x81\x03");
    frames.send(Frame::window_update(1, 10)).await;
    assert_eq!(hear(&mut frames, 1).await, b"abc");
}

#[tokio::test]
async fn a_drain_asks_the_websocket_to_close() {
    let upstream = Upstream::websocket().await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.settle().await;
    frames.send(connect(1, &[])).await;
    assert_eq!(frames.response(1).await, 200);
    front.drain.start();
    // Going Away (RFC 6455 §7.4.1).
    assert_eq!(hear(&mut frames, 1).await, [0x88, 2, 0x03, 0xe9]);
    frames.send(data(1, CLOSE)).await;
    let ended = |frame: &Frame| frame.stream == 1 && frame.has(flag::END_STREAM);
    frames.find("the end", ended).await;
    drop(frames);
    assert_eq!(front.finish(GRACE).await.forced, 0);
}

#[tokio::test]
async fn plain_requests_share_the_connection() {
    let upstream = Upstream::websocket().await;
    let front = Front::to(upstream.address());
    let answer = Client::http2(front.address).await.get(HOST, "/").await;
    assert_eq!(answer.status, http::StatusCode::UPGRADE_REQUIRED);
}
