//! Is what HTTP/2 forbids refused before an upstream sees any of it, and only the stream or connection that did it?

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use http::StatusCode;
use http_body_util::BodyExt;
use support::{Front, HOST};
use tidegate_testkit::client::Client;
use tidegate_testkit::frames::{Frame, Frames, flag, hpack, kind, reason};
use tidegate_testkit::upstream::{Upstream, answer};

/// How a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// Its stream or connection was ended as a violation.
    Violation,
    /// It was answered with this status.
    Status(u16),
}

use Refused::{Status, Violation};

/// What becomes of these bytes, sent after preface and SETTINGS; nothing of them may reach the upstream, and the proxy
/// must still serve.
async fn refused(bytes: Vec<u8>) -> Refused {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.settle().await;
    frames.send_bytes(&bytes).await;
    let answer = |frame: &Frame| match frame.kind {
        kind::HEADERS | kind::RST_STREAM => frame.stream == 1,
        kind::GOAWAY => true,
        _ => false,
    };
    let frame = frames.find("an answer", answer).await;
    let refused = match (frame.status(), frame.reason()) {
        (Some(status), _) => Status(status),
        (
            _,
            Some(
                reason::PROTOCOL_ERROR
                | reason::COMPRESSION_ERROR
                | reason::FRAME_SIZE_ERROR
                | reason::STREAM_CLOSED
                | reason::FLOW_CONTROL_ERROR,
            ),
        ) => Violation,
        _ => panic!("refused by {frame:?}"),
    };
    assert_eq!(upstream.counts().requests(), 0, "it reached the upstream");
    assert_eq!(
        Client::http2(front.address).await.get(HOST, "/").await.status,
        200
    );
    refused
}

/// What becomes of a request that is all in one block.
async fn block(block: Vec<u8>) -> Refused {
    refused(Frame::request(1, block).encoded()).await
}

async fn with_field(name: &str, value: &str) -> Refused {
    block(hpack::request("GET", HOST, "/", &[(name, value)])).await
}

#[tokio::test]
async fn names_that_are_none() {
    for name in [
        "", "Upper", "a b", "a:b", "a\r\nb", "a\0b", ":unknown", "\u{7f}", "a\u{e9}",
    ] {
        assert_eq!(with_field(name, "x").await, Violation, "{name:?}");
    }
}

#[tokio::test]
async fn values_that_could_be_read_as_more() {
    for value in [
        "a\r\nx: y",
        "a\nb",
        "a\rb",
        "a\0b",
        " a",
        "a ",
        "\ta",
        "a\t",
        "a\u{7f}",
    ] {
        assert_eq!(with_field("x", value).await, Violation, "{value:?}");
    }
}

#[tokio::test]
async fn fields_of_a_connection_that_http2_does_not_have() {
    for (name, value) in [
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
    ] {
        assert_eq!(with_field(name, value).await, Violation, "{name}: {value}");
    }
}

