//! Where does a frame of a WebSocket end, and how is a connection asked to end? Frame headers only (RFC 6455 §5.2).

use bytes::Bytes;

/// Follows the frames of one direction. Payloads are counted, never looked at.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    header: [u8; HEADER_BYTES_MAX],
    /// How much of the header of the next frame has come.
    have: usize,
    /// How much of the payload of the frame under way is to come.
    payload: u64,
    /// Whether the frame under way, or the last one, is a Close.
    close: bool,
    closed: bool,
}

/// Two bytes, an extended length of eight, a masking key of four.
const HEADER_BYTES_MAX: usize = 14;
const OPCODE: u8 = 0x0f;
const CLOSE: u8 = 0x8;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// The endpoint is going away (RFC 6455 §7.4.1).
const GOING_AWAY: [u8; 2] = 1001_u16.to_be_bytes();

/// Who a frame is for: clients mask, servers do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Toward {
    Client,
    Upstream,
}

impl Tracker {
    /// Whether a whole number of frames has passed.
    pub(super) fn is_between_frames(&self) -> bool {
        self.have == 0 && self.payload == 0
    }

    /// Whether a Close has passed: its sender has nothing more to say.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Follows all of `bytes`.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = self.step(bytes);
        }
    }

    /// Follows `bytes` to the first border between frames, and says how many that are.
    pub(super) fn pass_to_border(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        while !self.is_between_frames() {
            if rest.is_empty() {
                return None;
            }
            rest = self.step(rest);
        }
        Some(bytes.len() - rest.len())
    }

    /// Takes one byte of a header, or as much of a payload as there is; returns what follows.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.payload > 0 {
            let fits = usize::try_from(self.payload).map_or(bytes.len(), |left| left.min(bytes.len()));
            self.payload -= fits as u64;
            self.end_frame();
            return bytes.get(fits..).unwrap_or_default();
        }
        let Some((first, rest)) = bytes.split_first() else {
            return bytes;
        };
        if let Some(place) = self.header.get_mut(self.have) {
            *place = *first;
        }
        self.have += 1;
        let [flags, second, ..] = self.header;
        let (extended, mask) = (extended_length(second), if second & MASKED == 0 { 0 } else { 4 });
        if self.have >= 2 && self.have == 2 + extended + mask {
            let length = self.header.get(2..2 + extended).unwrap_or_default();
            self.payload = match extended {
                0 => u64::from(second & LENGTH),
                _ => length
                    .iter()
                    .fold(0, |length, byte| (length << 8) | u64::from(*byte)),
            };
            self.close = flags & OPCODE == CLOSE;
            self.have = 0;
            self.end_frame();
        }
        rest
    }

    fn end_frame(&mut self) {
        self.closed |= self.close && self.payload == 0;
    }
}

fn extended_length(second: u8) -> usize {
    match second & LENGTH {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

/// A Close that says that this side is going away.
pub(super) fn going_away(toward: Toward) -> Bytes {
    let [high, low] = GOING_AWAY;
    match toward {
        Toward::Client => Bytes::copy_from_slice(&[0x80 | CLOSE, 2, high, low]),
        Toward::Upstream => {
            let mask: [u8; 4] = fastrand::u32(..).to_be_bytes();
            let [first, second, third, fourth] = mask;
            let payload = [high ^ first, low ^ second];
            let head = [0x80 | CLOSE, MASKED | 2, first, second, third, fourth];
            Bytes::from([head.as_slice(), &payload].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of this opcode with a payload of so many bytes.
    fn frame(opcode: u8, masked: bool, payload: usize) -> Vec<u8> {
        let mask = if masked { MASKED } else { 0 };
        let mut frame = vec![0x80 | opcode];
        match payload {
            0..126 => frame.push(mask | u8::try_from(payload).unwrap()),
            126..65536 => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(payload).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((payload as u64).to_be_bytes());
            }
        }
        frame.extend(if masked { &[1, 2, 3, 4][..] } else { &[] });
        frame.extend(vec![0x88; payload]);
        frame
    }

    #[test]
    fn borders_are_found_wherever_the_bytes_are_cut() {
        for (masked, payload) in [
            (true, 0),
            (false, 0),
            (true, 5),
            (false, 125),
            (true, 126),
            (false, 70_000),
        ] {
            let bytes = [frame(2, masked, payload), frame(1, masked, 3)].concat();
            let border = bytes.len() - frame(1, masked, 3).len();
            for cut in (0..border).step_by(border / 20 + 1) {
                let mut tracker = Tracker::default();
                tracker.pass(&bytes[..cut]);
                assert_eq!(tracker.is_between_frames(), cut == 0, "{payload} {cut}");
                let expected = if cut == 0 { 0 } else { border - cut };
                assert_eq!(
                    tracker.pass_to_border(&bytes[cut..]),
                    Some(expected),
                    "{payload} {cut}"
                );
                assert!(!tracker.is_closed());
            }
        }
    }

    #[test]
    fn a_close_counts_when_all_of_it_has_passed() {
        for toward in [Toward::Client, Toward::Upstream] {
            let (close, mut tracker) = (going_away(toward), Tracker::default());
            tracker.pass(&frame(2, true, 9));
            tracker.pass(&close[..close.len() - 1]);
            assert!(!tracker.is_closed());
            tracker.pass(&close[close.len() - 1..]);
            assert!(tracker.is_closed() && tracker.is_between_frames());
        }
    }

    #[test]
    fn a_close_is_masked_towards_upstreams_only() {
        assert_eq!(going_away(Toward::Client)[..], [0x88, 2, 0x03, 0xe9]);
        let masked = going_away(Toward::Upstream);
        assert_eq!(masked[..2], [0x88, 0x82]);
        assert_eq!([masked[6] ^ masked[2], masked[7] ^ masked[3]], GOING_AWAY);
    }
}
