//! Does an HTTP/2 client make more work than its requests are worth? Counts frames; no I/O, time is passed in.
//!
//! The `h2` crate answers PING, SETTINGS and the like itself and tells nobody how many there were. So the heads of the
//! frames are read once more, on their way in and out. Rules of the protocol are not checked here: `h2` does that.

use std::time::Duration;

use super::split::{Frame, Frames, flag, kind, reason};
use crate::config::http::StreamsOf;
use crate::config::limits;

/// What a client did too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Excess {
    /// PING, answers included (CVE-2019-9512).
    Pings,
    /// SETTINGS (CVE-2019-9515).
    Settings,
    /// PRIORITY (CVE-2019-9513).
    Priorities,
    /// WINDOW_UPDATE of the connection that no DATA of ours explains.
    ConnectionWindowUpdates,
    /// WINDOW_UPDATE of streams that no DATA of ours explains.
    StreamWindowUpdates,
    /// DATA without a byte that ends nothing (CVE-2019-9518, RUSTSEC-2026-0258).
    EmptyData,
    /// CONTINUATION of one block of fields (CVE-2024-27316).
    Continuations,
    /// Bytes of one block of fields, as compressed.
    HeaderBlock,
    /// RST_STREAM (CVE-2019-9514).
    Resets,
    /// RST_STREAM before the response began (rapid reset, CVE-2023-44487).
    PrematureResets,
    /// Streams that this side had to reset for the client's faults (MadeYouReset, CVE-2025-8671).
    FaultyStreams,
    /// Streams beyond what may be open at once.
    RefusedStreams,
    /// Frames of no known type, GOAWAY and PUSH_PROMISE.
    OddFrames,
}

impl Excess {
    /// Its name as the `reason` label of metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pings => "ping",
            Self::Settings => "settings",
            Self::Priorities => "priority",
            Self::ConnectionWindowUpdates => "connection_window_update",
            Self::StreamWindowUpdates => "stream_window_update",
            Self::EmptyData => "empty_data",
            Self::Continuations => "continuation",
            Self::HeaderBlock => "header_block",
            Self::Resets => "reset",
            Self::PrematureResets => "premature_reset",
            Self::FaultyStreams => "faulty_stream",
            Self::RefusedStreams => "refused_stream",
            Self::OddFrames => "odd_frame",
        }
    }
}

/// The counts of one connection, from its first byte on, the client's preface included.
#[derive(Debug)]
pub struct Meter {
    block_bytes_max: usize,
    streams_of: StreamsOf,
    received: Frames,
    sent: Frames,
    window: Window,
    streams: Streams,
    block: Block,
    /// WINDOW_UPDATE that DATA of ours has earned: those of streams, those of the connection.
    earned: [u32; 2],
    excess: Option<Excess>,
    failed: bool,
}

/// What was counted since the window began.
#[derive(Debug, Default)]
struct Window {
    began: Duration,
    pings: u32,
    settings: u32,
    priorities: u32,
    window_updates: [u32; 2],
    empty_data: u32,
    resets: u32,
    odd: u32,
}

/// What was counted since the connection began.
#[derive(Debug, Default)]
struct Streams {
    latest: u32,
    opened: u32,
    /// Whose response has not begun, in the order of their numbers, which only grow.
    unanswered: Vec<u32>,
    resets: u32,
    premature: u32,
    faulty: u32,
    refused: u32,
}

/// The block of fields that is being received.
#[derive(Debug, Default)]
struct Block {
    bytes: usize,
    continuations: u32,
}

impl Meter {
    /// For a connection whose heads have at most so many bytes (`SETTINGS_MAX_HEADER_LIST_SIZE`).
    #[must_use]
    pub fn new(head_bytes_max: usize) -> Self {
        Self {
            // An encoder of bad will makes more of a field than it is, one of good will does not.
            block_bytes_max: head_bytes_max.saturating_mul(2),
            streams_of: StreamsOf::OneClient,
            received: Frames::after_preface(),
            sent: Frames::default(),
            window: Window::default(),
            streams: Streams::default(),
            block: Block::default(),
            earned: [0; 2],
            excess: None,
            failed: false,
        }
    }

    /// The same for streams of these.
    #[must_use]
    pub fn of(self, streams_of: StreamsOf) -> Self {
        Self { streams_of, ..self }
    }

    /// Counts what came from the client, `now` after the connection began, in pieces of any size.
    pub fn received(&mut self, mut bytes: &[u8], now: Duration) {
        while let Some(frame) = self.received.next(&mut bytes) {
            if let Err(excess) = self.count_received(&frame, now) {
                self.excess.get_or_insert(excess);
            }
        }
    }

    /// Counts what was sent to the client, in pieces of any size.
    pub fn sent(&mut self, mut bytes: &[u8]) {
        while let Some(frame) = self.sent.next(&mut bytes) {
            if let Err(excess) = self.count_sent(&frame) {
                self.excess.get_or_insert(excess);
            }
        }
    }

    /// What was too much first, if anything was.
    #[must_use]
    pub fn excess(&self) -> Option<Excess> {
        self.excess
    }

