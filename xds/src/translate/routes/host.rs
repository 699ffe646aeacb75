//! A virtual host with its routes.

use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::virtual_host::TlsRequirementType;
use prost::Message;
use tidegate_proxy::route::{Domain, HeaderMatch, Matcher, Redirect, Route, TextMatch, VirtualHost};
use xxhash_rust::xxh3::xxh3_64;

use super::HostConfig;
use super::reading::Reading;
use crate::translate::any::unsupported_field;
use crate::translate::headers::HeaderLists;
use crate::translate::{Reject, unknown};

impl Reading<'_> {
    /// Reads a virtual host, whose constraints hold, and that came as these bytes.
    pub(super) fn host(&mut self, proto: &pb::VirtualHost, bytes: &[u8]) -> Result<HostConfig, Reject> {
        // Of a host that was refused in the middle nothing is left.
        drop(self.clusters.take());
        self.notes.clear();
        let place = self.notes.enter(&format!("virtual_hosts[{}]", proto.name));
        let within = ["envoy.config.route.v3.RouteConfiguration"];
        unknown::part(proto, bytes, &within, self.context, &mut self.notes)?;
        if proto.matcher.is_some() {
            return Err(unsupported_field(self.notes.place(), "matcher"));
        }
        self.note_unused(proto);
        let headers = self.headers(HeaderLists {
            request_add: &proto.request_headers_to_add,
            request_remove: &proto.request_headers_to_remove,
            response_add: &proto.response_headers_to_add,
            response_remove: &proto.response_headers_to_remove,
        })?;
        let overrides = self.overrides(&proto.typed_per_filter_config, cors_of_host(proto))?;
        let mut routes: Vec<Arc<Route>> = to_tls(proto)?.into_iter().map(Arc::new).collect();
        routes.reserve_exact(proto.routes.len());
        let of_host = seed(proto);
        for (index, route) in proto.routes.iter().enumerate() {
            let place = self.notes.enter(&format!("routes[{index}]"));
            routes.push(self.shared_route(route, proto, of_host)?);
            self.notes.leave(place);
        }
        self.notes.leave(place);
        let domains = proto.domains.iter().map(|text| domain(text));
        let mut host = VirtualHost::new(proto.name.as_str(), domains, routes);
        if let Some(route) = host.routes.first().and_then(|route| route.name.clone()) {
            // Kourier's are called after the first host of their rule.
            host.share(&route);
        }
        host.headers = headers;
        host.overrides = overrides;
        Ok(HostConfig {
            host: Arc::new(host),
            clusters: self.shared.list(self.clusters.take()),
            notes: Some(self.notes.take())
                .filter(|notes| !notes.is_empty())
                .map(Arc::new),
        })
    }

    fn note_unused(&mut self, proto: &pb::VirtualHost) {
        self.notes.add_set(&[
            ("virtual_clusters", !proto.virtual_clusters.is_empty()),
            ("rate_limits", !proto.rate_limits.is_empty()),
            ("hedge_policy", proto.hedge_policy.is_some()),
            (
                "retry_policy_typed_config",
                proto.retry_policy_typed_config.is_some(),
            ),
            (
                "include_is_timeout_retry_header",
                proto.include_is_timeout_retry_header,
            ),
            (
                "request_body_buffer_limit",
                proto.request_body_buffer_limit.is_some(),
            ),
        ]);
    }

    /// Reads a route, unless another host has the same. One of which something was noted is read for each.
    fn shared_route(
        &mut self,
        proto: &pb::Route,
        host: &pb::VirtualHost,
        of_host: u64,
    ) -> Result<Arc<Route>, Reject> {
        let hash = self.shared.route_hash(proto, of_host);
        if let Some((route, clusters)) = self.shared.route(hash) {
            clusters.into_iter().for_each(|name| self.clusters.add(name));
            return Ok(route);
        }
        let others = std::mem::take(&mut self.clusters);
        let noted = self.notes.len();
        let route = Arc::new(self.route(proto, host)?);
        let mut own = std::mem::replace(&mut self.clusters, others);
        if self.notes.len() == noted {
            self.shared.keep_route(hash, &route, own.all());
        }
        own.take().into_iter().for_each(|name| self.clusters.add(name));
        Ok(route)
    }

    fn route(&mut self, proto: &pb::Route, host: &pb::VirtualHost) -> Result<Route, Reject> {
        self.notes.add_set(&[
            ("decorator", proto.decorator.is_some()),
            ("tracing", proto.tracing.is_some()),
            ("stat_prefix", !proto.stat_prefix.is_empty()),
            (
                "request_body_buffer_limit",
                proto.request_body_buffer_limit.is_some(),
            ),
        ]);
        let matches = proto.r#match.as_ref();
        let matches = matches.ok_or_else(|| unsupported_field(self.notes.place(), "match"))?;
        let (action, policy) = self.action(proto, host, matches)?;
        let headers = self.headers(HeaderLists {
            request_add: &proto.request_headers_to_add,
            request_remove: &proto.request_headers_to_remove,
            response_add: &proto.response_headers_to_add,
            response_remove: &proto.response_headers_to_remove,
        })?;
        let mut route = Route::new(action);
        route.name = (!proto.name.is_empty()).then(|| self.shared.name(&proto.name));
        route.matcher = self.matcher(matches)?;
        route.headers = headers;
        route.policy = policy;
        route.overrides = self.overrides(&proto.typed_per_filter_config, cors_of_route(proto))?;
        Ok(route)
    }
}

