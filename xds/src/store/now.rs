//! What time it is, as the store is told.

use std::time::{Instant, SystemTime};

/// One moment by both clocks: deadlines go by the one, what people read by the other.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For deadlines.
    pub at: Instant,
    /// For people.
    pub wall: SystemTime,
}

impl Now {
    /// This moment.
    #[must_use]
    pub fn read() -> Self {
        Self {
            at: Instant::now(),
            wall: SystemTime::now(),
        }
    }
}
