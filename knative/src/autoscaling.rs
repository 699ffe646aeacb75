//! How scaling is configured: for all revisions (`config-autoscaler`) and for one (annotations of its template).

mod annotations;
mod config;
mod keys;
mod value;

pub use annotations::{Aggregation, AnnotationError, Class, Metric, ScaleAnnotations};
pub use config::AutoscalerConfig;
pub use keys::{ConfigError, ConfigKey, KEYS};

use std::time::Duration;

/// The smallest target of concurrency or requests per second (Knative `autoscaling.TargetMin`).
pub const TARGET_MIN: f64 = 0.01;
/// The shortest stable window.
pub const WINDOW_MIN: Duration = Duration::from_secs(6);
/// The longest stable window, scale-down delay and retention.
pub const WINDOW_MAX: Duration = Duration::from_secs(3600);
/// A target burst capacity of this keeps the activator in the path always.
pub const BURST_CAPACITY_UNLIMITED: f64 = -1.0;
/// Least and most percent of the stable window that the panic window takes.
pub const PANIC_WINDOW_PERCENTAGE: (f64, f64) = (1.0, 100.0);
/// Least and most percent of the target at which panic begins, when an annotation sets it.
pub const PANIC_THRESHOLD_PERCENTAGE: (f64, f64) = (110.0, 1000.0);