/// The four pseudo-fields and one more, in this order.
fn pseudo(fields: &[(&str, &str)]) -> Vec<u8> {
    hpack::block(fields.iter().copied())
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const AUTHORITY: (&str, &str) = (":authority", HOST);
const PATH: (&str, &str) = (":path", "/");

#[tokio::test]
async fn pseudo_fields_that_are_missing_twice_there_late_or_unknown() {
    for fields in [
        &[SCHEME, AUTHORITY, PATH][..],
        &[METHOD, AUTHORITY, PATH],
        &[METHOD, SCHEME, AUTHORITY],
        &[METHOD, METHOD, SCHEME, AUTHORITY, PATH],
        &[METHOD, SCHEME, AUTHORITY, AUTHORITY, PATH],
        &[METHOD, SCHEME, AUTHORITY, PATH, PATH],
        &[METHOD, SCHEME, ("x", "y"), AUTHORITY, PATH],
        &[METHOD, SCHEME, AUTHORITY, PATH, ("x", "y"), PATH],
        &[METHOD, SCHEME, AUTHORITY, PATH, (":status", "200")],
        &[METHOD, SCHEME, AUTHORITY, PATH, (":protocol", "websocket")],
    ] {
        assert_eq!(block(pseudo(fields)).await, Violation, "{fields:?}");
    }
}

#[tokio::test]
async fn no_host_at_all_or_two() {
    assert_eq!(block(pseudo(&[METHOD, SCHEME, PATH])).await, Status(400));
    let differs = [METHOD, SCHEME, AUTHORITY, PATH, ("host", "other.example")];
    assert_eq!(block(pseudo(&differs)).await, Status(400));
    let twice = [METHOD, SCHEME, AUTHORITY, PATH, ("host", HOST), ("host", HOST)];
    assert_eq!(block(pseudo(&twice)).await, Status(400));
}

#[tokio::test]
async fn paths_that_are_none() {
    for path in ["", "/a b", "/a\r\nb", "/a\0", "/%00", "/a<b", "/a`b", "/?\"a\""] {
        let refused = block(hpack::request("GET", HOST, path, &[])).await;
        assert!(
            matches!(refused, Violation | Status(400)),
            "{path:?}: {refused:?}"
        );
    }
    for path in ["x", "http://app.example/", "*"] {
        let refused = block(hpack::request("GET", HOST, path, &[])).await;
        assert!(
            matches!(refused, Violation | Status(400)),
            "{path:?}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn methods_schemes_and_authorities_that_are_none() {
    for method in ["", "GET /x HTTP/1.1", "G\r\nT", "G\0T"] {
        assert_eq!(
            block(hpack::request(method, HOST, "/", &[])).await,
            Violation,
            "{method:?}"
        );
    }
    for scheme in ["", "http://x/?", "1http", "ftp", "h\r\n"] {
        let fields = [METHOD, (":scheme", scheme), AUTHORITY, PATH];
        assert_eq!(block(pseudo(&fields)).await, Violation, "{scheme:?}");
    }
    for authority in ["", "a b", "a\r\nb", "u@app.example", "app.example/x", "a:99999"] {
        let refused = block(hpack::request("GET", authority, "/", &[])).await;
        assert!(
            matches!(refused, Violation | Status(400)),
            "{authority:?}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn connect_opens_no_tunnel_to_anywhere() {
    let plain = [(":method", "CONNECT"), (":authority", "upstream.example:443")];
    assert_eq!(block(pseudo(&plain)).await, Status(405));
    let unknown = [
        (":method", "CONNECT"),
        (":protocol", "chat"),
        SCHEME,
        AUTHORITY,
        PATH,
    ];
    assert_eq!(block(pseudo(&unknown)).await, Status(405));
}

#[tokio::test]
async fn a_length_that_is_no_number_or_there_twice() {
    for length in [
        "010",
        "+5",
        "-5",
        "0x10",
        "5,5",
        "5 5",
        "",
        "99999999999999999999",
    ] {
        let refused = with_field("content-length", length).await;
        assert_eq!(refused, Violation, "{length:?}");
    }
    let twice = [("content-length", "0"), ("content-length", "0")];
    assert_eq!(block(hpack::request("POST", HOST, "/", &twice)).await, Violation);
}

#[tokio::test]
async fn an_end_where_the_length_promised_more() {
    assert_eq!(with_field("content-length", "5").await, Violation);
}

/// A body whose length is not what its head said never looks complete to the upstream.
async fn with_length(length: &str, data: &[u8]) {
    let upstream = Upstream::start(async |request| {
        let whole = request.into_body().collect().await;
        let status = if whole.is_ok() { 200 } else { 500 };
        answer(StatusCode::from_u16(status).unwrap(), "")
    })
    .await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    let head = hpack::request("POST", HOST, "/", &[("content-length", length)]);
    frames.send(Frame::head(1, head)).await;
    frames
        .send(Frame::new(kind::DATA, flag::END_STREAM, 1, data))
        .await;
    frames.expect_reset(1, reason::PROTOCOL_ERROR).await;
    upstream.runs(0).await;
    assert_eq!(
        Client::http2(front.address).await.get(HOST, "/").await.status,
        200
    );
}

#[tokio::test]
async fn a_body_that_is_shorter_or_longer_than_its_length() {
    with_length("5", b"hell").await;
    with_length("5", b"hello!").await;
}

#[tokio::test]
async fn too_many_fields_and_too_many_crumbs_of_a_cookie() {
    let many: Vec<_> = (0..200).map(|_| ("x", "y")).collect();
    assert_eq!(block(hpack::request("GET", HOST, "/", &many)).await, Status(431));
    let crumbs: Vec<_> = (0..200).map(|_| ("cookie", "a=1")).collect();
    assert_eq!(
        block(hpack::request("GET", HOST, "/", &crumbs)).await,
        Status(431)
    );
}

#[tokio::test]
async fn a_target_that_is_too_long() {
    let path = format!("/{}", "x".repeat(33 * 1024));
    let block = hpack::request("GET", HOST, &path, &[]);
    let mut pieces = block.chunks(16 * 1024);
    let first = Frame::new(kind::HEADERS, flag::END_STREAM, 1, pieces.next().unwrap());
    let mut bytes = first.encoded();
    bytes.extend(Frame::new(kind::CONTINUATION, 0, 1, pieces.next().unwrap()).encoded());
    bytes.extend(Frame::new(kind::CONTINUATION, flag::END_HEADERS, 1, pieces.next().unwrap()).encoded());
    assert_eq!(refused(bytes).await, Status(414));
}

/// A field of 4 KB in the decoder's table, and so many references to it.
fn bomb(references: usize) -> Vec<u8> {
    let mut block = hpack::get(HOST, "/");
    block.extend(hpack::remembered(b"x", "y".repeat(3500).as_bytes()));
    block.extend(hpack::indexed(62).repeat(references));
    block
}

#[tokio::test]
async fn fields_that_grow_when_they_are_decoded() {
    assert_eq!(block(bomb(30)).await, Status(431));
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.send(Frame::request(1, bomb(10_000))).await;
    frames.expect_goaway(reason::ENHANCE_YOUR_CALM).await;
    assert_eq!(upstream.counts().requests(), 0);
}

#[tokio::test]
async fn fields_that_cannot_be_decoded() {
    for broken in [
        hpack::indexed(0),
        hpack::indexed(200),
        hpack::table_size(1 << 20),
        vec![0xff; 12],
        vec![0x00, 0x05, b'a'],
    ] {
        assert_eq!(block(broken.clone()).await, Violation, "{broken:?}");
    }
}

/// What becomes of trailers that follow a request.
async fn trailers(fields: &[(&str, &str)]) -> Frame {
    let upstream = Upstream::start(async |request| {
        let whole = request.into_body().collect().await;
        assert!(whole.is_err(), "it looks complete");
        answer(StatusCode::OK, "")
    })
    .await;
    let front = Front::to_http2(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    let head = hpack::request("POST", HOST, "/", &[]);
    frames.send(Frame::head(1, head)).await;
    upstream.runs(1).await;
    frames.send(Frame::request(1, pseudo(fields))).await;
    let about =
        |frame: &Frame| frame.stream == 1 && frame.kind != kind::WINDOW_UPDATE || frame.kind == kind::GOAWAY;
    let frame = frames.find("an answer", about).await;
    upstream.runs(0).await;
    frame
}

#[tokio::test]
async fn trailers_with_what_belongs_to_heads() {
    for fields in [[("Upper", "x")], [("connection", "close")]] {
        let frame = trailers(&fields).await;
        assert_ne!(frame.reason(), None, "{fields:?}: {frame:?}");
    }
    // Which of the two depends on what comes first: the fault, or the upstream that was told of it.
    let status = trailers(&[("x", " padded")]).await.status();
    assert!(matches!(status, Some(400 | 502)), "{status:?}");
}

#[tokio::test]
async fn pseudo_fields_in_trailers_go_no_further() {
    let upstream = Upstream::start(async |request| {
        let whole = request.into_body().collect().await.unwrap();
        let trailers = whole.trailers().cloned().unwrap_or_default();
        answer(StatusCode::OK, if trailers.len() == 1 { "one" } else { "more" })
    })
    .await;
    let front = Front::to_http2(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames
        .send(Frame::head(1, hpack::request("POST", HOST, "/", &[])))
        .await;
    frames
        .send(Frame::request(
            1,
            pseudo(&[(":path", "/admin"), ("x-end", "yes")]),
        ))
        .await;
    let data = frames.find("the body", |frame| frame.kind == kind::DATA).await;
    assert_eq!(data.payload, b"one");
}

#[tokio::test]
async fn a_fragment_goes_no_further() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames
        .send(Frame::request(1, hpack::get(HOST, "/x#/admin")))
        .await;
    assert_eq!(frames.response(1).await, 200);
    assert_eq!(upstream.seen().remove(0).uri, "/x");
}
