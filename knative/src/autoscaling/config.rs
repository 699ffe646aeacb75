//! The scaling policy for all revisions: Knative's `config-autoscaler`, typed and checked.

use std::time::Duration;

use super::keys::{ConfigError, ConfigKey};
use super::value::is_whole_seconds;
use super::{BURST_CAPACITY_UNLIMITED, Class, PANIC_WINDOW_PERCENTAGE, TARGET_MIN, WINDOW_MAX, WINDOW_MIN};

/// `config-autoscaler`. Every field is the key of the same name; [`Default`] has Knative's defaults.
///
/// Made by [`AutoscalerConfig::from_pairs`], which is what checks the values.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AutoscalerConfig {
    /// Which autoscaler acts on revisions without a class annotation. Default: the KPA.
    pub pod_autoscaler_class: Class,
    /// Whether an idle revision loses its last replica. Default true.
    pub enable_scale_to_zero: bool,
    /// Whether a revision may be created with no replica. Default false.
    pub allow_zero_initial_scale: bool,
    /// The part of a concurrency target that is aimed at, in (0, 1]. Default 0.7.
    pub container_concurrency_target_fraction: f64,
    /// Target concurrency of revisions without a limit. Default 100.
    pub container_concurrency_target_default: f64,
    /// Target requests per second of revisions scaled by these. Default 200.
    pub requests_per_second_target_default: f64,
    /// Requests of a burst that the activator buffers; [`BURST_CAPACITY_UNLIMITED`] for all. Default 211.
    pub target_burst_capacity: f64,
    /// Requests one activator handles at a time. Default 100.
    pub activator_capacity: f64,
    /// Over how long the load is averaged. Default 60 s; 6 s to 1 h, whole seconds.
    pub stable_window: Duration,
    /// The panic window in percent of the stable one. Default 10; 1 to 100.
    pub panic_window_percentage: f64,
    /// Load in percent of what the replicas can take at which panic begins. Default 200.
    pub panic_threshold_percentage: f64,
    /// The most by which one decision multiplies replicas. Default 1000; above 1.
    pub max_scale_up_rate: f64,
    /// The most by which one decision divides replicas. Default 2; above 1.
    pub max_scale_down_rate: f64,
    /// How long an inactive revision keeps its last replica at most. Default 30 s; above 0.
    pub scale_to_zero_grace_period: Duration,
    /// How long an inactive revision keeps its last replica at least. Default 0 s.
    pub scale_to_zero_pod_retention_period: Duration,
    /// How long the load must stay lower before replicas go. Default 0 s; whole seconds.
    pub scale_down_delay: Duration,
    /// Replicas of a new revision. Default 1.
    pub initial_scale: u32,
    /// Replicas a revision always keeps. Default 0.
    pub min_scale: u32,
    /// Replicas a revision never exceeds; 0 means no limit. Default 0.
    pub max_scale: u32,
    /// The most that a revision may set as its own maximum; 0 means no limit. Default 0.
    pub max_scale_limit: u32,
}

impl Default for AutoscalerConfig {
    fn default() -> Self {
        Self {
            pod_autoscaler_class: Class::Kpa,
            enable_scale_to_zero: true,
            allow_zero_initial_scale: false,
            container_concurrency_target_fraction: 0.7,
            container_concurrency_target_default: 100.0,
            requests_per_second_target_default: 200.0,
            target_burst_capacity: 211.0,
            activator_capacity: 100.0,
            stable_window: Duration::from_secs(60),
            panic_window_percentage: 10.0,
            panic_threshold_percentage: 200.0,
            max_scale_up_rate: 1000.0,
            max_scale_down_rate: 2.0,
            scale_to_zero_grace_period: Duration::from_secs(30),
            scale_to_zero_pod_retention_period: Duration::ZERO,
            scale_down_delay: Duration::ZERO,
            initial_scale: 1,
            min_scale: 0,
            max_scale: 0,
            max_scale_limit: 0,
        }
    }
}

