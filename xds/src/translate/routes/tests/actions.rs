//! What a route does with a request.

use std::time::Duration;

use envoy_types::pb::envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, SchemeRewriteSpecifier,
};
use envoy_types::pb::envoy::config::route::v3::retry_policy::RetryBackOff;
use envoy_types::pb::envoy::config::route::v3::route_action::{MaxStreamDuration, UpgradeConfig};
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::cluster_weight::HostRewriteSpecifier;
use envoy_types::pb::google::protobuf::{BoolValue, Duration as Seconds};
use envoy_types::util::pack_any;
use http::StatusCode;
use tidegate_proxy::cluster::breaker::RequestPriority;
use tidegate_proxy::filter::{Filter, Override};
use tidegate_proxy::route::{
    Action as Done, Destination, Redirect, RedirectPath, RedirectQuery, RedirectScheme, RedirectStatus,
    Resend, RetryOn, Upgrades,
};

use super::*;

fn seconds(seconds: i64) -> Option<Seconds> {
    Some(Seconds { seconds, nanos: 0 })
}

#[test]
fn requests_go_to_a_cluster_a_split_or_whom_a_header_names() {
    let split = |action: pb::RouteAction| {
        let route = only(action);
        match &route.as_forward().unwrap().to {
            Destination::Split(split) => {
                let parts = split.parts().iter();
                parts
                    .map(|part| (part.cluster.to_string(), part.weight))
                    .collect()
            }
            Destination::Header(name) => vec![(name.to_string(), 0)],
        }
    };
    assert_eq!(split(to("ns/a")), [("ns/a".to_owned(), 1)]);
    let shares = weighted(&[("a", 90), ("b", 0), ("c", 10)]);
    assert_eq!(split(shares), [("a".to_owned(), 90), ("c".to_owned(), 10)]);
    let large = weighted(&[("a", u32::MAX)]);
    assert_eq!(split(large), [("a".to_owned(), u32::MAX)]);
    let header = pb::RouteAction {
        cluster_specifier: Some(ClusterSpecifier::ClusterHeader("X-To".into())),
        ..pb::RouteAction::default()
    };
    assert_eq!(split(header), [("x-to".to_owned(), 0)]);
}

#[test]
fn a_timeout_is_fifteen_seconds_where_nothing_is_said_and_none_where_it_is_zero() {
    let check = |timeout: Option<Seconds>, expected: Option<u64>| {
        let route = only(pb::RouteAction { timeout, ..to("c") });
        let timeouts = route.policy.as_ref().unwrap().timeouts;
        assert_eq!(timeouts.request, expected.map(Duration::from_secs));
    };
    check(None, Some(15));
    check(seconds(0), None);
    check(seconds(7), Some(7));
}

