//! What time is it for the autoscaler, which never reads a clock itself?

use std::time::Duration;

use tidegate_autoscaler::Time;
use tokio::time::Instant;

/// One origin for all revisions. Monotonic: a change of the wall clock changes nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

/// The origin lies this far back, so that windows which end "now" do not begin before it.
const HEAD_START: Duration = Duration::from_secs(3600);

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Now.
    pub(crate) fn now(self) -> Time {
        Time::after_origin(HEAD_START + self.origin.elapsed())
    }

    /// When it is `time`.
    pub(crate) fn instant(self, time: Time) -> Instant {
        self.origin + time.since_origin().saturating_sub(HEAD_START)
    }
}