    /// Whether this side has ended the connection by a GOAWAY that names an error.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed
    }

    fn count_received(&mut self, frame: &Frame, now: Duration) -> Result<(), Excess> {
        let window = self.window.at(now);
        match frame.kind {
            kind::DATA if frame.data_bytes() > 0 || frame.has(flag::END_STREAM) => Ok(()),
            kind::DATA => bounded(
                &mut window.empty_data,
                limits::H2_EMPTY_DATA_MAX,
                Excess::EmptyData,
            ),
            kind::HEADERS => {
                self.streams.open(frame.stream);
                self.block = Block::default();
                self.block.grow(frame, self.block_bytes_max)
            }
            kind::CONTINUATION => {
                let continuations = &mut self.block.continuations;
                bounded(continuations, limits::H2_CONTINUATIONS_MAX, Excess::Continuations)?;
                self.block.grow(frame, self.block_bytes_max)
            }
            kind::PRIORITY => bounded(
                &mut window.priorities,
                limits::H2_PRIORITIES_MAX,
                Excess::Priorities,
            ),
            kind::RST_STREAM if self.streams_of == StreamsOf::Many => {
                self.streams.answer(frame.stream);
                Ok(())
            }
            kind::RST_STREAM => {
                bounded(&mut window.resets, limits::H2_RESETS_MAX, Excess::Resets)?;
                self.streams.reset(frame.stream)
            }
            kind::SETTINGS => bounded(&mut window.settings, limits::H2_SETTINGS_MAX, Excess::Settings),
            kind::PING => bounded(&mut window.pings, limits::H2_PINGS_MAX, Excess::Pings),
            kind::WINDOW_UPDATE => self.count_window_update(frame.stream),
            _ => bounded(&mut window.odd, limits::H2_ODD_FRAMES_MAX, Excess::OddFrames),
        }
    }

    /// One for each DATA that it received is what a client may need; a few more are for those that open their windows
    /// at the start.
    fn count_window_update(&mut self, stream: u32) -> Result<(), Excess> {
        let (place, excess) = match stream {
            0 => (1, Excess::ConnectionWindowUpdates),
            _ => (0, Excess::StreamWindowUpdates),
        };
        if let Some(earned) = self.earned.get_mut(place).filter(|earned| **earned > 0) {
            *earned -= 1;
            return Ok(());
        }
        match self.window.window_updates.get_mut(place) {
            Some(count) => bounded(count, limits::H2_WINDOW_UPDATES_MAX, excess),
            None => Ok(()),
        }
    }

    fn count_sent(&mut self, frame: &Frame) -> Result<(), Excess> {
        match frame.kind {
            kind::DATA => {
                self.earned = self
                    .earned
                    .map(|earned| (earned + 1).min(limits::H2_WINDOW_UPDATES_EARNED_MAX));
                Ok(())
            }
            kind::HEADERS => {
                self.streams.answer(frame.stream);
                Ok(())
            }
            kind::RST_STREAM => self.streams.give_up(frame),
            kind::GOAWAY => {
                self.failed |= frame.number_at(4) != reason::NO_ERROR;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Window {
    /// The window that `now` is in.
    fn at(&mut self, now: Duration) -> &mut Self {
        if now.saturating_sub(self.began) >= limits::H2_METER_WINDOW {
            *self = Self {
                began: now,
                ..Self::default()
            };
        }
        self
    }
}

impl Streams {
    fn open(&mut self, stream: u32) {
        // HEADERS of a known stream are trailers.
        if stream <= self.latest {
            return;
        }
        self.latest = stream;
        self.opened = self.opened.saturating_add(1);
        if self.unanswered.len() >= limits::H2_UNANSWERED_MAX {
            self.unanswered.remove(0);
        }
        self.unanswered.push(stream);
    }

    /// The response has begun. Says whether it had not.
    fn answer(&mut self, stream: u32) -> bool {
        let found = self.unanswered.binary_search(&stream);
        if let Ok(place) = found {
            self.unanswered.remove(place);
        }
        found.is_ok()
    }

    /// The client gave it up. One whose responses are read now and then gives up as often as it likes.
    fn reset(&mut self, stream: u32) -> Result<(), Excess> {
        let premature = u32::from(self.answer(stream));
        self.resets = self.resets.saturating_add(1);
        self.premature = self.premature.saturating_add(premature);
        let mostly = |count: u32| count > self.opened / 2;
        if self.premature >= limits::H2_PREMATURE_RESETS_MAX && mostly(self.premature) {
            return Err(Excess::PrematureResets);
        }
        if self.resets >= limits::H2_LIFETIME_RESETS_MAX && mostly(self.resets) {
            return Err(Excess::Resets);
        }
        Ok(())
    }

    /// This side gave it up, for the reason in `frame`.
    fn give_up(&mut self, frame: &Frame) -> Result<(), Excess> {
        self.answer(frame.stream);
        match frame.number_at(0) {
            reason::PROTOCOL_ERROR
            | reason::FLOW_CONTROL_ERROR
            | reason::STREAM_CLOSED
            | reason::FRAME_SIZE_ERROR => bounded(
                &mut self.faulty,
                limits::H2_FAULTY_STREAMS_MAX,
                Excess::FaultyStreams,
            ),
            reason::REFUSED_STREAM => bounded(
                &mut self.refused,
                limits::H2_REFUSED_STREAMS_MAX,
                Excess::RefusedStreams,
            ),
            _ => Ok(()),
        }
    }
}

impl Block {
    fn grow(&mut self, frame: &Frame, bytes_max: usize) -> Result<(), Excess> {
        self.bytes = self.bytes.saturating_add(frame.length);
        if self.bytes > bytes_max {
            return Err(Excess::HeaderBlock);
        }
        Ok(())
    }
}

/// Counts one more, which is too much above `max`.
fn bounded(count: &mut u32, max: u32, excess: Excess) -> Result<(), Excess> {
    *count = count.saturating_add(1);
    if *count > max { Err(excess) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
