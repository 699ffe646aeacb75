//! With which share of responses does a connection end before a drain begins?

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How clients are parted with before anything is closed: HTTP/1.1 hears `connection: close` on a response, HTTP/2 GOAWAY.
/// A connection that is not used hears nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fade {
    /// They are kept.
    #[default]
    None,
    /// Every response ends its connection.
    Now,
    /// Responses end their connections with a probability that rises from none to all over this time, so that clients do not
    /// all come back at once.
    Over(Duration),
}

/// A [`Fade`] and when it began: written seldom, read for each response without a lock.
#[derive(Debug)]
pub(super) struct Fading {
    since: Instant,
    /// When it is complete, in milliseconds after `since`; [`NEVER`] while there is none.
    until_ms: AtomicU64,
    over_ms: AtomicU64,
}

impl Default for Fading {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            until_ms: AtomicU64::new(NEVER),
            over_ms: AtomicU64::new(0),
        }
    }
}

impl Fading {
    /// Takes `fade` in place of what was.
    pub(super) fn set(&self, fade: Fade) {
        let (until, over) = match fade {
            Fade::None => (NEVER, 0),
            Fade::Now => (0, 0),
            Fade::Over(over) => {
                let over = millis(over);
                (self.now_ms().saturating_add(over).min(NEVER - 1), over)
            }
        };
        // A response in between goes by a mixture of both, which is one more throw of the dice.
        self.over_ms.store(over, Ordering::Relaxed);
        self.until_ms.store(until, Ordering::Release);
    }

    /// Whether this response ends its connection; `random` is asked only where chance decides.
    pub(super) fn takes(&self, random: impl FnOnce() -> f64) -> bool {
        let until = self.until_ms.load(Ordering::Acquire);
        if until == NEVER {
            return false;
        }
        let left = until.saturating_sub(self.now_ms());
        let over = self.over_ms.load(Ordering::Relaxed);
        left == 0 || share(over.saturating_sub(left), over) > random()
    }

    fn now_ms(&self) -> u64 {
        millis(self.since.elapsed())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a probability needs no more")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_share_rises_from_none_to_all_and_can_be_taken_back() {
        let fading = Fading::default();
        assert!(!fading.takes(|| 0.0));
        fading.set(Fade::Over(Duration::from_secs(100)));
        for (seconds, random, expected) in [
            (0, 0.0, false),
            (50, 0.49, true),
            (0, 0.51, false),
            (49, 0.98, true),
            (1, 1.0, true),
        ] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(fading.takes(|| random), expected, "{seconds} {random}");
        }
        fading.set(Fade::None);
        assert!(!fading.takes(|| 0.0));
        fading.set(Fade::Now);
        assert!(fading.takes(|| 1.0));
    }
}
