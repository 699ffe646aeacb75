//! The scaling policy of one revision: `autoscaling.knative.dev/…` annotations of its template.

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use super::config::AutoscalerConfig;
use super::value::{duration, float, integer, is_whole_seconds};
use super::{
    BURST_CAPACITY_UNLIMITED, PANIC_THRESHOLD_PERCENTAGE, PANIC_WINDOW_PERCENTAGE, TARGET_MIN, WINDOW_MAX,
    WINDOW_MIN,
};
use crate::go_duration;
use crate::names::keys::first_present;

const CLASS: [&str; 1] = ["autoscaling.knative.dev/class"];
const METRIC: [&str; 1] = ["autoscaling.knative.dev/metric"];
const TARGET: [&str; 1] = ["autoscaling.knative.dev/target"];
const TARGET_UTILIZATION: [&str; 2] = [
    "autoscaling.knative.dev/target-utilization-percentage",
    "autoscaling.knative.dev/targetUtilizationPercentage",
];
const TARGET_BURST_CAPACITY: [&str; 2] = [
    "autoscaling.knative.dev/target-burst-capacity",
    "autoscaling.knative.dev/targetBurstCapacity",
];
const MIN_SCALE: [&str; 2] = [
    "autoscaling.knative.dev/min-scale",
    "autoscaling.knative.dev/minScale",
];
const MAX_SCALE: [&str; 2] = [
    "autoscaling.knative.dev/max-scale",
    "autoscaling.knative.dev/maxScale",
];
const INITIAL_SCALE: [&str; 2] = [
    "autoscaling.knative.dev/initial-scale",
    "autoscaling.knative.dev/initialScale",
];
const ACTIVATION_SCALE: [&str; 1] = ["autoscaling.knative.dev/activation-scale"];
const SCALE_DOWN_DELAY: [&str; 2] = [
    "autoscaling.knative.dev/scale-down-delay",
    "autoscaling.knative.dev/scaleDownDelay",
];
const RETENTION: [&str; 2] = [
    "autoscaling.knative.dev/scale-to-zero-pod-retention-period",
    "autoscaling.knative.dev/scaleToZeroPodRetentionPeriod",
];
const WINDOW: [&str; 1] = ["autoscaling.knative.dev/window"];
const PANIC_WINDOW: [&str; 2] = [
    "autoscaling.knative.dev/panic-window-percentage",
    "autoscaling.knative.dev/panicWindowPercentage",
];
const PANIC_THRESHOLD: [&str; 2] = [
    "autoscaling.knative.dev/panic-threshold-percentage",
    "autoscaling.knative.dev/panicThresholdPercentage",
];
const AGGREGATION: [&str; 2] = [
    "autoscaling.knative.dev/metric-aggregation-algorithm",
    "autoscaling.knative.dev/metricAggregationAlgorithm",
];

/// Which autoscaler acts on a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// `kpa.autoscaling.knative.dev`: Knative's own, by concurrency or requests per second.
    Kpa,
    /// `hpa.autoscaling.knative.dev`: Kubernetes' own.
    Hpa,
    /// Somebody else's.
    Other(String),
}

