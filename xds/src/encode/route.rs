//! One route, and what it does with a request.

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{DataSource, RoutingPriority, data_source};
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
};
use envoy_types::pb::envoy::config::route::v3::route::Action as PbAction;
use envoy_types::pb::envoy::config::route::v3::route_action::{
    ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier, MaxStreamDuration, UpgradeConfig,
};
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::ClusterWeight;
use envoy_types::pb::google::protobuf::BoolValue;
use http::StatusCode;
use tidegate_proxy::cluster::breaker::RequestPriority;
use tidegate_proxy::filter::FilterOverrides;
use tidegate_proxy::route::{
    Action, Destination, DirectResponse, Forward, ForwardPolicy, HostRewrite, HostRewriteRule, Original,
    PathRewriteRule, Redirect, RedirectPathRule, RedirectQuery, RedirectScheme, RedirectStatus, Resend,
    Route, RouteLimits, Split, TryCount, Upgrades, WeightedCluster, Write,
};

use super::mutations::{Lists, lists, option};
use super::retry::retry;
use super::{Unsupported, duration, matching, number};

pub(super) fn route(route: &Route) -> Result<pb::Route, Unsupported> {
    let Route {
        name,
        matcher,
        action,
        headers,
        filters,
        overrides,
        layers,
        policy,
    } = route;
    if layers.is_some() {
        return Err(Unsupported::new(
            "layers",
            "code of this process between a route and its upstream",
        ));
    }
    no_overrides(overrides)?;
    if !filters.is_empty() {
        return Err(Unsupported::new("filters", "a filter of one route"));
    }
    let mut headers = lists(headers)?;
    let action = match action {
        Action::Forward(to) => PbAction::Route(forward(to, policy.as_deref())?),
        Action::Redirect(to) => PbAction::Redirect(redirect(to)?),
        Action::Respond(response) => PbAction::DirectResponse(direct(response, &mut headers)?),
    };
    Ok(pb::Route {
        name: name.as_deref().unwrap_or_default().to_owned(),
        r#match: Some(matching::matcher(matcher)?),
        action: Some(action),
        request_headers_to_add: headers.request_add,
        request_headers_to_remove: headers.request_remove,
        response_headers_to_add: headers.response_add,
        response_headers_to_remove: headers.response_remove,
        ..pb::Route::default()
    })
}

/// Filters of a listener are not written, nor what routes make of them.
pub(super) fn no_overrides(overrides: &FilterOverrides) -> Result<(), Unsupported> {
    if overrides.is_empty() {
        return Ok(());
    }
    Err(Unsupported::new(
        "overrides",
        "what becomes of a listener's filter",
    ))
}

#[expect(
    deprecated,
    reason = "only `max_grpc_timeout` shortens a deadline, its successor replaces it"
)]
fn forward(forward: &Forward, policy: Option<&ForwardPolicy>) -> Result<pb::RouteAction, Unsupported> {
    let Forward {
        to,
        path,
        host,
        hash,
        limits,
        upgrades,
        missing,
    } = forward;
    if *limits != RouteLimits::default() {
        return Err(Unsupported::new(
            "limits",
            "how large a request of one route may be",
        ));
    }
    if !hash.is_empty() {
        return Err(Unsupported::new(
            "hash policies",
            "what decides about the endpoint",
        ));
    }
    let mut action = pb::RouteAction {
        cluster_specifier: Some(match to {
            Destination::Split(split) => ClusterSpecifier::WeightedClusters(weighted(split)?),
            Destination::Header(name) => ClusterSpecifier::ClusterHeader(name.to_string()),
        }),
        append_x_forwarded_host: host.original() == Original::Forwarded,
        // Without one Envoy would have a deadline of 15 s.
        timeout: Some(duration(std::time::Duration::ZERO)),
        ..pb::RouteAction::default()
    };
    match path.rule() {
        PathRewriteRule::None => {}
        PathRewriteRule::Prefix(prefix) => action.prefix_rewrite = prefix.to_owned(),
        PathRewriteRule::Whole(path) => action.path_rewrite = path.replace('%', "%%"),
        PathRewriteRule::Regex(rewrite) => action.regex_rewrite = Some(matching::substitution(rewrite)),
    }
    action.host_rewrite_specifier = host_rewrite(host)?;
    action.upgrade_configs = upgrade_configs(upgrades);
    action.cluster_not_found_response_code = match missing.as_u16() {
        404 => ClusterNotFoundResponseCode::NotFound.into(),
        500 => ClusterNotFoundResponseCode::InternalServerError.into(),
        503 => ClusterNotFoundResponseCode::ServiceUnavailable.into(),
        _ => {
            return Err(Unsupported::new(
                "missing",
                "another status than 404, 500 and 503",
            ));
        }
    };
    if let Some(policy) = policy {
        let timeouts = &expressible(policy)?.timeouts;
        action.timeout = Some(duration(timeouts.request.unwrap_or_default()));
        action.idle_timeout = timeouts.idle.map(duration);
        action.max_grpc_timeout = timeouts.grpc_timeout_max.map(duration);
        action.max_stream_duration = timeouts.stream_max.map(|longest| MaxStreamDuration {
            max_stream_duration: Some(duration(longest)),
            ..MaxStreamDuration::default()
        });
        action.retry_policy = policy.retry.as_ref().map(retry).transpose()?;
        if policy.priority == RequestPriority::High {
            action.priority = RoutingPriority::High.into();
        }
    }
    Ok(action)
}

