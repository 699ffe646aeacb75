//! Which endpoints are put aside because of how they answer?

use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::OutlierDetection;
use envoy_types::pb::google::protobuf::UInt32Value;
use tidegate_proxy::cluster::OutlierSettings;
use tidegate_proxy::cluster::outlier::{Consecutive, FailurePercentage, SuccessRate};

use crate::translate::Reject;
use crate::translate::message::{duration, number, positive};
use crate::translate::notes::Notes;

/// Outlier detection; what is left out has Envoy's defaults.
pub(super) fn read(
    message: Option<&OutlierDetection>,
    notes: &mut Notes,
) -> Result<Option<OutlierSettings>, Reject> {
    let Some(message) = message else {
        return Ok(None);
    };
    let usual = OutlierSettings::default();
    let ejection_base = positive(message.base_ejection_time.as_ref()).unwrap_or(usual.ejection_base);
    let ejection_max =
        positive(message.max_ejection_time.as_ref()).unwrap_or_else(|| usual.ejection_max.max(ejection_base));
    if ejection_max < ejection_base {
        let why = "outlier detector's max_ejection_time cannot be smaller than base_ejection_time";
        return Err(Reject::Resource(why.to_owned()));
    }
    without_effect(message, notes);
    let percent = |field: &Option<UInt32Value>, usual: u8| percent(field.as_ref(), usual);
    Ok(Some(OutlierSettings {
        consecutive_5xx: consecutive(
            &message.consecutive_5xx,
            percent(&message.enforcing_consecutive_5xx, 100),
        ),
        consecutive_gateway_failure: consecutive(
            &message.consecutive_gateway_failure,
            percent(&message.enforcing_consecutive_gateway_failure, 0),
        ),
        consecutive_local_failure: consecutive(
            &message.consecutive_local_origin_failure,
            percent(&message.enforcing_consecutive_local_origin_failure, 100),
        ),
        local_origin_apart: message.split_external_local_origin_errors,
        success_rate: success_rate(message),
        failure_percentage: failure_percentage(message),
        interval: positive(message.interval.as_ref()).unwrap_or(usual.interval),
        ejection_base,
        ejection_max,
        ejection_jitter: duration(message.max_ejection_time_jitter.as_ref())?.unwrap_or(Duration::ZERO),
        ejected_percent_max: percent(&message.max_ejection_percent, usual.ejected_percent_max),
    }))
}

/// What never ejects anybody is not looked at.
fn consecutive(failures: &Option<UInt32Value>, enforced_percent: u8) -> Option<Consecutive> {
    let failures = number(failures.as_ref()).unwrap_or(Consecutive::default().failures);
    (enforced_percent > 0).then_some(Consecutive {
        failures,
        enforced_percent,
    })
}

fn success_rate(message: &OutlierDetection) -> Option<SuccessRate> {
    let usual = SuccessRate::default();
    let enforced_percent = percent(message.enforcing_success_rate.as_ref(), 100);
    let thousandths = number(message.success_rate_stdev_factor.as_ref());
    (enforced_percent > 0).then_some(SuccessRate {
        endpoints_min: number(message.success_rate_minimum_hosts.as_ref())
            .map_or(usual.endpoints_min, |hosts| hosts as usize),
        requests_min: number(message.success_rate_request_volume.as_ref()).unwrap_or(usual.requests_min),
        deviations: thousandths.map_or(usual.deviations, |thousandths| f64::from(thousandths) / 1000.0),
        enforced_percent,
    })
}

fn failure_percentage(message: &OutlierDetection) -> Option<FailurePercentage> {
    let usual = FailurePercentage::default();
    let enforced_percent = percent(message.enforcing_failure_percentage.as_ref(), 0);
    (enforced_percent > 0).then_some(FailurePercentage {
        endpoints_min: number(message.failure_percentage_minimum_hosts.as_ref())
            .map_or(usual.endpoints_min, |hosts| hosts as usize),
        requests_min: number(message.failure_percentage_request_volume.as_ref())
            .unwrap_or(usual.requests_min),
        failed_percent: percent(
            message.failure_percentage_threshold.as_ref(),
            usual.failed_percent,
        ),
        enforced_percent,
    })
}

fn without_effect(message: &OutlierDetection, notes: &mut Notes) {
    let local_rate =
        number(message.enforcing_local_origin_success_rate.as_ref()).is_some_and(|percent| percent > 0);
    let local_percentage =
        number(message.enforcing_failure_percentage_local_origin.as_ref()).is_some_and(|percent| percent > 0);
    let fields = [
        ("enforcing_local_origin_success_rate", local_rate),
        ("enforcing_failure_percentage_local_origin", local_percentage),
        ("monitors", !message.monitors.is_empty()),
        ("always_eject_one_host", message.always_eject_one_host.is_some()),
        (
            "detect_degraded_hosts",
            message.detect_degraded_hosts.is_some_and(|detect| detect.value),
        ),
        (
            "successful_active_health_check_uneject_host",
            message
                .successful_active_health_check_uneject_host
                .is_some_and(|uneject| !uneject.value),
        ),
    ];
    for (field, there) in fields {
        notes.ignored(format_args!("outlier_detection.{field}"), there);
    }
}

fn percent(field: Option<&UInt32Value>, usual: u8) -> u8 {
    // More than 100 is a broken constraint.
    number(field).map_or(usual, |percent| u8::try_from(percent).unwrap_or(100))
}