#[test]
fn other_deadlines_are_what_they_say() {
    let route = only(pb::RouteAction {
        idle_timeout: seconds(0),
        max_stream_duration: Some(MaxStreamDuration {
            max_stream_duration: seconds(9),
            grpc_timeout_header_max: seconds(0),
            ..MaxStreamDuration::default()
        }),
        priority: 1,
        ..to("c")
    });
    let policy = route.policy.as_ref().unwrap();
    assert_eq!(policy.timeouts.idle, Some(Duration::ZERO));
    assert_eq!(policy.timeouts.stream_max, Some(Duration::from_secs(9)));
    // Envoy looks at no `timeout`, be it the usual one, where there is the other.
    assert_eq!(policy.timeouts.request, None);
    assert_eq!(policy.timeouts.grpc_timeout_max, Some(Duration::MAX));
    assert_eq!(policy.priority, RequestPriority::High);
    // Without a retry policy only what was never written goes out again, and what broke is a 503: Envoy's way.
    assert_eq!(policy.resend, Resend::Unwritten);
    assert_eq!(policy.reset_status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(policy.retry.is_none());
}

#[test]
fn a_retry_policy_is_read_whole_and_a_host_s_holds_for_routes_without_one() {
    let retry = pb::RetryPolicy {
        retry_on: "5xx, connect-failure,retriable-status-codes,unavailable,whatever".into(),
        num_retries: Some(UInt32Value { value: 4 }),
        per_try_timeout: seconds(2),
        retriable_status_codes: vec![429, 7000],
        retry_back_off: Some(RetryBackOff {
            base_interval: seconds(1),
            max_interval: None,
        }),
        host_selection_retry_max_attempts: 5,
        ..pb::RetryPolicy::default()
    };
    let mut table = of_routes(vec![route(prefix("/"), to("c"))]);
    table.virtual_hosts[0].retry_policy = Some(retry);
    let config = read(&table).unwrap();
    let policy = found(&config, "http://a/", &[]).unwrap().policy.clone().unwrap();
    let retry = policy.retry.as_ref().unwrap();
    let expected = [
        RetryOn::ServerError,
        RetryOn::ConnectFailure,
        RetryOn::Status(StatusCode::TOO_MANY_REQUESTS),
        RetryOn::Grpc(14),
    ];
    assert_eq!(retry.on, expected);
    assert_eq!((retry.retries_max, retry.host_reselections_max), (4, 5));
    assert_eq!(retry.per_try, Some(Duration::from_secs(2)));
    assert_eq!(retry.backoff_max, Duration::from_secs(10));
    assert!(
        config
            .notes
            .iter()
            .any(|note| note.path.ends_with("retry_policy.retry_on"))
    );
}

#[test]
fn upgrades_pass_as_the_route_says() {
    let upgrade = |name: &str, enabled: Option<bool>| UpgradeConfig {
        upgrade_type: name.into(),
        enabled: enabled.map(|value| BoolValue { value }),
        ..UpgradeConfig::default()
    };
    let route = only(pb::RouteAction {
        upgrade_configs: vec![upgrade("WebSocket", None), upgrade("foo", Some(false))],
        ..to("c")
    });
    let expected = [("websocket".into(), true), ("foo".into(), false)].into();
    assert_eq!(route.as_forward().unwrap().upgrades, Upgrades::Each(expected));
    assert_eq!(only(to("c")).as_forward().unwrap().upgrades, Upgrades::OfListener);
}

#[test]
fn a_missing_cluster_is_answered_as_the_route_says() {
    let check = |code: i32, expected: u16| {
        let route = only(pb::RouteAction {
            cluster_not_found_response_code: code,
            ..to("c")
        });
        assert_eq!(route.as_forward().unwrap().missing.as_u16(), expected);
    };
    check(0, 503);
    check(1, 404);
    check(2, 500);
}

#[test]
fn tries_are_counted_where_the_virtual_host_says_so() {
    let check = |[request, response]: [bool; 2]| {
        let mut table = of_routes(vec![route(prefix("/"), to("c"))]);
        table.virtual_hosts[0].include_request_attempt_count = request;
        table.virtual_hosts[0].include_attempt_count_in_response = response;
        let route = found(&read(&table).unwrap(), "http://a/", &[]).unwrap();
        let counted = &route.policy.as_ref().unwrap().counted;
        let told = [&counted.to_upstream, &counted.to_client].map(Option::is_some);
        assert_eq!(told, [request, response]);
    };
    check([false, false]);
    check([true, false]);
    check([false, true]);
}

#[test]
fn each_level_changes_the_listener_s_filters() {
    let disabled = || {
        let off = pb::FilterConfig {
            disabled: true,
            ..pb::FilterConfig::default()
        };
        HashMap::from([("x".to_owned(), pack_any(off))])
    };
    let mut action = weighted(&[("c", 1)]);
    if let Some(ClusterSpecifier::WeightedClusters(split)) = &mut action.cluster_specifier {
        split.clusters[0].typed_per_filter_config = disabled();
    }
    let mut table = of_routes(vec![route(prefix("/"), action)]);
    table.typed_per_filter_config = disabled();
    table.virtual_hosts[0].typed_per_filter_config = disabled();
    table.virtual_hosts[0].routes[0].typed_per_filter_config = disabled();
    let config = read(&table).unwrap();
    let (_, host) = &config.hosts[0];
    let route = &host.host.routes[0];
    let Destination::Split(split) = &route.as_forward().unwrap().to else {
        panic!("it is a split");
    };
    let table = &config.table.settings().overrides;
    for level in [
        table,
        &host.host.overrides,
        &route.overrides,
        &split.parts()[0].overrides,
    ] {
        assert!(matches!(level.get("x"), Some(Override::Disabled)), "{level:?}");
    }
}

#[test]
#[expect(deprecated, reason = "the deprecated form is what is tested")]
fn cors_said_the_old_way_is_the_filter_s_setting() {
    let route = only(pb::RouteAction {
        cors: Some(pb::CorsPolicy {
            allow_methods: "GET".into(),
            ..pb::CorsPolicy::default()
        }),
        ..to("c")
    });
    let change = route.overrides.get("envoy.filters.http.cors");
    assert!(
        matches!(change, Some(Override::Replaced(Filter::Cors(_)))),
        "{change:?}"
    );
}

#[test]
fn a_share_of_a_split_has_its_host_and_its_header_changes() {
    let mut action = weighted(&[("c", 1)]);
    if let Some(ClusterSpecifier::WeightedClusters(split)) = &mut action.cluster_specifier {
        let host = HostRewriteSpecifier::HostRewriteLiteral("inner".into());
        split.clusters[0].host_rewrite_specifier = Some(host);
        split.clusters[0].request_headers_to_remove = vec!["x".into()];
    }
    let route = only(action);
    let Destination::Split(split) = &route.as_forward().unwrap().to else {
        panic!("it is a split");
    };
    assert!(split.parts()[0].host.is_some() && !split.parts()[0].headers.is_empty());
}

fn redirect(proto: pb::RedirectAction) -> Redirect {
    let config = read(&of_routes(vec![pb::Route {
        action: Some(Action::Redirect(proto)),
        ..route(prefix("/"), to("c"))
    }]));
    let route = found(&config.unwrap(), "http://a/", &[]).unwrap();
    match &route.action {
        Done::Redirect(redirect) => (**redirect).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_redirect_is_read_whole() {
    let read = redirect(pb::RedirectAction {
        scheme_rewrite_specifier: Some(SchemeRewriteSpecifier::HttpsRedirect(true)),
        ..pb::RedirectAction::default()
    });
    assert_eq!(
        (read.scheme, read.status),
        (RedirectScheme::Https, RedirectStatus::MovedPermanently)
    );
    let read = redirect(pb::RedirectAction {
        scheme_rewrite_specifier: Some(SchemeRewriteSpecifier::SchemeRedirect("HTTP".into())),
        host_redirect: "b".into(),
        port_redirect: 81,
        response_code: 4,
        strip_query: true,
        path_rewrite_specifier: Some(PathRewriteSpecifier::PathRedirect("/x".into())),
    });
    let mut expected = Redirect::default().with_host("b").unwrap().with_port(81).unwrap();
    expected.scheme = RedirectScheme::Http;
    expected.status = RedirectStatus::PermanentRedirect;
    expected.query = RedirectQuery::Strip;
    expected.path = RedirectPath::to("/x").unwrap();
    assert_eq!(format!("{read:?}"), format!("{expected:?}"));
}

#[test]
fn a_direct_response_has_its_status() {
    let action = pb::DirectResponseAction {
        status: 418,
        ..pb::DirectResponseAction::default()
    };
    let config = read(&of_routes(vec![pb::Route {
        action: Some(Action::DirectResponse(action)),
        ..route(prefix("/"), to("c"))
    }]));
    let route = found(&config.unwrap(), "http://a/", &[]).unwrap();
    assert!(matches!(&route.action, Done::Respond(direct) if direct.status() == 418));
}
