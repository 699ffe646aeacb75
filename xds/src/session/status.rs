//! What operators may see of sessions: counters and gauges, which several sessions may share.

use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh64::xxh64;

use crate::resource::Kind;

/// A number that grows, or goes up and down. Whoever reads it sees it as it was some time ago.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

/// All sessions of a program.
#[derive(Debug, Default)]
pub struct Status {
    /// How many streams are open (`control_plane.connected_state`).
    pub connected: Number,
    /// How many requests wait for the rate limit (`control_plane.pending_requests`).
    pub pending_requests: Number,
    /// How often the rate limit made a request wait (`control_plane.rate_limit_enforced`).
    pub rate_limit_enforced: Number,
    /// Responses of a type that nobody asked for.
    pub unknown_types: Number,
    kinds: [KindStatus; Kind::ALL.len()],
}

/// One kind of resources.
#[derive(Debug, Default)]
pub struct KindStatus {
    /// Responses that came, and streams that failed.
    pub update_attempt: Number,
    /// Responses in force.
    pub update_success: Number,
    /// Streams that failed.
    pub update_failure: Number,
    /// Responses that were refused.
    pub update_rejected: Number,
    /// How often the first resources did not come in time.
    pub init_fetch_timeout: Number,
    /// The hash (XXH64) of the version that was last accepted; 0 before the first.
    pub version: Number,
    /// Responses that brought no resource, and said that those before live on.
    pub heartbeats: Number,
}

impl Number {
    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Changes one session's part of a gauge that several share.
    pub(super) fn change(&self, from: u64, to: u64) {
        self.0.fetch_add(to.wrapping_sub(from), Ordering::Relaxed);
    }
}

impl Status {
    /// One kind.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "there is one for each kind")]
    pub fn of(&self, kind: Kind) -> &KindStatus {
        &self.kinds[kind as usize]
    }
}

impl KindStatus {
    pub(crate) fn accepted(&self, version: &str) {
        self.update_success.increment();
        let hash = xxh64(version.as_bytes(), 0);
        self.version.0.store(hash, Ordering::Relaxed);
    }
}
