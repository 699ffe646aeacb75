//! The constraints of the messages of a route configuration, in the order in which Envoy looks at them.

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::route::Action;

use crate::translate::constraint::{Checked, Rules, one_of};

mod action;
mod matching;

use crate::translate::headers::{check_added, check_removed};

/// Of a route configuration, its virtual hosts apart.
pub(super) fn table(table: &pb::RouteConfiguration) -> Checked {
    let rules = Rules::of("RouteConfiguration");
    for (index, name) in table.internal_only_headers.iter().enumerate() {
        rules.header_text(&format!("InternalOnlyHeaders[{index}]"), name)?;
    }
    check_added(rules, "ResponseHeadersToAdd", &table.response_headers_to_add)?;
    check_removed(
        rules,
        "ResponseHeadersToRemove",
        &table.response_headers_to_remove,
        0,
    )?;
    check_added(rules, "RequestHeadersToAdd", &table.request_headers_to_add)?;
    check_removed(
        rules,
        "RequestHeadersToRemove",
        &table.request_headers_to_remove,
        0,
    )?;
    let mirrors = &table.request_mirror_policies;
    rules.each("RequestMirrorPolicies", mirrors, action::mirror)
}

/// Of the virtual host at this place of its route configuration.
pub(super) fn host(index: usize, host: &pb::VirtualHost) -> Checked {
    let whole = Rules::of("RouteConfiguration");
    whole.within(&format!("VirtualHosts[{index}]"), host_itself(host))
}

fn host_itself(host: &pb::VirtualHost) -> Checked {
    let rules = Rules::of("VirtualHost");
    rules.not_empty("Name", &host.name)?;
    rules.some_items("Domains", &host.domains)?;
    for (index, domain) in host.domains.iter().enumerate() {
        rules.header_text(&format!("Domains[{index}]"), domain)?;
    }
    rules.each("Routes", &host.routes, route)?;
    rules.defined::<pb::virtual_host::TlsRequirementType>("RequireTls", host.require_tls)?;
    rules.each("VirtualClusters", &host.virtual_clusters, virtual_cluster)?;
    rules.each("RateLimits", &host.rate_limits, rate_limit)?;
    check_added(rules, "RequestHeadersToAdd", &host.request_headers_to_add)?;
    check_added(rules, "ResponseHeadersToAdd", &host.response_headers_to_add)?;
    check_removed(
        rules,
        "ResponseHeadersToRemove",
        &host.response_headers_to_remove,
        1,
    )?;
    check_removed(
        rules,
        "RequestHeadersToRemove",
        &host.request_headers_to_remove,
        1,
    )?;
    rules.optional("RetryPolicy", host.retry_policy.as_ref(), action::retry)?;
    let mirrors = &host.request_mirror_policies;
    rules.each("RequestMirrorPolicies", mirrors, action::mirror)
}

fn route(route: &pb::Route) -> Checked {
    let rules = Rules::of("Route");
    rules.required("Match", route.r#match.as_ref(), matching::route_match)?;
    if let Some(decorator) = &route.decorator {
        let operation = Rules::of("Decorator").not_empty("Operation", &decorator.operation);
        rules.within("Decorator", operation)?;
    }
    check_added(rules, "RequestHeadersToAdd", &route.request_headers_to_add)?;
    check_added(rules, "ResponseHeadersToAdd", &route.response_headers_to_add)?;
    check_removed(
        rules,
        "ResponseHeadersToRemove",
        &route.response_headers_to_remove,
        1,
    )?;
    check_removed(
        rules,
        "RequestHeadersToRemove",
        &route.request_headers_to_remove,
        1,
    )?;
    match one_of("action", route.action.as_ref())? {
        Action::Route(to) => rules.within("Route", action::forward(to)),
        Action::Redirect(to) => rules.within("Redirect", action::redirect(to)),
        Action::DirectResponse(to) => rules.within("DirectResponse", action::direct(to)),
        Action::FilterAction(_) | Action::NonForwardingAction(_) => Ok(()),
    }
}

fn virtual_cluster(cluster: &pb::VirtualCluster) -> Checked {
    let rules = Rules::of("VirtualCluster");
    rules.each("Headers", &cluster.headers, matching::header)?;
    rules.not_empty("Name", &cluster.name)
}

fn rate_limit(limit: &pb::RateLimit) -> Checked {
    let rules = Rules::of("RateLimit");
    if limit.stage.as_ref().is_some_and(|stage| stage.value > 10) {
        return Err(rules.broken("Stage", "value must be less than or equal to 10"));
    }
    rules.some_items("Actions", &limit.actions)?;
    rules.each("Actions", &limit.actions, |action| {
        one_of("action_specifier", action.action_specifier.as_ref()).map(|_| ())
    })
}
