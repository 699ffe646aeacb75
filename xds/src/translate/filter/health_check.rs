//! `envoy.extensions.filters.http.health_check.v3`: which requests ask how this proxy is.

use std::sync::Arc;

use envoy_types::pb::envoy::extensions::filters::http::health_check::v3::HealthCheck;
use tidegate_proxy::filter::Filter;
use tidegate_proxy::filter::probe::{Probe, Readiness};
use tidegate_proxy::route::Matcher;

use crate::translate::Reject;
use crate::translate::any::constraint;
use crate::translate::notes::Notes;
use crate::translate::routes::header;

pub(super) const SETTINGS: &str = "envoy.extensions.filters.http.health_check.v3.HealthCheck";

/// A filter that answers by itself; where it would ask the upstream, requests pass it.
pub(super) fn settings(
    config: &HealthCheck,
    readiness: &Readiness,
    notes: &mut Notes,
) -> Result<Filter, Reject> {
    let Some(pass_through) = config.pass_through_mode else {
        return Err(constraint::<HealthCheck>("PassThroughMode", "value is required"));
    };
    if pass_through.value {
        notes.add(
            "pass_through_mode",
            "the upstream answers, whatever this proxy was told",
        );
        return Ok(Filter::Nothing);
    }
    notes.ignored(
        "cluster_min_healthy_percentages",
        !config.cluster_min_healthy_percentages.is_empty(),
    );
    let headers = config.headers.iter().map(header).collect::<Result<_, _>>()?;
    let asked = Matcher {
        headers,
        ..Matcher::default()
    };
    Ok(Filter::Probe(Arc::new(Probe::new(asked, readiness.clone()))))
}
