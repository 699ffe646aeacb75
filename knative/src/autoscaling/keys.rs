//! Which keys `config-autoscaler` has, their defaults in text, and what each does.

use thiserror::Error;

use super::annotations::Class;
use super::config::AutoscalerConfig;
use super::value::{boolean, duration, float, integer};
use crate::suggest;

/// One key of `config-autoscaler`; on a command line it is the flag of the same name.
#[derive(Debug, Clone, Copy)]
pub struct ConfigKey {
    /// The key, such as `stable-window`.
    pub name: &'static str,
    /// Knative's default, as one would write it.
    pub default: &'static str,
    /// One line that says what the value does.
    pub help: &'static str,
    read: fn(&mut AutoscalerConfig, &str) -> Result<(), String>,
}

/// Why a key or its value is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{key}: {message}")]
pub struct ConfigError {
    /// The key, as it was given.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl ConfigError {
    pub(super) fn new(key: &str, message: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            message: message.into(),
        }
    }

    pub(super) fn unknown(key: &str) -> Self {
        let names = KEYS.iter().map(|known| known.name);
        Self::new(key, format!("unknown key, {}", suggest::among(key, names)))
    }
}

impl ConfigKey {
    /// The key with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Reads `value` into its field of `config`.
    pub(super) fn set(&self, config: &mut AutoscalerConfig, value: &str) -> Result<(), ConfigError> {
        (self.read)(config, value)
            .map_err(|message| ConfigError::new(self.name, format!("invalid value {value:?}: {message}")))
    }
}

/// A row of [`KEYS`]: key, default, help, field and how its value is read.
macro_rules! key {
    ($name:literal, $default:literal, $field:ident by $read:expr, $help:literal) => {
        ConfigKey {
            name: $name,
            default: $default,
            help: $help,
            read: |config, text| {
                config.$field = $read(text)?;
                Ok(())
            },
        }
    };
}

/// Every key of `config-autoscaler`, in the order Knative documents them.
pub const KEYS: [ConfigKey; 20] = [
    key!("pod-autoscaler-class", "kpa.autoscaling.knative.dev", pod_autoscaler_class by class,
        "which autoscaler acts on revisions without a class annotation"),
    key!("enable-scale-to-zero", "true", enable_scale_to_zero by boolean,
        "whether an idle revision loses its last replica"),
    key!("allow-zero-initial-scale", "false", allow_zero_initial_scale by boolean,
        "whether a revision may start with no replica"),
    key!("container-concurrency-target-percentage", "70", container_concurrency_target_fraction by fraction,
        "the percentage of a concurrency target that is aimed at"),
    key!("container-concurrency-target-default", "100", container_concurrency_target_default by float,
        "target concurrency of revisions without a limit"),
    key!("requests-per-second-target-default", "200", requests_per_second_target_default by float,
        "target requests per second of revisions scaled by these"),
    key!("target-burst-capacity", "211", target_burst_capacity by float,
        "how large a burst is buffered; -1 for any"),
    key!("activator-capacity", "100", activator_capacity by float,
        "requests that one activator handles at a time"),
    key!("stable-window", "60s", stable_window by duration,
        "over how long load is averaged, from 6s to 1h"),
    key!("panic-window-percentage", "10", panic_window_percentage by float,
        "length of the panic window in percent of the stable window"),
    key!("panic-threshold-percentage", "200", panic_threshold_percentage by float,
        "load in percent of capacity at which panic begins"),
    key!("max-scale-up-rate", "1000", max_scale_up_rate by float,
        "the most by which one decision multiplies replicas"),
    key!("max-scale-down-rate", "2", max_scale_down_rate by float,
        "the most by which one decision divides replicas"),
    key!("scale-to-zero-grace-period", "30s", scale_to_zero_grace_period by duration,
        "how long an inactive revision keeps its last replica at most"),
    key!("scale-to-zero-pod-retention-period", "0s", scale_to_zero_pod_retention_period by duration,
        "how long an inactive revision keeps its last replica at least"),
    key!("scale-down-delay", "0s", scale_down_delay by duration,
        "how long load must stay lower before replicas go"),
    key!("initial-scale", "1", initial_scale by scale,
        "replicas of a new revision"),
    key!("min-scale", "0", min_scale by scale,
        "replicas that a revision always keeps"),
    key!("max-scale", "0", max_scale by scale,
        "replicas that a revision never exceeds; 0 for no limit"),
    key!("max-scale-limit", "0", max_scale_limit by scale,
        "the highest max-scale a revision may ask for; 0 for no limit"),
];

fn class(text: &str) -> Result<Class, String> {
    Ok(Class::from(text))
}

fn scale(text: &str) -> Result<u32, String> {
    u32::try_from(integer(text)?).map_err(|_| "must not be negative".to_owned())
}

/// Values above 1 are percent, others fractions already (Knative's legacy rule).
fn fraction(text: &str) -> Result<f64, String> {
    let value = float(text)?;
    Ok(if value > 1.0 { value / 100.0 } else { value })
}
