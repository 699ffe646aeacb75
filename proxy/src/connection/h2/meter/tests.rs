//! Does the meter count each kind of frame, in any pieces, and forget what is long ago?

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [vec![a, b, c, kind, flags], stream.to_be_bytes().to_vec()].concat();
    [head, payload.to_vec()].concat()
}

fn metered() -> Meter {
    let mut meter = Meter::new(64 * 1024);
    meter.received(PREFACE, Duration::ZERO);
    meter
}

/// How many of these frames it takes.
fn takes(mut make: impl FnMut(u32) -> Vec<u8>) -> (u32, Option<Excess>) {
    let mut meter = metered();
    for count in 0..20_000 {
        meter.received(&make(count), Duration::ZERO);
        if let Some(excess) = meter.excess() {
            return (count, Some(excess));
        }
    }
    (20_000, None)
}

#[test]
fn each_kind_of_flood_has_its_bound() {
    let floods: [(u8, u32, &[u8], u32, Excess); 9] = [
        (kind::PING, 0, &[0; 8], limits::H2_PINGS_MAX, Excess::Pings),
        (kind::SETTINGS, 0, &[], limits::H2_SETTINGS_MAX, Excess::Settings),
        (
            kind::PRIORITY,
            1,
            &[0; 5],
            limits::H2_PRIORITIES_MAX,
            Excess::Priorities,
        ),
        (
            kind::WINDOW_UPDATE,
            0,
            &[0; 4],
            limits::H2_WINDOW_UPDATES_MAX,
            Excess::ConnectionWindowUpdates,
        ),
        (
            kind::WINDOW_UPDATE,
            1,
            &[0; 4],
            limits::H2_WINDOW_UPDATES_MAX,
            Excess::StreamWindowUpdates,
        ),
        (kind::DATA, 1, &[], limits::H2_EMPTY_DATA_MAX, Excess::EmptyData),
        (
            kind::RST_STREAM,
            1,
            &[0; 4],
            limits::H2_RESETS_MAX,
            Excess::Resets,
        ),
        (
            kind::GOAWAY,
            0,
            &[0; 8],
            limits::H2_ODD_FRAMES_MAX,
            Excess::OddFrames,
        ),
        (0xbe, 0, &[], limits::H2_ODD_FRAMES_MAX, Excess::OddFrames),
    ];
    for (kind, stream, payload, max, excess) in floods {
        assert_eq!(takes(|_| frame(kind, 0, stream, payload)), (max, Some(excess)));
    }
}

#[test]
fn padding_is_no_data() {
    let (count, excess) = takes(|_| frame(kind::DATA, flag::PADDED, 1, &[3, 0, 0, 0]));
    assert_eq!(
        (count, excess),
        (limits::H2_EMPTY_DATA_MAX, Some(Excess::EmptyData))
    );
}

#[test]
fn a_block_of_fields_is_bounded_in_frames_and_in_bytes() {
    let (count, excess) = takes(|_| frame(kind::CONTINUATION, 0, 1, &[]));
    assert_eq!(
        (count, excess),
        (limits::H2_CONTINUATIONS_MAX, Some(Excess::Continuations))
    );
    assert_eq!(
        takes(|_| frame(kind::CONTINUATION, 0, 1, &[0; 16384])),
        (8, Some(Excess::HeaderBlock))
    );
}

#[test]
fn bodies_and_requests_are_no_flood() {
    assert_eq!(takes(|_| frame(kind::DATA, 0, 1, b"x")).1, None);
    assert_eq!(takes(|_| frame(kind::DATA, flag::END_STREAM, 1, b"")).1, None);
    assert_eq!(takes(|count| frame(kind::HEADERS, 4, 2 * count + 1, b"")).1, None);
}

#[test]
fn requests_that_are_given_up_at_once_are_bounded() {
    let rapid = |count: u32| {
        let stream = 2 * count + 1;
        [
            frame(kind::HEADERS, 5, stream, b""),
            frame(kind::RST_STREAM, 0, stream, &[0; 4]),
        ]
        .concat()
    };
    let (count, excess) = takes(rapid);
    assert_eq!(
        (count + 1, excess),
        (limits::H2_PREMATURE_RESETS_MAX, Some(Excess::PrematureResets))
    );
}

