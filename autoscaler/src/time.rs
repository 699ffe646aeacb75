//! What is a moment for code that never reads a clock?

use std::time::Duration;

/// A moment: the time since an origin that the caller chose once (the start of the process, the Unix epoch).
///
/// Nothing here reads a clock, so the same sequence of calls always gives the same answers. Feed it from a
/// monotonic clock; a moment that lies before an earlier one is tolerated, never a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(Duration);

impl Time {
    /// The origin itself.
    pub const ORIGIN: Self = Self(Duration::ZERO);

    /// The moment `elapsed` after the origin.
    pub const fn after_origin(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The moment `seconds` after the origin.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Time since the origin.
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// Time since `earlier`; zero if `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `delay` later, or the last moment there is.
    pub const fn plus(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }

    /// Number of whole `width`s since the origin: the index of the slot that this moment falls into. A width
    /// of zero counts as one nanosecond.
    pub(crate) fn slot(self, width: Duration) -> u64 {
        let slot = self.0.as_nanos() / width.as_nanos().max(1);
        u64::try_from(slot).unwrap_or(u64::MAX)
    }
}
