//! When are instruments sent to a collector, and what if it does not take them?

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval_at, timeout};

use super::Instruments;
use crate::config::limits;
use crate::drain::Watch;
use crate::observe::trace::Collector;

/// Sends all numbers of a program, again and again.
#[derive(Debug)]
pub struct Pusher {
    instruments: Arc<Instruments>,
    collector: Collector,
    interval: Duration,
}

impl Pusher {
    /// Sends `instruments` to `collector` each `interval`; zero is taken for [`limits::METRICS_PUSH_INTERVAL`], and less than
    /// [`limits::METRICS_PUSH_INTERVAL_MIN`] for that.
    #[must_use]
    pub fn new(instruments: Arc<Instruments>, collector: Collector, interval: Duration) -> Self {
        let interval = if interval.is_zero() {
            limits::METRICS_PUSH_INTERVAL
        } else {
            interval.max(limits::METRICS_PUSH_INTERVAL_MIN)
        };
        Self {
            instruments,
            collector: collector.of_metrics(),
            interval,
        }
    }

    /// Sends until the drain is over, and then once more: a process should wait for that, it takes at most
    /// [`limits::SPAN_FLUSH_TIMEOUT`]. What a collector does not take is part of what it is sent next.
    pub async fn run(self, drain: Watch) {
        let mut forced = drain.forced();
        let mut ticks = interval_at(tokio::time::Instant::now() + self.interval, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = &mut forced => break,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                biased;
                // What was under way is part of what is sent last.
                () = &mut forced => break,
                () = self.push(self.collector.timeout) => {}
            }
        }
        self.push(limits::SPAN_FLUSH_TIMEOUT).await;
    }

    async fn push(&self, at_most: Duration) {
        let message = self.instruments.export();
        match timeout(at_most, self.collector.send(&message)).await {
            Ok(outcome) if outcome.is_taken() => {}
            Ok(_) | Err(_) => {
                tracing::debug!(collector = %self.collector, "the collector does not take metrics");
            }
        }
    }
}
