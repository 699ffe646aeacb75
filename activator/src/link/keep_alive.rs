//! Is the autoscaler still there? Pure: time is passed in.

use std::time::Instant;

use crate::limits::LINK_PONG_TIMEOUT;

/// When the last ping was answered; nothing else that the peer sends counts.
#[derive(Debug)]
pub(super) struct KeepAlive {
    answered: Instant,
}

impl KeepAlive {
    /// Connecting counts as an answer.
    pub(super) fn new(now: Instant) -> Self {
        Self { answered: now }
    }

    pub(super) fn answered(&mut self, now: Instant) {
        self.answered = now;
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.answered) >= LINK_PONG_TIMEOUT
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_over_when_no_ping_was_answered_for_too_long() {
        let begin = Instant::now();
        let mut alive = KeepAlive::new(begin);
        let almost = LINK_PONG_TIMEOUT - Duration::from_millis(1);
        assert!(!alive.is_over(begin + almost));
        alive.answered(begin + almost);
        assert!(!alive.is_over(begin + LINK_PONG_TIMEOUT));
        assert!(alive.is_over(begin + almost + LINK_PONG_TIMEOUT));
    }
}