fn host_rewrite(host: &HostRewrite) -> Result<Option<HostRewriteSpecifier>, Unsupported> {
    Ok(match host.rule() {
        HostRewriteRule::None => None,
        HostRewriteRule::Literal(host) => {
            let host = host
                .to_str()
                .map_err(|_| Unsupported::new("host rewrite", "a host that is not ASCII"))?;
            Some(HostRewriteSpecifier::HostRewriteLiteral(host.to_owned()))
        }
        HostRewriteRule::Header(name) => Some(HostRewriteSpecifier::HostRewriteHeader(name.to_string())),
        HostRewriteRule::PathRegex(rewrite) => Some(HostRewriteSpecifier::HostRewritePathRegex(
            matching::substitution(rewrite),
        )),
        HostRewriteRule::Endpoint => Some(HostRewriteSpecifier::AutoHostRewrite(BoolValue { value: true })),
    })
}

/// A policy of which Envoy can be told all. How often a request is sent once more to the same endpoint, and what a client gets
/// where the connection broke, is Envoy's own: never but where nothing was written, and 503.
fn expressible(policy: &ForwardPolicy) -> Result<&ForwardPolicy, Unsupported> {
    let ForwardPolicy {
        timeouts,
        retry: _,
        resend: Resend::Unwritten | Resend::Idempotent,
        affinity,
        priority: _,
        reset_status,
        counted,
        mirrors,
        redirects,
    } = policy;
    if redirects.is_some() {
        return Err(Unsupported::new("redirects", "which redirects are followed"));
    }
    if !mirrors.is_empty() {
        return Err(Unsupported::new("mirrors", "who else gets a copy"));
    }
    if affinity.is_some() {
        let what = "what keeps a client at its endpoint";
        return Err(Unsupported::new("affinity", what));
    }
    if *reset_status != StatusCode::SERVICE_UNAVAILABLE && *reset_status != StatusCode::BAD_GATEWAY {
        let what = "what a client gets where the connection broke";
        return Err(Unsupported::new("reset status", what));
    }
    let of_request = timeouts.request.or(timeouts.grpc_timeout_max);
    if timeouts.stream_max.is_some() && of_request.is_some() {
        // Where it has the one, Envoy does not look at the other.
        let what = "a deadline of the request beside one of the whole exchange";
        return Err(Unsupported::new("timeouts", what));
    }
    if *counted != TryCount::default() {
        return Err(Unsupported::new("counted", "fields that count tries"));
    }
    Ok(policy)
}

fn weighted(split: &Split) -> Result<pb::WeightedCluster, Unsupported> {
    let clusters = split.parts().iter().map(|part| {
        let WeightedCluster {
            cluster,
            weight,
            headers,
            overrides,
            host,
        } = part;
        let headers = no_overrides(overrides).and_then(|()| lists(headers));
        let headers = headers.map_err(|error| error.within(cluster))?;
        if host.is_some() {
            let error = Unsupported::new("host rewrite", "the host of a share of a split");
            return Err(error.within(cluster));
        }
        Ok(ClusterWeight {
            name: cluster.to_string(),
            weight: number(*weight),
            request_headers_to_add: headers.request_add,
            request_headers_to_remove: headers.request_remove,
            response_headers_to_add: headers.response_add,
            response_headers_to_remove: headers.response_remove,
            ..ClusterWeight::default()
        })
    });
    Ok(pb::WeightedCluster {
        clusters: clusters.collect::<Result<_, _>>()?,
        ..pb::WeightedCluster::default()
    })
}

