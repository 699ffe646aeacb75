//! Are frames what they say, and does a server see just those?

use super::*;
use crate::upstream::Upstream;

#[test]
fn a_frame_is_nine_bytes_and_its_payload() {
    let frame = Frame::new(0xfe, 0xff, 7, *b"abc");
    assert_eq!(frame.encoded(), b"\0\0\x03\xfe\xff\0\0\0\x07abc");
    assert_eq!(format!("{frame:?}"), "unknown(stream 7, flags 0xff, 3 bytes)");
    let settings = Frame::settings(&[(3, 100)]);
    assert_eq!(settings.payload, [0, 3, 0, 0, 0, 100]);
    assert_eq!(Frame::reset(1, reason::CANCEL).reason(), Some(reason::CANCEL));
}

#[tokio::test]
async fn a_request_made_of_frames_is_answered() {
    let upstream = Upstream::echo().await;
    let mut frames = Frames::connect(upstream.address()).await;
    frames.settle().await;
    let block = hpack::request("POST", "a.example", "/x", &[("x-field", "1")]);
    frames.send(Frame::head(1, block)).await;
    frames
        .send(Frame::new(kind::DATA, flag::END_STREAM, 1, *b"hello"))
        .await;
    assert_eq!(frames.response(1).await, 200);
    let data = frames.find("the body", |frame| frame.kind == kind::DATA).await;
    assert_eq!(data.payload, b"hello");
    let seen = upstream.seen().remove(0);
    assert_eq!((seen.header("x-field"), seen.uri.path()), (Some("1"), "/x"));
    frames.ping().await;
}

#[tokio::test]
async fn what_breaks_the_rules_is_sent_all_the_same() {
    let upstream = Upstream::echo().await;
    let mut frames = Frames::connect(upstream.address()).await;
    let bad = [
        hpack::get("a.example", "/"),
        hpack::literal(b"connection", b"close"),
    ]
    .concat();
    frames.send(Frame::request(1, bad)).await;
    frames.expect_reset(1, reason::PROTOCOL_ERROR).await;
    // A PING on a stream ends the connection.
    frames.send(Frame::new(kind::PING, 0, 3, [0; 8])).await;
    frames.expect_goaway(reason::PROTOCOL_ERROR).await;
    assert_eq!(frames.ending().await, None, "nothing comes after it");
}

#[tokio::test]
async fn a_flood_ends_when_the_server_has_enough() {
    let upstream = Upstream::echo().await;
    let mut frames = Frames::connect(upstream.address()).await;
    let rapid = |number: u32| {
        let stream = 2 * number + 1;
        let opened = Frame::request(stream, hpack::get("a.example", "/")).encoded();
        [opened, Frame::reset(stream, reason::CANCEL).encoded()].concat()
    };
    let sent = frames.flood(100_000, rapid).await;
    assert!(
        sent < 100_000,
        "the server took {sent} requests that were reset at once"
    );
    let reason = frames.ending().await;
    assert!(
        matches!(reason, None | Some(reason::ENHANCE_YOUR_CALM)),
        "{reason:?}"
    );
}

#[tokio::test]
#[should_panic(
    expected = "waiting for GOAWAY: the connection ended after [SETTINGS(stream 0, flags 0x00, 0 bytes)]"
)]
async fn a_failure_says_what_came_instead() {
    let (near, far) = tokio::io::duplex(64);
    let mut far = Frames::over(far);
    far.send(Frame::settings(&[])).await;
    drop(far);
    Frames::over(near).expect_goaway(reason::NO_ERROR).await;
}