impl From<&str> for Class {
    fn from(text: &str) -> Self {
        match text {
            "kpa.autoscaling.knative.dev" => Self::Kpa,
            "hpa.autoscaling.knative.dev" => Self::Hpa,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// What load is measured by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metric {
    /// Requests at a time.
    Concurrency,
    /// Requests per second.
    Rps,
    /// Something that only another class of autoscaler knows, such as `cpu`.
    Other(String),
}

/// How the buckets of a window are averaged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Aggregation {
    /// All alike.
    #[default]
    Linear,
    /// Newer ones count more.
    WeightedExponential,
}

/// Why an annotation is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{key}: {message}")]
pub struct AnnotationError {
    /// The annotation, in the spelling that was used.
    pub key: &'static str,
    /// What is wrong, in the words of Knative's webhook.
    pub message: String,
}

/// What a revision says about its own scaling; what it leaves out comes from [`AutoscalerConfig`].
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ScaleAnnotations {
    /// Which autoscaler acts.
    pub class: Option<Class>,
    /// What load is measured by. Default for the KPA: concurrency.
    pub metric: Option<Metric>,
    /// Target per replica, at least 0.01.
    pub target: Option<f64>,
    /// Percent of the target that is aimed at, 1 to 100.
    pub target_utilization_percentage: Option<f64>,
    /// At least 0, or [`BURST_CAPACITY_UNLIMITED`].
    pub target_burst_capacity: Option<f64>,
    /// Replicas always kept.
    pub min_scale: Option<u32>,
    /// Replicas never exceeded; 0 means no limit.
    pub max_scale: Option<u32>,
    /// Replicas when the revision is new.
    pub initial_scale: Option<u32>,
    /// Replicas when the revision wakes from zero, at least 2.
    pub activation_scale: Option<u32>,
    /// How long load must stay lower before replicas go; at most 1 h, whole seconds.
    pub scale_down_delay: Option<Duration>,
    /// How long the last replica stays at least; at most 1 h.
    pub scale_to_zero_pod_retention_period: Option<Duration>,
    /// The stable window; 6 s to 1 h, whole seconds.
    pub window: Option<Duration>,
    /// The panic window in percent of the stable one, 1 to 100.
    pub panic_window_percentage: Option<f64>,
    /// Load in percent of capacity at which panic begins, 110 to 1000.
    pub panic_threshold_percentage: Option<f64>,
    /// How buckets are averaged.
    pub aggregation: Option<Aggregation>,
}

impl ScaleAnnotations {
    /// Reads the autoscaling annotations of a template; other annotations are left alone.
    ///
    /// # Errors
    /// Every annotation that Knative's webhook refuses under this configuration.
    pub fn parse(
        annotations: &BTreeMap<String, String>,
        config: &AutoscalerConfig,
    ) -> Result<Self, Vec<AnnotationError>> {
        let mut reader = Reader {
            annotations,
            errors: Vec::new(),
        };
        let scale = reader.all();
        reader.check_scales(&scale, config);
        if reader.errors.is_empty() {
            Ok(scale)
        } else {
            Err(reader.errors)
        }
    }
}

/// Reads annotations one by one and gathers what is wrong with them.
struct Reader<'a> {
    annotations: &'a BTreeMap<String, String>,
    errors: Vec<AnnotationError>,
}

impl Reader<'_> {
    fn all(&mut self) -> ScaleAnnotations {
        let class = self.read(&CLASS, class);
        let is_explicit_kpa = class == Some(Class::Kpa);
        let metric_class = class.clone().unwrap_or(Class::Kpa);
        ScaleAnnotations {
            metric: self.read(&METRIC, |text| metric(text, &metric_class)),
            target: self.read(&TARGET, target),
            target_utilization_percentage: self
                .read(&TARGET_UTILIZATION, |text| float_within(text, (1.0, 100.0))),
            target_burst_capacity: self.read(&TARGET_BURST_CAPACITY, burst_capacity),
            min_scale: self.read(&MIN_SCALE, scale),
            max_scale: self.read(&MAX_SCALE, scale),
            initial_scale: self.read(&INITIAL_SCALE, scale),
            activation_scale: self.read(&ACTIVATION_SCALE, scale),
            scale_down_delay: self.read(&SCALE_DOWN_DELAY, |text| {
                whole_seconds(duration_within(text, Duration::ZERO)?)
            }),
            scale_to_zero_pod_retention_period: self
                .read(&RETENTION, |text| duration_within(text, Duration::ZERO)),
            window: self.read(&WINDOW, |text| whole_seconds(duration_within(text, WINDOW_MIN)?)),
            panic_window_percentage: self
                .read(&PANIC_WINDOW, |text| float_within(text, PANIC_WINDOW_PERCENTAGE)),
            panic_threshold_percentage: self.read(&PANIC_THRESHOLD, |text| {
                float_within(text, PANIC_THRESHOLD_PERCENTAGE)
            }),
            // Another class may have words of its own: only a revision that names the KPA is held to the KPA's.
            aggregation: self.read(&AGGREGATION, |text| aggregation(text, is_explicit_kpa)),
            class,
        }
    }

    /// The value of the first present key; none too when it is refused.
    fn read<T>(&mut self, keys: &[&'static str], parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let (key, text) = first_present(self.annotations, keys)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.errors.push(AnnotationError { key, message });
                None
            }
        }
    }

    /// The rules that bind several annotations together.
    fn check_scales(&mut self, scale: &ScaleAnnotations, config: &AutoscalerConfig) {
        let (min, max) = (scale.min_scale.unwrap_or(0), scale.max_scale.unwrap_or(0));
        let limit = config.max_scale_limit;
        self.rule(&MAX_SCALE, max == 0 || max >= min, || {
            format!("max-scale={max} is less than min-scale={min}")
        });
        if scale.max_scale.is_some() && limit > 0 {
            self.rule(&MAX_SCALE, max <= limit, || {
                format!("expected 1 <= {max} <= {limit}")
            });
            self.rule(&MAX_SCALE, max != 0, || {
                format!("max-scale=0 (unlimited), must be at most max-scale-limit={limit}")
            });
        }
        if let Some(activation) = scale.activation_scale {
            self.rule(&ACTIVATION_SCALE, activation >= 2, || {
                format!("activation-scale={activation} must be greater than 1")
            });
            self.rule(&ACTIVATION_SCALE, activation < 2 || activation >= min, || {
                format!("min-scale={min} is greater than activation-scale={activation}")
            });
            self.rule(&ACTIVATION_SCALE, max == 0 || activation <= max, || {
                format!("max-scale={max} is less than activation-scale={activation}")
            });
        }
        self.rule(
            &INITIAL_SCALE,
            scale.initial_scale != Some(0) || config.allow_zero_initial_scale,
            || "initial-scale=0 not allowed by cluster: set allow-zero-initial-scale to true".to_owned(),
        );
    }

    fn rule(&mut self, keys: &[&'static str], holds: bool, message: impl FnOnce() -> String) {
        if let (false, Some((key, _))) = (holds, first_present(self.annotations, keys)) {
            self.errors.push(AnnotationError {
                key,
                message: message(),
            });
        }
    }
}