impl AutoscalerConfig {
    /// The policy that keys and values describe, over Knative's defaults; a later pair wins over an earlier one.
    ///
    /// # Errors
    /// Every unknown key, unreadable value and value out of bounds.
    pub fn from_pairs<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut config = Self::default();
        let mut errors = Vec::new();
        for (key, value) in pairs {
            let (key, value) = (key.as_ref(), value.as_ref());
            match ConfigKey::find(key) {
                Some(known) => errors.extend(known.set(&mut config, value).err()),
                None => errors.push(ConfigError::unknown(key)),
            }
        }
        if errors.is_empty() {
            errors = config.violations();
        }
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(errors)
        }
    }

    /// Which rules of Knative's the values break.
    fn violations(&self) -> Vec<ConfigError> {
        let mut broken = Vec::new();
        let mut rule = |holds: bool, key: &'static str, rule: &str| {
            if !holds {
                broken.push(ConfigError::new(key, rule));
            }
        };
        self.check_targets(&mut rule);
        self.check_times(&mut rule);
        self.check_scales(&mut rule);
        broken
    }

    fn check_targets(&self, rule: &mut impl FnMut(bool, &'static str, &str)) {
        let fraction = self.container_concurrency_target_fraction;
        rule(
            fraction > 0.0 && fraction <= 1.0,
            "container-concurrency-target-percentage",
            "must be above 0 and at most 100",
        );
        rule(
            fraction * self.container_concurrency_target_default >= TARGET_MIN,
            "container-concurrency-target-default",
            "the target percentage of it must be at least 0.01",
        );
        rule(
            self.requests_per_second_target_default >= TARGET_MIN,
            "requests-per-second-target-default",
            "must be at least 0.01",
        );
        let burst = self.target_burst_capacity;
        rule(
            burst >= 0.0 || burst == BURST_CAPACITY_UNLIMITED,
            "target-burst-capacity",
            "must be at least 0, or -1 for unlimited",
        );
        rule(
            self.activator_capacity >= 1.0,
            "activator-capacity",
            "must be at least 1",
        );
        rule(
            self.max_scale_up_rate > 1.0,
            "max-scale-up-rate",
            "must be greater than 1",
        );
        rule(
            self.max_scale_down_rate > 1.0,
            "max-scale-down-rate",
            "must be greater than 1",
        );
    }

    fn check_times(&self, rule: &mut impl FnMut(bool, &'static str, &str)) {
        let window = self.stable_window;
        rule(
            (WINDOW_MIN..=WINDOW_MAX).contains(&window),
            "stable-window",
            "must be from 6s to 1h",
        );
        rule(
            is_whole_seconds(window),
            "stable-window",
            "must be specified with at most second precision",
        );
        rule(
            is_whole_seconds(self.scale_down_delay),
            "scale-down-delay",
            "must be specified with at most second precision",
        );
        rule(
            !self.scale_to_zero_grace_period.is_zero(),
            "scale-to-zero-grace-period",
            "must be positive",
        );
        let (least, most) = PANIC_WINDOW_PERCENTAGE;
        rule(
            (least..=most).contains(&self.panic_window_percentage),
            "panic-window-percentage",
            "must be from 1 to 100",
        );
    }

    fn check_scales(&self, rule: &mut impl FnMut(bool, &'static str, &str)) {
        rule(
            self.initial_scale > 0 || self.allow_zero_initial_scale,
            "initial-scale",
            "must be at least 1, or set allow-zero-initial-scale to true",
        );
        rule(
            self.max_scale == 0 || self.min_scale <= self.max_scale,
            "min-scale",
            "must not be greater than max-scale",
        );
        rule(
            self.max_scale_limit == 0 || (1..=self.max_scale_limit).contains(&self.max_scale),
            "max-scale",
            "must be from 1 to max-scale-limit when that is set",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoscaling::KEYS;

    fn messages(pairs: &[(&str, &str)]) -> Vec<String> {
        match AutoscalerConfig::from_pairs(pairs.iter().copied()) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn the_table_of_keys_states_the_defaults() {
        let pairs = KEYS.iter().map(|key| (key.name, key.default));
        assert_eq!(
            AutoscalerConfig::from_pairs(pairs),
            Ok(AutoscalerConfig::default())
        );
        assert_eq!(
            AutoscalerConfig::from_pairs([("", ""); 0]),
            Ok(AutoscalerConfig::default())
        );
    }

    #[test]
    fn values_are_read_into_their_fields() {
        let config = AutoscalerConfig::from_pairs([
            ("stable-window", "6s"),
            ("container-concurrency-target-percentage", "50"),
            ("target-burst-capacity", "-1"),
            ("initial-scale", "0"),
            ("allow-zero-initial-scale", "T"),
            ("max-scale", "4"),
            ("pod-autoscaler-class", "hpa.autoscaling.knative.dev"),
        ])
        .unwrap();
        assert_eq!(config.stable_window, Duration::from_secs(6));
        assert!((config.container_concurrency_target_fraction - 0.5).abs() < 1e-9);
        assert_eq!(config.target_burst_capacity, BURST_CAPACITY_UNLIMITED);
        assert_eq!((config.initial_scale, config.max_scale), (0, 4));
        assert_eq!(config.pod_autoscaler_class, Class::Hpa);
    }

    #[test]
    fn broken_rules_are_all_named() {
        for (key, value, expected) in [
            (
                "container-concurrency-target-percentage",
                "0",
                "must be above 0 and at most 100",
            ),
            (
                "container-concurrency-target-percentage",
                "101",
                "must be above 0 and at most 100",
            ),
            (
                "requests-per-second-target-default",
                "0.001",
                "must be at least 0.01",
            ),
            (
                "target-burst-capacity",
                "-2",
                "must be at least 0, or -1 for unlimited",
            ),
            ("activator-capacity", "0.5", "must be at least 1"),
            ("max-scale-up-rate", "1", "must be greater than 1"),
            ("max-scale-down-rate", "1.0", "must be greater than 1"),
            ("stable-window", "5s", "must be from 6s to 1h"),
            ("stable-window", "61m", "must be from 6s to 1h"),
            (
                "stable-window",
                "6500ms",
                "must be specified with at most second precision",
            ),
            (
                "scale-down-delay",
                "1ms",
                "must be specified with at most second precision",
            ),
            ("scale-to-zero-grace-period", "0s", "must be positive"),
            (
                "scale-to-zero-pod-retention-period",
                "-1s",
                "must not be negative",
            ),
            ("panic-window-percentage", "0.5", "must be from 1 to 100"),
            (
                "initial-scale",
                "0",
                "must be at least 1, or set allow-zero-initial-scale to true",
            ),
            (
                "max-scale-limit",
                "3",
                "must be from 1 to max-scale-limit when that is set",
            ),
        ] {
            let message = messages(&[(key, value)]).join("; ");
            assert!(message.contains(expected), "{key}={value}: {message}");
        }
        assert_eq!(
            messages(&[
                ("min-scale", "3"),
                ("max-scale", "2"),
                ("activator-capacity", "0")
            ])
            .len(),
            2
        );
    }

    #[test]
    fn unreadable_values_and_unknown_keys_say_what_was_expected() {
        assert_eq!(
            messages(&[
                ("stable-window", "60"),
                ("stable-windw", "60s"),
                ("max-scale", "-1")
            ]),
            [
                "stable-window: invalid value \"60\": missing unit: write s, m, h or ms after the number, such as 30s",
                "stable-windw: unknown key, did you mean stable-window?",
                "max-scale: invalid value \"-1\": must not be negative",
            ]
        );
    }
}
