//! Are connections ended that break HTTP/2's framing, and do streams end as the protocol says, by either side?

mod support;

use support::{Front, HOST};
use tidegate_testkit::client::Client;
use tidegate_testkit::frames::{Frame, Frames, PREFACE, flag, hpack, kind, reason};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wire::Wire;

/// These frames, after the preface, end the connection for this reason; nothing reaches the upstream.
async fn ended(frames: &[Frame], expected: u32) {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut client = Frames::connect(front.address).await;
    client.settle().await;
    for frame in frames {
        client.send(frame.clone()).await;
    }
    assert_eq!(client.ending().await, Some(expected), "{frames:?}");
    assert_eq!(upstream.counts().requests(), 0);
    assert_eq!(
        Client::http2(front.address).await.get(HOST, "/").await.status,
        200
    );
}

#[tokio::test]
async fn streams_with_numbers_of_the_servers_or_none() {
    let request = |stream| Frame::request(stream, hpack::get(HOST, "/"));
    ended(&[request(2)], reason::PROTOCOL_ERROR).await;
    ended(&[request(0)], reason::PROTOCOL_ERROR).await;
    ended(&[Frame::new(kind::DATA, 0, 0, *b"x")], reason::PROTOCOL_ERROR).await;
    ended(&[Frame::reset(0, reason::CANCEL)], reason::PROTOCOL_ERROR).await;
}

#[tokio::test]
async fn a_number_that_was_used_or_passed_over_opens_no_stream() {
    for again in [1, 3] {
        let upstream = Upstream::echo().await;
        let front = Front::to(upstream.address());
        let mut frames = Frames::connect(front.address).await;
        let request = |stream| Frame::request(stream, hpack::get(HOST, "/"));
        frames.send(request(3)).await;
        assert_eq!(frames.response(3).await, 200);
        frames.send(request(again)).await;
        let reason = frames.refusal(again).await.reason();
        let expected = [reason::PROTOCOL_ERROR, reason::STREAM_CLOSED].map(Some);
        assert!(expected.contains(&reason), "{again}: {reason:?}");
        assert_eq!(upstream.counts().requests(), 1, "{again}");
    }
}

#[tokio::test]
async fn frames_of_streams_that_are_not_open() {
    ended(&[Frame::new(kind::DATA, 0, 1, *b"x")], reason::PROTOCOL_ERROR).await;
    ended(&[Frame::window_update(1, 1)], reason::PROTOCOL_ERROR).await;
    ended(&[Frame::reset(1, reason::CANCEL)], reason::PROTOCOL_ERROR).await;
}

#[tokio::test]
async fn frames_of_the_connection_on_a_stream_or_of_a_wrong_size() {
    ended(&[Frame::new(kind::PING, 0, 1, [0; 8])], reason::PROTOCOL_ERROR).await;
    ended(&[Frame::new(kind::SETTINGS, 0, 1, [])], reason::PROTOCOL_ERROR).await;
    for frame in [
        Frame::new(kind::PING, 0, 0, [0; 7]),
        Frame::new(kind::SETTINGS, 0, 0, [0; 5]),
        Frame::new(kind::SETTINGS, flag::ACK, 0, [0; 6]),
        Frame::new(kind::WINDOW_UPDATE, 0, 0, [0; 3]),
        Frame::new(kind::PUSH_PROMISE, flag::END_HEADERS, 1, [0, 0, 0, 2]),
    ] {
        // RFC 9113 names FRAME_SIZE_ERROR for most; the `h2` crate says PROTOCOL_ERROR.
        ended(&[frame], reason::PROTOCOL_ERROR).await;
    }
}

#[tokio::test]
async fn settings_and_windows_out_of_range() {
    ended(&[Frame::settings(&[(4, u32::MAX)])], reason::PROTOCOL_ERROR).await;
    ended(&[Frame::settings(&[(5, 1)])], reason::PROTOCOL_ERROR).await;
    ended(&[Frame::settings(&[(2, 2)])], reason::PROTOCOL_ERROR).await;
    ended(
        &[Frame::window_update(0, u32::MAX >> 1)],
        reason::FLOW_CONTROL_ERROR,
    )
    .await;
}

