//! What makes an endpoint an outlier, and for how long it is put aside.

use std::time::Duration;

use crate::config::limits;

/// Outlier detection of one cluster; the defaults are Envoy's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutlierSettings {
    /// 5xx in a row, and failures to get a response, unless they count apart. Default: 5.
    pub consecutive_5xx: Option<Consecutive>,
    /// 502, 503 and 504 in a row, and the like. Default: not looked at.
    pub consecutive_gateway_failure: Option<Consecutive>,
    /// Failures to get a response (no connection, a reset, a timeout) in a row, if they count apart. Default: 5.
    pub consecutive_local_failure: Option<Consecutive>,
    /// Whether failures to get a response count apart from 5xx. Default: no.
    pub local_origin_apart: bool,
    /// Ejects who succeeds much more rarely than the others. Default: as [`SuccessRate`].
    pub success_rate: Option<SuccessRate>,
    /// Ejects who fails too often, whatever the others do. Default: not looked at.
    pub failure_percentage: Option<FailurePercentage>,
    /// How often rates are compared and ejections ended. Default: 10 s.
    pub interval: Duration,
    /// How long the first ejection lasts; the second in a row twice as long, and so on. Default: 30 s.
    pub ejection_base: Duration,
    /// The longest ejection. Default: 300 s.
    pub ejection_max: Duration,
    /// Up to how much longer it may last, by chance. Default: 0.
    pub ejection_jitter: Duration,
    /// The most of the cluster's endpoints that are ejected at once, in percent; at least one, unless it is 0. Default: 10.
    pub ejected_percent_max: u8,
}

/// A number of failures in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consecutive {
    /// With this one the endpoint is ejected.
    pub failures: u32,
    /// How likely it is, in percent. Default: 100.
    pub enforced_percent: u8,
}

/// Compares the success rates of an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuccessRate {
    /// How many endpoints must have had enough requests. Default: 5.
    pub endpoints_min: usize,
    /// How many requests are enough. Default: 100.
    pub requests_min: u32,
    /// How many standard deviations below the mean is too far. Default: 1.9.
    pub deviations: f64,
    /// How likely the ejection is, in percent. Default: 100.
    pub enforced_percent: u8,
}

/// Looks at the failures of an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FailurePercentage {
    /// How many endpoints must have had enough requests. Default: 5.
    pub endpoints_min: usize,
    /// How many requests are enough. Default: 50.
    pub requests_min: u32,
    /// What percentage of failures is too much. Default: 85.
    pub failed_percent: u8,
    /// How likely the ejection is, in percent. Default: 100.
    pub enforced_percent: u8,
}

impl Default for OutlierSettings {
    fn default() -> Self {
        Self {
            consecutive_5xx: Some(Consecutive::default()),
            consecutive_gateway_failure: None,
            consecutive_local_failure: Some(Consecutive::default()),
            local_origin_apart: false,
            success_rate: Some(SuccessRate::default()),
            failure_percentage: None,
            interval: limits::OUTLIER_INTERVAL,
            ejection_base: limits::EJECTION_BASE,
            ejection_max: limits::EJECTION_MAX,
            ejection_jitter: Duration::ZERO,
            ejected_percent_max: limits::EJECTED_PERCENT_MAX,
        }
    }
}

impl Default for Consecutive {
    fn default() -> Self {
        Self {
            failures: limits::CONSECUTIVE_FAILURES,
            enforced_percent: 100,
        }
    }
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self {
            endpoints_min: 5,
            requests_min: 100,
            deviations: 1.9,
            enforced_percent: 100,
        }
    }
}

impl Default for FailurePercentage {
    fn default() -> Self {
        Self {
            endpoints_min: 5,
            requests_min: 50,
            failed_percent: 85,
            enforced_percent: 100,
        }
    }
}