#[test]
fn who_takes_most_responses_may_give_up_some_requests() {
    let mut meter = metered();
    for count in 0..5_000_u32 {
        let now = Duration::from_millis(10) * count;
        let stream = 6 * count + 1;
        for answered in [stream, stream + 2] {
            meter.received(&frame(kind::HEADERS, 5, answered, b""), now);
            meter.sent(&frame(kind::HEADERS, 4, answered, b""));
        }
        meter.received(&frame(kind::HEADERS, 5, stream + 4, b""), now);
        meter.received(&frame(kind::RST_STREAM, 0, stream + 4, &[0; 4]), now);
    }
    assert_eq!(meter.excess(), None);
}

#[test]
fn counts_begin_anew_with_each_window() {
    let mut meter = metered();
    for second in 0..20 {
        for _ in 0..limits::H2_PINGS_MAX {
            meter.received(
                &frame(kind::PING, 0, 0, &[0; 8]),
                limits::H2_METER_WINDOW * second,
            );
        }
    }
    assert_eq!(meter.excess(), None);
}

#[test]
fn data_of_ours_earns_window_updates() {
    let mut meter = metered();
    for _ in 0..10_000 {
        meter.sent(&frame(kind::DATA, 0, 1, b"x"));
        meter.received(&frame(kind::WINDOW_UPDATE, 0, 0, &[0; 4]), Duration::ZERO);
        meter.received(&frame(kind::WINDOW_UPDATE, 0, 1, &[0; 4]), Duration::ZERO);
    }
    assert_eq!(meter.excess(), None);
}

#[test]
fn streams_that_we_reset_for_faults_are_bounded_and_others_are_not() {
    let after = |reason: u32| {
        let mut meter = metered();
        let reset = frame(kind::RST_STREAM, 0, 1, &reason.to_be_bytes());
        (0..20_000).for_each(|_| meter.sent(&reset));
        meter.excess()
    };
    assert_eq!(after(reason::PROTOCOL_ERROR), Some(Excess::FaultyStreams));
    assert_eq!(after(reason::STREAM_CLOSED), Some(Excess::FaultyStreams));
    assert_eq!(after(reason::REFUSED_STREAM), Some(Excess::RefusedStreams));
    assert_eq!(after(reason::NO_ERROR), None);
}

#[test]
fn an_end_that_names_an_error_is_told_from_an_orderly_one() {
    let mut meter = metered();
    meter.sent(&frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]));
    assert!(!meter.failed());
    meter.sent(&frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 11]));
    assert!(meter.failed());
}

#[test]
fn pieces_of_any_size_count_alike() {
    let frames = [
        frame(kind::HEADERS, 4, 1, &[7; 100]),
        frame(kind::DATA, flag::PADDED, 1, &[1, 0]),
        frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 11, 9, 9]),
        frame(kind::PING, 0, 0, &[0; 8]),
    ];
    let bytes = [PREFACE, &frames.concat()].concat();
    let count = |size: usize| {
        let mut split = Frames::after_preface();
        let mut found = Vec::new();
        for mut piece in bytes.chunks(size) {
            found.extend(std::iter::from_fn(|| split.next(&mut piece)));
        }
        found
    };
    let whole = count(bytes.len());
    assert_eq!(whole.len(), frames.len());
    assert_eq!(whole[2].number_at(4), 11);
    (1..bytes.len()).for_each(|size| assert_eq!(count(size), whole, "pieces of {size}"));
}

#[test]
fn resets_of_many_clients_are_nobodys_fault() {
    let opened_and_reset = |number: u32| {
        let stream = number * 2 + 1;
        [
            frame(kind::HEADERS, flag::END_STREAM, stream, &[]),
            frame(kind::RST_STREAM, 0, stream, &[0; 4]),
        ]
        .concat()
    };
    let (_, excess) = takes(opened_and_reset);
    assert_eq!(excess, Some(Excess::PrematureResets));
    let mut meter = metered().of(StreamsOf::Many);
    (0..20_000).for_each(|number| meter.received(&opened_and_reset(number), Duration::ZERO));
    assert_eq!(meter.excess(), None);
}
