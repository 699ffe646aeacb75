//! How an endpoint that has just come gets its share little by little.

use std::time::Duration;

/// The share of an endpoint grows from the time it became available (was added, or passed its first check).
///
/// Envoy's formula: `max(least, (age / window) ^ (1 / aggression))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowStart {
    /// How long it takes to the full share.
    pub window: Duration,
    /// 1 grows evenly; more grows faster at first, less later. Default: 1.
    pub aggression: f64,
    /// The share to begin with, in percent. Default: 10.
    pub weight_percent_min: f64,
}

impl SlowStart {
    /// Even growth over `window`, from a tenth.
    #[must_use]
    pub fn over(window: Duration) -> Self {
        Self {
            window,
            aggression: 1.0,
            weight_percent_min: 10.0,
        }
    }

    /// What part of its weight counts for an endpoint of this age: 1 when it has arrived.
    pub(crate) fn factor(&self, age: Duration) -> f64 {
        if age >= self.window {
            return 1.0;
        }
        // As Envoy: whatever is younger than a second is a second old.
        let age = age.max(Duration::from_secs(1)).as_secs_f64();
        let part = (age / self.window.as_secs_f64()).min(1.0);
        let grown = if self.aggression == 1.0 || self.aggression <= 0.0 {
            part
        } else {
            part.powf(self.aggression.recip())
        };
        grown.max(self.weight_percent_min.clamp(0.0, 100.0) / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_with_age() {
        let even = SlowStart::over(Duration::from_secs(60));
        let check = |settings: SlowStart, age: u64, expected: f64| {
            let factor = settings.factor(Duration::from_secs(age));
            assert!((factor - expected).abs() < 0.001, "{age}: {factor}");
        };
        check(even, 0, 0.1);
        check(even, 30, 0.5);
        check(even, 60, 1.0);
        let eager = SlowStart {
            aggression: 2.0,
            ..even
        };
        check(eager, 15, 0.5);
        check(SlowStart::over(Duration::ZERO), 0, 1.0);
    }
}
