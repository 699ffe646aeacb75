//! Where does each HTTP/2 frame begin in a stream of bytes, and what does its head say?

use std::fmt;

/// The length of a frame's head (RFC 9113 §4.1).
const HEAD_BYTES: usize = 9;
/// How much of a payload is kept: the last stream and the reason of a GOAWAY.
const PAYLOAD_BYTES: usize = 8;
/// The length of the client's preface (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;

/// Types of frames (RFC 9113 §6).
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const PRIORITY: u8 = 2;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const PING: u8 = 6;
    pub(in super::super) const GOAWAY: u8 = 7;
    pub(in super::super) const WINDOW_UPDATE: u8 = 8;
    pub(in super::super) const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub(super) mod flag {
    pub(in super::super) const END_STREAM: u8 = 1;
    pub(in super::super) const PADDED: u8 = 8;
}

/// Reasons of RST_STREAM and GOAWAY (RFC 9113 §7).
pub(super) mod reason {
    pub(in super::super) const NO_ERROR: u32 = 0;
    pub(in super::super) const PROTOCOL_ERROR: u32 = 1;
    pub(in super::super) const FLOW_CONTROL_ERROR: u32 = 3;
    pub(in super::super) const STREAM_CLOSED: u32 = 5;
    pub(in super::super) const FRAME_SIZE_ERROR: u32 = 6;
    pub(in super::super) const REFUSED_STREAM: u32 = 7;
}

/// The head of a frame, and how its payload begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Of the payload, padding included.
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    start: [u8; PAYLOAD_BYTES],
}

impl Frame {
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// How many bytes of a body a DATA frame carries.
    pub(super) fn data_bytes(&self) -> usize {
        let [padding, ..] = self.start;
        let overhead = if self.has(flag::PADDED) {
            1 + usize::from(padding)
        } else {
            0
        };
        self.length.saturating_sub(overhead)
    }

    /// The 32 bits at this place of the payload, 0 beyond its end.
    pub(super) fn number_at(&self, place: usize) -> u32 {
        let bytes = self.start.get(place..place + 4);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    }
}

/// Finds frames in bytes that come in pieces of any size.
#[derive(Default)]
pub(super) struct Frames {
    /// The head and the start of the payload of the next frame, as far as they have come.
    next: [u8; HEAD_BYTES + PAYLOAD_BYTES],
    have: usize,
    /// What is left of the preface or of the payload of the frame before.
    skip: usize,
}

impl fmt::Debug for Frames {
    /// Without what is left of earlier frames: however the bytes came, the same is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("next", &self.next.get(..self.have))
            .field("skip", &self.skip)
            .finish()
    }
}

impl Frames {
    /// Frames that follow a client's preface.
    pub(super) fn after_preface() -> Self {
        Self {
            skip: PREFACE_BYTES,
            ..Self::default()
        }
    }

    /// The next frame whose head and start of the payload have come; takes what it has read out of `bytes`.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        let skipped = self.skip.min(bytes.len());
        *bytes = bytes.get(skipped..)?;
        self.skip -= skipped;
        if self.skip > 0 {
            return None;
        }
        let whole = bytes.first_chunk().filter(|_| self.have == 0);
        let (length, kept) = match whole {
            // Nearly all are here with more than is kept of them.
            Some(whole) => {
                self.next = *whole;
                let (length, kept) = self.lengths();
                *bytes = bytes.get(HEAD_BYTES + kept..)?;
                (length, kept)
            }
            None => {
                self.fill(bytes, HEAD_BYTES)?;
                let (length, kept) = self.lengths();
                self.fill(bytes, HEAD_BYTES + kept)?;
                (length, kept)
            }
        };
        let [_, _, _, kind, flags, s, t, u, v, mut start @ ..] = self.next;
        // What is left of an earlier frame is none of this one's.
        start.get_mut(kept..).unwrap_or_default().fill(0);
        self.skip = length - kept;
        self.have = 0;
        Some(Frame {
            length,
            kind,
            flags,
            // The highest bit is reserved (RFC 9113 §4.1).
            stream: u32::from_be_bytes([s, t, u, v]) & (u32::MAX >> 1),
            start,
        })
    }

    /// How long the payload of the next frame is, and how much of it is kept.
    fn lengths(&self) -> (usize, usize) {
        let [a, b, c, ..] = self.next;
        let length = number([0, a, b, c]);
        (length, length.min(PAYLOAD_BYTES))
    }

    /// Takes bytes until there are `wanted`; none when they run out before.
    fn fill(&mut self, bytes: &mut &[u8], wanted: usize) -> Option<()> {
        let missing = wanted.saturating_sub(self.have).min(bytes.len());
        let (taken, rest) = bytes.split_at_checked(missing)?;
        let end = self.have + missing;
        self.next.get_mut(self.have..end)?.copy_from_slice(taken);
        (self.have, *bytes) = (end, rest);
        (end >= wanted).then_some(())
    }
}

fn number(bytes: [u8; 4]) -> usize {
    usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX)
}
