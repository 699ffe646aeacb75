//! What the checks of one endpoint so far say about it: pure.

use std::time::Duration;

use super::HealthCheck;

/// What one check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The endpoint is fine.
    Healthy,
    /// It says that it serves, but worse than others.
    Degraded,
    /// It says that it is not.
    Unhealthy,
    /// There was no answer to go by.
    Failed,
}

/// What a check changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    BecameHealthy,
    BecameUnhealthy,
}

/// The checks of one endpoint, which is unhealthy until one has succeeded.
#[derive(Debug, Default)]
pub(crate) struct Course {
    checked: bool,
    healthy: bool,
    failures: u32,
    successes: u32,
}

impl Course {
    /// Takes note of a check.
    pub(crate) fn note(&mut self, finding: Finding, settings: &HealthCheck) -> Change {
        let first = !std::mem::replace(&mut self.checked, true);
        match finding {
            Finding::Healthy | Finding::Degraded => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                if !self.healthy && (first || self.successes >= settings.successes_min) {
                    self.healthy = true;
                    return Change::BecameHealthy;
                }
            }
            Finding::Unhealthy | Finding::Failed => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                let enough = finding == Finding::Unhealthy || self.failures >= settings.failures_max;
                if self.healthy && enough {
                    self.healthy = false;
                    return Change::BecameUnhealthy;
                }
            }
        }
        Change::None
    }

    /// How long until the next check; `random` is from 0 to 1.
    pub(crate) fn pause(&self, settings: &HealthCheck, random: f64) -> Duration {
        let interval = if self.healthy {
            settings.interval
        } else {
            settings.unhealthy_interval
        };
        interval + interval.mul_f64(random.clamp(0.0, 1.0) * f64::from(settings.jitter_percent) / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HttpProbe, Probe};
    use super::Change::{BecameHealthy, BecameUnhealthy, None};
    use super::Finding::{Degraded, Failed, Healthy, Unhealthy};
    use super::*;

    fn settings() -> HealthCheck {
        HealthCheck::new(Probe::Http(HttpProbe::get("/")))
    }

    fn check(findings: &[Finding], expected: &[Change]) {
        let mut course = Course::default();
        let changes: Vec<_> = findings
            .iter()
            .map(|finding| course.note(*finding, &settings()))
            .collect();
        assert_eq!(changes, expected, "{findings:?}");
    }

    #[test]
    fn the_first_success_suffices_and_after_a_failure_two_do() {
        check(&[Healthy, Healthy], &[BecameHealthy, None]);
        check(&[Degraded], &[BecameHealthy]);
        check(&[Failed, Healthy, Healthy], &[None, None, BecameHealthy]);
        check(
            &[Failed, Healthy, Failed, Healthy, Healthy],
            &[None, None, None, None, BecameHealthy],
        );
    }

    #[test]
    fn three_failures_in_a_row_are_too_many_and_one_refusal() {
        check(
            &[Healthy, Failed, Failed, Failed],
            &[BecameHealthy, None, None, BecameUnhealthy],
        );
        check(
            &[Healthy, Failed, Failed, Healthy, Failed],
            &[BecameHealthy, None, None, None, None],
        );
        check(
            &[Healthy, Unhealthy, Unhealthy],
            &[BecameHealthy, BecameUnhealthy, None],
        );
    }

    #[test]
    fn pauses_depend_on_health_and_chance() {
        let settings = HealthCheck {
            interval: Duration::from_secs(10),
            unhealthy_interval: Duration::from_secs(60),
            ..settings()
        };
        let mut course = Course::default();
        assert_eq!(course.pause(&settings, 0.0), Duration::from_secs(60));
        course.note(Healthy, &settings);
        assert_eq!(course.pause(&settings, 0.5), Duration::from_millis(10_500));
    }
}
