//! What did a request wait for? The receipt on its response.

use std::{
    fmt,
    time::{Duration, Instant},
};

use tidegate_proxy::upstream::Timing;

use crate::{names, throttle::Timeline};

/// The phases of one request that waited. They do not overlap, and the first three make up its wait, whatever its
/// replica did before it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Receipt {
    /// From the arrival until the replica was launched, and from its readiness until it had a free slot.
    pub queue: Duration,
    /// From the launch until the replica listened.
    pub start: Duration,
    /// From then until its probe succeeded.
    pub ready: Duration,
    /// Until there was a connection to the replica.
    pub connect: Duration,
    /// From then until the head of its response.
    pub app: Duration,
}

impl Receipt {
    /// The receipt of a request that was received and later sent to the replica with this timeline.
    #[must_use]
    pub fn new(received: Instant, sent: Instant, replica: Timeline, timing: Timing) -> Self {
        let sent = sent.max(received);
        let launched = replica.launched.clamp(received, sent);
        let listening = replica.listening.clamp(launched, sent);
        let ready = replica.ready.clamp(listening, sent);
        Self {
            queue: (launched - received) + (sent - ready),
            start: listening - launched,
            ready: ready - listening,
            connect: timing.connect,
            app: timing.first_byte,
        }
    }

    /// How long the request waited before it was sent.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.queue + self.start + self.ready
    }
}

/// The value of `Server-Timing`: milliseconds with three decimals.
impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phases = [
            (names::PHASE_QUEUE, self.queue),
            (names::PHASE_START, self.start),
            (names::PHASE_READY, self.ready),
            (names::PHASE_CONNECT, self.connect),
            (names::PHASE_APP, self.app),
        ];
        for (index, (name, phase)) in phases.into_iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{name};dur={:.3}", phase.as_secs_f64() * 1e3)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times in milliseconds: arrival, then launched, listening, ready, then sent; expected queue, start, ready.
    fn check([received, launched, listening, ready, sent]: [u64; 5], expected: [u64; 3]) {
        let origin = Instant::now();
        let at = |ms| origin + Duration::from_millis(ms);
        let replica = Timeline {
            launched: at(launched),
            listening: at(listening),
            ready: at(ready),
        };
        let receipt = Receipt::new(at(received), at(sent), replica, Timing::default());
        let phases = [receipt.queue, receipt.start, receipt.ready].map(|phase| phase.as_millis());
        assert_eq!(
            phases,
            expected.map(u128::from),
            "{received} {launched} {listening} {ready} {sent}"
        );
        assert_eq!(
            receipt.waited(),
            Duration::from_millis(sent.saturating_sub(received))
        );
    }

    #[test]
    fn phases_are_the_replicas_clipped_to_the_requests_own_wait() {
        // The request whose arrival launched the replica.
        check([0, 5, 105, 110, 110], [5, 100, 5]);
        // It was launched, listening, or ready already when the request came.
        check([50, 5, 105, 110, 110], [0, 55, 5]);
        check([107, 5, 105, 110, 110], [0, 0, 3]);
        check([200, 5, 105, 110, 260], [60, 0, 0]);
        // It was ready, but others went first.
        check([0, 5, 105, 110, 400], [295, 100, 5]);
        // Stamps that are out of order, or later than the request was sent.
        check([0, 20, 10, 5, 30], [30, 0, 0]);
        check([0, 5, 105, 500, 110], [5, 100, 5]);
        check([100, 5, 105, 110, 90], [0, 0, 0]);
    }

    #[test]
    fn it_reads_as_a_server_timing_value() {
        let [queue, start, ready, connect, app] = [1_500, 812_345, 20_000, 86, 0].map(Duration::from_micros);
        let receipt = Receipt {
            queue,
            start,
            ready,
            connect,
            app,
        };
        assert_eq!(
            receipt.to_string(),
            "queue;dur=1.500, start;dur=812.345, ready;dur=20.000, connect;dur=0.086, app;dur=0.000"
        );
    }
}