/// What the hash of a route starts from: what else its host says decides what becomes of it.
fn seed(host: &pb::VirtualHost) -> u64 {
    let decisive = pb::VirtualHost {
        retry_policy: host.retry_policy.clone(),
        request_mirror_policies: host.request_mirror_policies.clone(),
        include_request_attempt_count: host.include_request_attempt_count,
        include_attempt_count_in_response: host.include_attempt_count_in_response,
        ..pb::VirtualHost::default()
    };
    xxh3_64(&decisive.encode_to_vec())
}

/// CORS as it was said before it was a filter's own.
#[expect(
    deprecated,
    reason = "control planes still send the form that Envoy has deprecated"
)]
fn cors_of_host(host: &pb::VirtualHost) -> Option<&pb::CorsPolicy> {
    host.cors.as_ref()
}

#[expect(
    deprecated,
    reason = "control planes still send the form that Envoy has deprecated"
)]
fn cors_of_route(route: &pb::Route) -> Option<&pb::CorsPolicy> {
    match &route.action {
        Some(Action::Route(action)) => action.cors.as_ref(),
        _ => None,
    }
}

/// A domain, which Envoy compares in lower case. A `*` that is neither first nor last is a letter like any other.
fn domain(text: &str) -> Domain {
    let lower = text.to_ascii_lowercase();
    if lower == "*" {
        Domain::Any
    } else if let Some(suffix) = lower.strip_prefix('*') {
        Domain::Suffix(suffix.into())
    } else if let Some(prefix) = lower.strip_suffix('*') {
        Domain::Prefix(prefix.into())
    } else {
        Domain::Exact(lower.into())
    }
}

/// The route that sends clients to TLS who have to come by it (`require_tls`).
fn to_tls(host: &pb::VirtualHost) -> Result<Option<Route>, Reject> {
    let internal = HeaderMatch::exact("x-envoy-internal", "true");
    let external_only = match TlsRequirementType::try_from(host.require_tls).unwrap_or_default() {
        TlsRequirementType::None => return Ok(None),
        TlsRequirementType::All => None,
        TlsRequirementType::ExternalOnly => Some(internal.map(|is| is.missing_is_empty().inverted())),
    };
    let plain = HeaderMatch::text(":scheme", TextMatch::exact("https"));
    let plain = plain.map(|is| is.missing_is_empty().inverted());
    let conditions: Result<Vec<_>, _> = [Some(plain), external_only].into_iter().flatten().collect();
    let mut route = Route::redirect(Redirect::to_https());
    let conditions = Matcher {
        headers: conditions.map_err(|error| Reject::Resource(error.to_string()))?,
        ..Matcher::default()
    };
    route.matcher = conditions.into();
    Ok(Some(route))
}