fn upgrade_configs(upgrades_of: &Upgrades) -> Vec<UpgradeConfig> {
    match upgrades_of {
        Upgrades::OfListener => Vec::new(),
        Upgrades::Only(tokens) => upgrades(tokens),
        Upgrades::Each(tokens) => tokens
            .iter()
            .map(|(token, passes)| upgrade(token, *passes))
            .collect(),
    }
}

/// Those that pass; a WebSocket, which connection managers let through as a rule, has to be refused by name.
fn upgrades(tokens: &[Box<str>]) -> Vec<UpgradeConfig> {
    let websocket = tokens.iter().any(|token| **token == *"websocket");
    let refused = (!websocket).then(|| upgrade("websocket", false));
    let allowed = tokens.iter().map(|token| upgrade(token, true));
    allowed.chain(refused).collect()
}

fn upgrade(token: &str, passes: bool) -> UpgradeConfig {
    UpgradeConfig {
        upgrade_type: token.to_owned(),
        enabled: Some(BoolValue { value: passes }),
        ..UpgradeConfig::default()
    }
}

fn redirect(redirect: &Redirect) -> Result<pb::RedirectAction, Unsupported> {
    let path = match redirect.path.rule() {
        RedirectPathRule::Same => None,
        RedirectPathRule::To(path) => Some(PathRewriteSpecifier::PathRedirect(path.to_owned())),
        RedirectPathRule::Rewritten(rewrite) => match rewrite.rule() {
            PathRewriteRule::None => None,
            PathRewriteRule::Prefix(prefix) => Some(PathRewriteSpecifier::PrefixRewrite(prefix.to_owned())),
            PathRewriteRule::Regex(rewrite) => Some(PathRewriteSpecifier::RegexRewrite(
                matching::substitution(rewrite),
            )),
            PathRewriteRule::Whole(path) => Some(PathRewriteSpecifier::PathRedirect(path.to_owned())),
        },
    };
    let code = match redirect.status {
        RedirectStatus::MovedPermanently => RedirectResponseCode::MovedPermanently,
        RedirectStatus::Found => RedirectResponseCode::Found,
        RedirectStatus::SeeOther => RedirectResponseCode::SeeOther,
        RedirectStatus::TemporaryRedirect => RedirectResponseCode::TemporaryRedirect,
        RedirectStatus::PermanentRedirect => RedirectResponseCode::PermanentRedirect,
    };
    Ok(pb::RedirectAction {
        host_redirect: redirect.host().unwrap_or_default().to_owned(),
        port_redirect: redirect.port().map_or(0, Into::into),
        response_code: code.into(),
        strip_query: redirect.query == RedirectQuery::Strip,
        scheme_rewrite_specifier: match redirect.scheme {
            RedirectScheme::Same => None,
            RedirectScheme::Https => Some(SchemeRewriteSpecifier::HttpsRedirect(true)),
            RedirectScheme::Http => Some(SchemeRewriteSpecifier::SchemeRedirect("http".to_owned())),
        },
        path_rewrite_specifier: path,
    })
}

/// A response, whose content type is one of the fields that its route writes.
fn direct(response: &DirectResponse, headers: &mut Lists) -> Result<pb::DirectResponseAction, Unsupported> {
    let body = response.body();
    if body.len() > DIRECT_BODY_BYTES_MAX {
        return Err(Unsupported::new(
            "direct response",
            "a body of more than 4096 bytes",
        ));
    }
    let is_written_over = headers.response_add.iter().any(|option| {
        option.append_action() == HeaderAppendAction::OverwriteIfExistsOrAdd
            && option
                .header
                .as_ref()
                .is_some_and(|header| header.key == "content-type")
    });
    if !body.is_empty() && !is_written_over {
        let value = response.content_type().to_str();
        let value =
            value.map_err(|_| Unsupported::new("direct response", "a content type that is not ASCII"))?;
        let content_type = option("content-type", value.replace('%', "%%"), Write::Overwrite, false);
        headers.response_add.insert(0, content_type);
    }
    Ok(pb::DirectResponseAction {
        status: response.status().as_u16().into(),
        body: (!body.is_empty()).then(|| DataSource {
            specifier: Some(data_source::Specifier::InlineBytes(body.to_vec())),
            ..DataSource::default()
        }),
        ..pb::DirectResponseAction::default()
    })
}

/// Envoy's default of `max_direct_response_body_size_bytes`.
const DIRECT_BODY_BYTES_MAX: usize = 4096;