fn invalid(text: &str, why: &str) -> String {
    format!("invalid value: {text}: {why}")
}

fn class(text: &str) -> Result<Class, String> {
    match Class::from(text) {
        Class::Other(other) if other.ends_with(".knative.dev") => Err(invalid(
            text,
            "expected kpa.autoscaling.knative.dev, hpa.autoscaling.knative.dev or a class of another domain",
        )),
        class => Ok(class),
    }
}

fn metric(text: &str, class: &Class) -> Result<Metric, String> {
    match (text, class) {
        ("", Class::Kpa | Class::Hpa) => Err(invalid(text, "name a metric")),
        ("concurrency", _) => Ok(Metric::Concurrency),
        ("rps", _) => Ok(Metric::Rps),
        (_, Class::Kpa) => Err(invalid(text, "expected concurrency or rps")),
        (other, _) => Ok(Metric::Other(other.to_owned())),
    }
}

fn aggregation(text: &str, is_explicit_kpa: bool) -> Result<Aggregation, String> {
    match text {
        "" | "linear" => Ok(Aggregation::Linear),
        "weighted-exponential" | "weightedExponential" => Ok(Aggregation::WeightedExponential),
        _ if is_explicit_kpa => Err(invalid(text, "expected linear or weighted-exponential")),
        _ => Ok(Aggregation::Linear),
    }
}

fn target(text: &str) -> Result<f64, String> {
    match float(text) {
        Ok(target) if target >= TARGET_MIN => Ok(target),
        Ok(_) => Err(format!("target {text} should be at least {TARGET_MIN}")),
        Err(why) => Err(invalid(text, &why)),
    }
}

fn burst_capacity(text: &str) -> Result<f64, String> {
    match float(text) {
        Ok(capacity) if capacity >= 0.0 || capacity == BURST_CAPACITY_UNLIMITED => Ok(capacity),
        _ => Err(invalid(
            text,
            "expected a number of at least 0, or -1 for unlimited",
        )),
    }
}

fn float_within(text: &str, (least, most): (f64, f64)) -> Result<f64, String> {
    match float(text) {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        Ok(_) => Err(format!("expected {least} <= {text} <= {most}")),
        Err(why) => Err(invalid(text, &why)),
    }
}

fn scale(text: &str) -> Result<u32, String> {
    match integer(text) {
        Ok(scale) => u32::try_from(scale).map_err(|_| format!("expected 0 <= {text} <= {}", i32::MAX)),
        Err(why) => Err(invalid(text, &why)),
    }
}

fn duration_within(text: &str, least: Duration) -> Result<Duration, String> {
    match duration(text) {
        Ok(value) if (least..=WINDOW_MAX).contains(&value) => Ok(value),
        Ok(_) => {
            let (least, most) = (go_duration::format(least), go_duration::format(WINDOW_MAX));
            Err(format!("expected {least} <= {text} <= {most}"))
        }
        Err(why) => Err(invalid(text, &why)),
    }
}

fn whole_seconds(duration: Duration) -> Result<Duration, String> {
    match is_whole_seconds(duration) {
        true => Ok(duration),
        false => Err("must be specified with at most second precision".to_owned()),
    }
}

#[cfg(test)]
mod tests;
