//! How long until the next try to connect? Pure but for the dice.

use std::time::Duration;

use crate::limits::{LINK_BACKOFF, LINK_BACKOFF_FACTOR, LINK_BACKOFF_STEPS};

/// The pauses between tries that fail (Knative `pkg:websocket/connection.go`).
#[derive(Debug)]
pub(super) struct Backoff {
    pause: Duration,
    steps: u32,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self {
            pause: LINK_BACKOFF,
            steps: 0,
        }
    }

    /// Each pause is longer than the one before, by a factor and up to half as much again by chance, so that activators
    /// do not come back all at once; after the longest it begins anew.
    pub(super) fn next(&mut self) -> Duration {
        if self.steps == LINK_BACKOFF_STEPS {
            *self = Self::new();
        }
        let pause = self.pause;
        self.pause = pause.mul_f64(LINK_BACKOFF_FACTOR);
        self.steps += 1;
        pause.mul_f64(1.0 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_begin_anew() {
        let mut backoff = Backoff::new();
        let mut expected = LINK_BACKOFF;
        for step in 0..LINK_BACKOFF_STEPS {
            let pause = backoff.next();
            assert!(
                pause >= expected && pause <= expected.mul_f64(1.5),
                "step {step}: {pause:?}"
            );
            expected = expected.mul_f64(LINK_BACKOFF_FACTOR);
        }
        assert!(backoff.next() <= LINK_BACKOFF.mul_f64(1.5));
    }
}
