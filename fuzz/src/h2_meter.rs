//! Does the meter of HTTP/2 frames count the same however the bytes are cut, and never panic?
//!
//! Input: the first byte says how large the pieces are, the second how many milliseconds pass between them; the rest goes
//! in as received bytes after a preface, then as sent ones.

use std::time::Duration;

use tidegate_proxy::fuzzing::Meter;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Runs one input.
///
/// # Panics
/// When pieces are counted otherwise than the whole, or what was too much is forgotten.
pub fn run(data: &[u8]) {
    let Some(([size, pause], bytes)) = data.split_first_chunk() else {
        return;
    };
    let size = usize::from(*size).max(1);
    let (whole, pieces) = (count(bytes, bytes.len().max(1)), count(bytes, size));
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"), "in pieces of {size}");
    let mut meter = Meter::new(HEAD_BYTES_MAX);
    meter.received(PREFACE, Duration::ZERO);
    let (mut now, mut excess) = (Duration::ZERO, None);
    for piece in bytes.chunks(size) {
        now += Duration::from_millis((*pause).into());
        meter.received(piece, now);
        assert!(
            excess.is_none() || meter.excess() == excess,
            "{excess:?} was forgotten"
        );
        excess = meter.excess();
    }
}

fn count(bytes: &[u8], size: usize) -> Meter {
    let mut meter = Meter::new(HEAD_BYTES_MAX);
    for piece in [PREFACE, bytes].concat().chunks(size) {
        meter.received(piece, Duration::ZERO);
    }
    for piece in bytes.chunks(size) {
        meter.sent(piece);
    }
    meter
}
