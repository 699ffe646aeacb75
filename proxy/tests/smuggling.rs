//! Does anything reach an upstream whose borders somebody else could see in another place?
//!
//! Every message is sent as one packet, byte by byte, and pipelined behind a good request.

mod support;

use support::{Front, http_10};
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wire::Wire;

const GOOD: &str = "POST /good HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\ngood";
/// What an attacker hides in a body: it must never be a request of its own.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n";

/// The answer to `bytes`, after the answers to as many good requests as were sent before, is `status` and the end.
async fn refused(front: &Front, before: usize, bytes: &[u8], status: u16) {
    let shown = String::from_utf8_lossy(bytes);
    let mut wire = Wire::connect(front.address).await;
    wire.send([GOOD.repeat(before).as_bytes(), bytes].concat()).await;
    for _ in 0..before {
        assert_eq!(wire.message().await.text(), "good", "{shown:?}");
    }
    let message = wire.message().await;
    assert_eq!(message.status(), status, "{shown:?}");
    assert_eq!(
        message.head.header("connection").as_deref(),
        Some("close"),
        "{shown:?}"
    );
    wire.ends().await;
}

/// As above, where each byte has a packet of its own, as far as the answer lets them be sent.
async fn refused_in_drops(front: &Front, bytes: &[u8], status: u16) {
    let mut wire = Wire::connect(front.address).await;
    for byte in bytes {
        if wire.try_send([*byte]).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(
        wire.message().await.status(),
        status,
        "{:?}",
        String::from_utf8_lossy(bytes)
    );
    wire.ends().await;
}

async fn check(front: &Front, upstream: &Upstream, bytes: impl AsRef<[u8]>, status: u16) {
    let bytes = bytes.as_ref();
    let before = upstream.counts().requests();
    refused(front, 0, bytes, status).await;
    refused_in_drops(front, bytes, status).await;
    assert_eq!(
        upstream.counts().requests(),
        before,
        "{:?}",
        String::from_utf8_lossy(bytes)
    );
    refused(front, 2, bytes, status).await;
    assert_eq!(
        upstream.counts().requests(),
        before + 2,
        "{:?}",
        String::from_utf8_lossy(bytes)
    );
}

async fn front() -> (Front, Upstream) {
    let upstream = Upstream::echo().await;
    (Front::to(upstream.address()), upstream)
}

#[tokio::test]
async fn a_body_is_framed_in_one_way() {
    let (front, upstream) = front().await;
    for fields in [
        "content-length: 33\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 33",
        "content-length: 33\r\ncontent-length: 33",
        "content-length: 33\r\ncontent-length: 0",
        "content-length: 33, 33",
        "content-length: +33",
        "content-length: -33",
        "content-length: 0x21",
        "content-length: 3_3",
        "content-length: 3 3",
        "content-length:",
        "content-length: 033",
        "content-length: 18446744073709551649",
    ] {
        let message = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n{HIDDEN}");
        check(&front, &upstream, message, 400).await;
    }
}

#[tokio::test]
async fn a_transfer_coding_is_chunked_or_refused() {
    let (front, upstream) = front().await;
    for (field, status) in [
        ("transfer-encoding: xchunked", 501),
        ("transfer-encoding: gzip, chunked", 501),
        ("transfer-encoding: identity", 501),
        ("transfer-encoding: ,chunked", 400),
        ("transfer-encoding: chunked, chunked", 400),
        ("transfer-encoding: chunked, identity", 400),
        ("transfer-encoding: chunked\r\ntransfer-encoding: identity", 400),
        ("transfer-encoding: \u{b}chunked", 400),
        ("transfer-encoding: \u{a0}chunked", 400),
        ("transfer-encoding : chunked", 400),
        ("transfer-encoding\t: chunked", 400),
        ("transfer-encoding: \"chunked\"", 400),
        ("transfer-encoding:\r\n chunked", 400),
        (" transfer-encoding: chunked", 400),
    ] {
        let message = format!("POST / HTTP/1.1\r\nhost: a\r\n{field}\r\n\r\n0\r\n\r\n{HIDDEN}");
        check(&front, &upstream, message, status).await;
    }
}

#[tokio::test]
async fn lines_and_fields_have_one_form() {
    let (front, upstream) = front().await;
    for head in [
        "GET / HTTP/1.1\nhost: a\n\n",
        "GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\rx: y\r\n\r\n",
        "GET / HTTP/1.1\r\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n x: y\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n: y\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: y\0z\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx\0: y\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: \x1b[31m\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx\u{e9}: y\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        check(&front, &upstream, head, 400).await;
    }
}

#[tokio::test]
async fn request_lines_have_one_form() {
    let (front, upstream) = front().await;
    for (line, status) in [
        ("GET /", 400),
        ("GET / HTTP/1.32", 400),
        ("GET / HTTP/9.9", 505),
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/1.0", 426),
        ("GET ! HTTP/1.1", 400),
        ("GET /a#b HTTP/1.1", 400),
        ("GET /a b HTTP/1.1", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET\t/ HTTP/1.1", 400),
        ("GET a:80 HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("CONNECT a:80 HTTP/1.1", 405),
    ] {
        check(&front, &upstream, format!("{line}\r\nhost: a\r\n\r\n"), status).await;
    }
}

/// The upstream has the head by then, and never sees an end of the body.
#[tokio::test]
async fn a_chunk_that_breaks_the_rules_ends_both_connections() {
    let (front, upstream) = front().await;
    for chunks in [
        "0x5\r\nhello",
        "+5\r\nhello",
        "-0\r\n",
        " 5\r\nhello",
        "5 \r\nhello",
        "00000000000000005\r\nhello",
        "\r\nhello",
        "5\nhello",
        "5\r\rhello",
        "5\r\nhello!\r\n",
        "0_2e\r\nhello",
        "5;a\nb\r\nhello",
        "5;a\rb\r\nhello",
        "0\r\nx : y\r\n",
    ] {
        for drops in [false, true] {
            let mut wire = Wire::connect(front.address).await;
            let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
            let message = format!("{head}{chunks}\r\n0\r\n\r\n{HIDDEN}");
            for piece in message.as_bytes().chunks(if drops { 1 } else { message.len() }) {
                if wire.try_send(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let rest = wire.rest().await;
            let rest = String::from_utf8_lossy(&rest);
            // Either nothing of a response had come by then, or it is cut.
            assert!(
                rest.starts_with("HTTP/1.1 400") || !rest.ends_with("0\r\n\r\n"),
                "{chunks:?}: {rest}"
            );
            assert_eq!(rest.matches("HTTP/1.1").count(), 1, "{chunks:?}: {rest}");
        }
    }
    assert!(upstream.seen().iter().all(|seen| seen.uri.path() == "/"));
}

#[tokio::test]
async fn garbage_behind_a_request_is_not_taken_for_its_body() {
    let (front, upstream) = front().await;
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET /1 HTTP/1.1\r\nhost: a\r\n\r\nhello\r\n\r\n").await;
    assert_eq!(wire.message().await.status(), 200);
    assert_eq!(wire.message().await.status(), 400);
    wire.ends().await;
    assert_eq!(upstream.counts().requests(), 1);
    assert_eq!(upstream.seen()[0].header("content-length"), None);
}

#[tokio::test]
async fn http_10_has_no_transfer_coding() {
    let upstream = Upstream::echo().await;
    let front = Front::speaking(http_10(), upstream.address());
    let message = "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    refused(&front, 0, message.as_bytes(), 400).await;
    assert_eq!(upstream.counts().requests(), 0);
}
