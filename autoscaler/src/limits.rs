//! What are the fixed numbers of the autoscaler?
//!
//! Everything a person may configure is in `config-autoscaler` and in the annotations of a revision; these are
//! the constants of the Knative pod autoscaler that have no key.

use std::time::Duration;

/// Length of one bucket of a metric window. Everything recorded within it is summed.
pub const BUCKET: Duration = Duration::from_secs(1);

/// How often a revision is decided on anew, and the length of one slot of the scale-down delay.
pub const TICK: Duration = Duration::from_secs(2);

/// Time beyond the progress deadline before an activation that never came up is given up, so that whoever
/// starts the replicas can say first why they failed.
pub const ACTIVATION_SLACK: Duration = Duration::from_secs(30);

/// When to look again after an idle revision was marked inactive while the activator was in its path already:
/// no change of the path will call for the second phase of scaling to zero.
pub const PROXIED_RECHECK: Duration = Duration::from_secs(3);

/// Share of `requests-per-second-target-default` to use, unless an annotation says another.
pub const RPS_UTILIZATION: f64 = 0.7;

/// Shortest panic window, whatever the percentage of the stable window comes to.
pub const PANIC_WINDOW_MIN: Duration = Duration::from_secs(1);

/// Longest window that is given memory for (`window` goes up to an hour), one bucket a second.
pub const BUCKETS_MAX: u64 = 3_600;

/// Share of a weighted window's weight that lies within its length.
pub(crate) const WEIGHT_WITHIN_WINDOW: f64 = 0.9999;

/// Smallest smoothing coefficient of a weighted window: long windows still look mostly at the last seconds.
pub(crate) const SMOOTHING_MIN: f64 = 0.2;
