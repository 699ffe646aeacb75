//! `envoy.extensions.filters.http.router.v3`: the end of every chain of HTTP filters.

use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;

use crate::translate::Reject;
use crate::translate::any::{inner, unsupported_field};
use crate::translate::constraint::Rules;
use crate::translate::notes::Notes;

pub(super) const SETTINGS: &str = "envoy.extensions.filters.http.router.v3.Router";
pub(super) const FACTORY: &str = "envoy.filters.http.router";

/// The fields that a router can be told to look at strictly.
const CHECKED: [&str; 5] = [
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-max-retries",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
];

/// What a router is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouterSettings {
    /// Whether `x-envoy-` fields are kept from upstreams and clients.
    pub suppress_fields: bool,
}

pub(super) fn settings(router: &Router, notes: &mut Notes) -> Result<RouterSettings, Reject> {
    let rules = Rules::of("Router");
    for (index, name) in router.strict_check_headers.iter().enumerate() {
        if !CHECKED.contains(&name.as_str()) {
            let why = format!("value must be in list [{}]", CHECKED.join(" "));
            inner(Err(rules.broken(&format!("StrictCheckHeaders[{index}]"), why)))?;
        }
    }
    if !router.upstream_http_filters.is_empty() {
        return Err(unsupported_field(notes.place(), "upstream_http_filters"));
    }
    notes.add_set(&[
        ("upstream_log", !router.upstream_log.is_empty()),
        ("strict_check_headers", !router.strict_check_headers.is_empty()),
    ]);
    Ok(RouterSettings {
        suppress_fields: router.suppress_envoy_headers,
    })
}
