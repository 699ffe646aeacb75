//! Does a request's body come fast enough? Only the time counts in which somebody waits for it.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::limits;

/// How a body has come so far. Pure: the time is passed in.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long nothing may come.
    idle: Option<Duration>,
    /// How long it may be waited for while nearly nothing comes.
    stall: Option<Duration>,
    /// When all of it must have come.
    whole: Option<Instant>,
    waiting_since: Option<Instant>,
    /// What came, and how long it was waited for, since there was last enough of it.
    came: usize,
    waited: Duration,
}

impl Pace {
    pub(super) fn new(idle: Option<Duration>, stall: Option<Duration>, whole: Option<Instant>) -> Self {
        Self {
            idle,
            stall,
            whole,
            waiting_since: None,
            came: 0,
            waited: Duration::ZERO,
        }
    }

    /// Changes how long nothing may come.
    pub(super) fn may_pause(&mut self, idle: Option<Duration>) {
        self.idle = idle;
    }

    /// Somebody waits for more.
    pub(super) fn wait(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    /// Since when somebody waits.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    /// So much has come.
    pub(super) fn came(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += now.saturating_duration_since(since);
        }
        self.came += bytes;
        if self.came >= limits::BODY_PROGRESS_BYTES_MIN {
            (self.came, self.waited) = (0, Duration::ZERO);
        }
    }

    /// When it will have been too slow, if nothing more comes. Once a response has begun, a trickle is a conversation.
    pub(super) fn deadline(&self, responding: bool) -> Option<Instant> {
        let since = self.waiting_since?;
        let idle = self.idle.map(|idle| since + idle);
        let stall = self.stall.filter(|_| !responding);
        let progress = stall.map(|stall| since + stall.saturating_sub(self.waited));
        [idle, progress, self.whole].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(300);
    const STALL: Duration = limits::STALL_TIMEOUT;
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_waiting_counts() {
        let (start, mut pace) = (Instant::now(), Pace::new(Some(IDLE), Some(STALL), None));
        assert_eq!(pace.deadline(true), None);
        pace.wait(start + SECOND);
        assert_eq!(pace.deadline(true), Some(start + SECOND + IDLE));
        pace.came(1, start + 2 * SECOND);
        assert_eq!(pace.deadline(true), None);
    }

    #[test]
    fn a_trickle_does_not_move_the_deadline_and_a_stream_does() {
        let (mut now, mut pace) = (Instant::now(), Pace::new(Some(IDLE), Some(STALL), None));
        let end = now + STALL;
        for _ in 0..5 {
            pace.wait(now);
            assert_eq!(pace.deadline(false), Some(end));
            now += SECOND;
            pace.came(1, now);
        }
        pace.came(limits::BODY_PROGRESS_BYTES_MIN, now);
        pace.wait(now);
        assert_eq!(pace.deadline(false), Some(now + STALL));
    }

    #[test]
    fn all_of_it_has_a_deadline_of_its_own() {
        let now = Instant::now();
        let mut pace = Pace::new(None, Some(STALL), Some(now + SECOND));
        pace.wait(now);
        assert_eq!(pace.deadline(false), Some(now + SECOND));
    }
}
