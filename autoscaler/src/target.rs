//! How much load should one replica carry?

use tidegate_knative::autoscaling::{AutoscalerConfig, Metric, ScaleAnnotations, TARGET_MIN};

use crate::limits::RPS_UTILIZATION;

/// The load that one replica of a revision is meant to carry, in the unit of its metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// What replicas are counted by: the part of `total` that is aimed at. At least 0.01.
    pub aimed: f64,
    /// What a replica can take at most; the measure of its capacity for bursts.
    pub total: f64,
}

impl Target {
    /// The target of a revision with this configuration. A `container_concurrency` of 0 means no limit.
    ///
    /// The annotation `target` replaces the total of the configuration, but cannot exceed a limit of concurrency;
    /// `target-utilization-percentage` replaces the part of it that is aimed at.
    pub fn resolve(
        config: &AutoscalerConfig,
        annotations: &ScaleAnnotations,
        container_concurrency: u32,
    ) -> Self {
        let limit = match (&annotations.metric, container_concurrency) {
            (Some(Metric::Rps), _) | (_, 0) => None,
            (_, limit) => Some(f64::from(limit)),
        };
        let (default_total, default_part) = match annotations.metric {
            Some(Metric::Rps) => (config.requests_per_second_target_default, RPS_UTILIZATION),
            _ => (
                limit.unwrap_or(config.container_concurrency_target_default),
                config.container_concurrency_target_fraction,
            ),
        };
        let total = annotations
            .target
            .map_or(default_total, |target| target.min(limit.unwrap_or(f64::MAX)));
        let part = annotations
            .target_utilization_percentage
            .map_or(default_part, |percent| percent / 100.0);
        Self {
            aimed: (total * part).max(TARGET_MIN),
            total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AS-20: `(annotations, container concurrency)` under a concurrency part of `part`, and aimed/total.
    fn check(part: f64, annotations: &ScaleAnnotations, container_concurrency: u32, expected: (f64, f64)) {
        let mut config = AutoscalerConfig::default();
        config.container_concurrency_target_fraction = part;
        let Target { aimed, total } = Target::resolve(&config, annotations, container_concurrency);
        assert!(
            (aimed - expected.0).abs() < 1e-9 && total == expected.1,
            "{annotations:?} with {container_concurrency}: {aimed}/{total}, not {expected:?}"
        );
    }

    fn annotations(metric: Option<Metric>, target: Option<f64>, percent: Option<f64>) -> ScaleAnnotations {
        let mut annotations = ScaleAnnotations::default();
        annotations.metric = metric;
        annotations.target = target;
        annotations.target_utilization_percentage = percent;
        annotations
    }

    #[test]
    fn as_20_targets_of_concurrency() {
        check(1.0, &annotations(None, None, None), 0, (100.0, 100.0));
        check(0.8, &annotations(None, None, None), 0, (80.0, 100.0));
        check(1.0, &annotations(None, None, Some(75.0)), 12, (9.0, 12.0));
        check(0.8, &annotations(None, None, None), 1, (0.8, 1.0));
        check(1.0, &annotations(None, Some(1.0), Some(0.1)), 0, (0.01, 1.0));
        check(1.0, &annotations(None, Some(1.0), None), 10, (1.0, 1.0));
        check(
            1.0,
            &annotations(Some(Metric::Concurrency), Some(500.0), None),
            0,
            (500.0, 500.0),
        );
        check(1.0, &annotations(None, Some(10.0), None), 1, (1.0, 1.0));
    }

    #[test]
    fn as_20_targets_of_requests_per_second() {
        let rps = |target, percent| annotations(Some(Metric::Rps), target, percent);
        check(1.0, &rps(None, None), 0, (140.0, 200.0));
        check(1.0, &rps(Some(1.0), None), 0, (0.7, 1.0));
        check(1.0, &rps(None, Some(75.0)), 0, (150.0, 200.0));
        check(1.0, &rps(Some(300.0), None), 1, (210.0, 300.0));
    }
}
