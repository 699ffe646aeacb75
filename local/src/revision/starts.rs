//! When a replica that failed to start is tried again, and when waiting for it is pointless.

use std::time::Duration;

use crate::limits::{START_BACKOFF_FIRST, START_BACKOFF_MAX, START_FAILURES_MAX};
use crate::replica::LaunchError;

/// The starts of one revision that failed in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Starts {
    failures: u32,
}

/// What follows from a failed start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may have been bad luck: requests wait on, the next start comes after this time.
    Retry(Duration),
    /// It plainly does not come up: requests are refused until the next start, after this time.
    GiveUp(Duration),
}

/// How sure a failure is to repeat itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// Another start may go better.
    Perhaps,
    /// Nothing but a change of the revision mends it.
    Surely,
}

/// A start that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// What happened and what to look at, in a sentence without its end.
    pub(crate) message: String,
    pub(crate) repeats: Repeats,
}

impl Failed {
    /// Another start may go better.
    pub(crate) fn perhaps(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            repeats: Repeats::Perhaps,
        }
    }

    /// Every start will fail like this.
    pub(crate) fn surely(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            repeats: Repeats::Surely,
        }
    }

    /// A process that the system did not start.
    pub(crate) fn to_launch(error: &LaunchError) -> Self {
        match error {
            LaunchError::BeingWritten(_) | LaunchError::AlreadyGone | LaunchError::Refused { .. } => {
                Self::perhaps(error.to_string())
            }
            _ => Self::surely(error.to_string()),
        }
    }
}

impl Starts {
    /// Counts a failed start.
    pub(crate) fn failed(&mut self, repeats: Repeats) -> Verdict {
        self.failures = match repeats {
            Repeats::Perhaps => self.failures.saturating_add(1),
            Repeats::Surely => self.failures.saturating_add(1).max(START_FAILURES_MAX),
        };
        let doubled = START_BACKOFF_FIRST.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
        let pause = doubled.min(START_BACKOFF_MAX);
        if self.failures >= START_FAILURES_MAX {
            Verdict::GiveUp(pause)
        } else {
            Verdict::Retry(pause)
        }
    }

    /// A replica became ready: whatever failed before is past.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_failure_in_a_row_gives_up_and_pauses_grow_to_their_bound() {
        let mut starts = Starts::default();
        let verdicts: Vec<_> = (0..12).map(|_| starts.failed(Repeats::Perhaps)).collect();
        assert_eq!(verdicts[0], Verdict::Retry(START_BACKOFF_FIRST));
        assert_eq!(verdicts[1], Verdict::Retry(START_BACKOFF_FIRST * 2));
        assert_eq!(verdicts[2], Verdict::GiveUp(START_BACKOFF_FIRST * 4));
        assert_eq!(verdicts[11], Verdict::GiveUp(START_BACKOFF_MAX));
    }

    #[test]
    fn a_success_forgives() {
        let mut starts = Starts::default();
        starts.failed(Repeats::Perhaps);
        starts.failed(Repeats::Perhaps);
        starts.succeeded();
        assert_eq!(
            starts.failed(Repeats::Perhaps),
            Verdict::Retry(START_BACKOFF_FIRST)
        );
    }

    #[test]
    fn a_failure_that_is_sure_to_repeat_gives_up_at_once() {
        assert!(matches!(
            Starts::default().failed(Repeats::Surely),
            Verdict::GiveUp(_)
        ));
    }
}