#[tokio::test]
async fn a_block_of_fields_that_something_else_interrupts() {
    let first = Frame::new(kind::HEADERS, flag::END_STREAM, 1, hpack::get(HOST, "/"));
    ended(
        &[first.clone(), Frame::new(kind::PING, 0, 0, [0; 8])],
        reason::PROTOCOL_ERROR,
    )
    .await;
    let other = Frame::new(kind::CONTINUATION, flag::END_HEADERS, 3, []);
    ended(&[first, other], reason::PROTOCOL_ERROR).await;
    ended(
        &[Frame::new(kind::CONTINUATION, flag::END_HEADERS, 1, [])],
        reason::PROTOCOL_ERROR,
    )
    .await;
}

#[tokio::test]
async fn a_preface_that_is_none() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    for cut in [4, 14, 18, 23] {
        let mut wire = Wire::connect(front.address).await;
        let (begin, _) = PREFACE.split_at(cut);
        wire.send([begin, b"X\r\n\r\n"].concat()).await;
        wire.rest().await;
    }
    assert_eq!(upstream.counts().requests(), 0);
}

#[tokio::test]
async fn what_has_to_be_put_up_with_is() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.send(Frame::new(0xbe, 0xff, 7, *b"unknown")).await;
    frames
        .send(Frame::new(kind::PRIORITY, 0, 3, [0, 0, 0, 0, 1]))
        .await;
    frames.send(Frame::settings(&[(0xfff, 1)])).await;
    let padded = [&[3][..], &hpack::get(HOST, "/"), &[0; 3]].concat();
    let flags = flag::END_HEADERS | flag::END_STREAM | flag::PADDED;
    frames.send(Frame::new(kind::HEADERS, flags, 1, padded)).await;
    assert_eq!(frames.response(1).await, 200);
}

#[tokio::test]
async fn data_after_the_end_is_refused_and_its_request_cancelled() {
    let upstream = Upstream::held(&Gate::closed()).await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.send(Frame::request(1, hpack::get(HOST, "/"))).await;
    upstream.runs(1).await;
    frames.send(Frame::new(kind::DATA, 0, 1, *b"more")).await;
    // RFC 9113 §5.1 allows either; the `h2` crate ends the connection.
    let refusal = frames.refusal(1).await.reason();
    assert!(
        matches!(refusal, Some(reason::STREAM_CLOSED | reason::PROTOCOL_ERROR)),
        "{refusal:?}"
    );
    upstream.runs(0).await;
}

#[tokio::test]
async fn a_client_that_says_goaway_gets_its_answers() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.send(Frame::request(1, hpack::get(HOST, "/"))).await;
    upstream.runs(1).await;
    frames.send(Frame::new(kind::GOAWAY, 0, 0, [0; 8])).await;
    gate.open();
    assert_eq!(frames.response(1).await, 200);
    frames.ending().await;
}

#[tokio::test]
async fn a_request_that_is_not_wanted_whole_is_stopped_after_its_response() {
    let upstream = Upstream::fixed(http::StatusCode::FORBIDDEN, "no").await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames
        .send(Frame::head(1, hpack::request("POST", HOST, "/", &[])))
        .await;
    assert_eq!(frames.response(1).await, 403);
    let end = |frame: &Frame| frame.kind == kind::DATA && frame.has(flag::END_STREAM);
    frames.find("the end of the response", end).await;
    // spec: RFC 9113 §8.1
    frames.expect_reset(1, reason::NO_ERROR).await;
    frames.ping().await;
}

#[tokio::test]
async fn a_response_without_a_window_waits_for_one() {
    let upstream = Upstream::fixed(http::StatusCode::OK, "four").await;
    let front = Front::to(upstream.address());
    let mut frames = Frames::connect(front.address).await;
    frames.send(Frame::settings(&[(4, 0)])).await;
    frames.send(Frame::request(1, hpack::get(HOST, "/"))).await;
    assert_eq!(frames.response(1).await, 200);
    frames.send(Frame::window_update(1, 3)).await;
    let data = frames.find("DATA", |frame| frame.kind == kind::DATA).await;
    assert_eq!(data.payload, b"fou");
    frames.send(Frame::window_update(1, 3)).await;
    let data = frames.find("DATA", |frame| frame.kind == kind::DATA).await;
    assert_eq!(data.payload, b"r");
}
