//! `envoy.extensions.filters.http.cors.v3`: whose pages may use a service.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::extensions::filters::http::cors::v3::CorsPolicy;
use tidegate_proxy::filter::cors::{Credentials, PrivateNetwork};
use tidegate_proxy::filter::{Cors, Filter};
use tidegate_proxy::route::TextMatch;

use crate::translate::Reject;
use crate::translate::fraction::{MILLION, runtime_per_million};
use crate::translate::text_match;

pub(super) const SETTINGS: &str = "envoy.extensions.filters.http.cors.v3.Cors";
pub(super) const POLICY: &str = "envoy.extensions.filters.http.cors.v3.CorsPolicy";

/// What a route allows.
pub(super) fn policy(policy: &CorsPolicy) -> Result<Filter, Reject> {
    if runtime_per_million(policy.filter_enabled.as_ref(), MILLION) == 0 {
        return Ok(Filter::Nothing);
    }
    let mut origins = policy
        .allow_origin_string_match
        .iter()
        .map(text_match::string)
        .collect::<Result<Vec<_>, _>>()?;
    // As in Envoy who takes `*` takes every origin.
    if origins.iter().any(|origin| origin.matches(b"*")) {
        origins = vec![TextMatch::prefix("")];
    }
    let invalid = |error: tidegate_proxy::route::InvalidField| Reject::Resource(error.to_string());
    let mut cors = Cors::of_origins(origins);
    if !policy.allow_methods.is_empty() {
        cors = cors.allowing_methods(&policy.allow_methods).map_err(invalid)?;
    }
    if !policy.allow_headers.is_empty() {
        cors = cors.allowing_headers(&policy.allow_headers).map_err(invalid)?;
    }
    if !policy.expose_headers.is_empty() {
        cors = cors.exposing(&policy.expose_headers).map_err(invalid)?;
    }
    if let Ok(seconds) = policy.max_age.parse() {
        cors = cors.with_max_age(Duration::from_secs(seconds));
    }
    if policy.allow_credentials.is_some_and(|allowed| allowed.value) {
        cors = cors.with_credentials(Credentials::Allowed);
    }
    if policy
        .allow_private_network_access
        .is_some_and(|allowed| allowed.value)
    {
        cors = cors.with_private_network(PrivateNetwork::Allowed);
    }
    Ok(Filter::Cors(Arc::new(cors)))
}
