//! What is refused, in Envoy's words.

use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::{DataSource, HeaderValueOption};
use envoy_types::pb::envoy::config::route::v3::retry_policy::RetryBackOff;
use envoy_types::pb::envoy::config::route::v3::route_action::UpgradeConfig;
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher};
use envoy_types::pb::google::protobuf::Duration as Seconds;

use super::*;

const LEAST: &str = "value length must be at least 1 characters";
const WITHIN: &str = "embedded message failed validation | caused by";

/// A constraint of the only route is broken.
fn broken(route: pb::Route, expected: &str) {
    let refused = read(&of_routes(vec![route])).unwrap_err();
    let text = format!(
        "Proto constraint validation failed (RouteConfigurationValidationError.VirtualHosts[0]: {WITHIN} \
         VirtualHostValidationError.Routes[0]: {WITHIN} {expected})"
    );
    assert_eq!(refused, Reject::Message(text));
}

/// The only route means nothing that can be done.
fn refused(route: pb::Route, expected: &str) {
    let refused = read(&of_routes(vec![route])).unwrap_err();
    assert_eq!(refused, Reject::Resource(expected.into()));
}

fn forward(change: impl FnOnce(&mut pb::RouteAction)) -> pb::Route {
    let mut action = to("c");
    change(&mut action);
    route(prefix("/"), action)
}

fn regex(text: &str) -> RegexMatcher {
    RegexMatcher {
        regex: text.into(),
        ..RegexMatcher::default()
    }
}

#[test]
fn a_broken_constraint_of_a_route_is_named() {
    let bare = || route(prefix("/"), to("c"));
    broken(
        pb::Route {
            r#match: None,
            ..bare()
        },
        "RouteValidationError.Match: value is required",
    );
    let empty = pb::RouteMatch::default();
    let required = r#"field: "path_specifier", reason: is required"#;
    broken(
        route(empty, to("c")),
        &format!("RouteValidationError.Match: {WITHIN} {required}"),
    );
    broken(
        pb::Route {
            action: None,
            ..bare()
        },
        r#"field: "action", reason: is required"#,
    );
    let no_cluster = r#"field: "cluster_specifier", reason: is required"#;
    let action = format!("RouteValidationError.Route: {WITHIN}");
    broken(
        route(prefix("/"), pb::RouteAction::default()),
        &format!("{action} {no_cluster}"),
    );
    broken(
        forward(|action| *action = to("")),
        &format!("{action} RouteActionValidationError.Cluster: {LEAST}"),
    );
    let clusters = "WeightedClusterValidationError.Clusters: value must contain at least 1 item(s)";
    let split = format!("{action} RouteActionValidationError.WeightedClusters: {WITHIN} {clusters}");
    broken(forward(|action| *action = weighted(&[])), &split);
    let separated = r#"value does not match regex pattern "^[^?#]+[^?#/]$""#;
    let text = format!(
        "RouteValidationError.Match: {WITHIN} RouteMatchValidationError.PathSeparatedPrefix: {separated}"
    );
    for wrong in ["", "/", "/a/", "/a?b"] {
        broken(
            route(path(PathSpecifier::PathSeparatedPrefix(wrong.into())), to("c")),
            &text,
        );
    }
}

#[test]
fn a_broken_constraint_deep_in_an_action_is_named() {
    let action = format!("RouteValidationError.Route: {WITHIN} RouteActionValidationError");
    let upgrade =
        format!("{action}.UpgradeConfigs[0]: {WITHIN} UpgradeConfigValidationError.UpgradeType: {LEAST}");
    broken(
        forward(|action| action.upgrade_configs = vec![UpgradeConfig::default()]),
        &upgrade,
    );
    let hash = format!(r#"{action}.HashPolicy[0]: {WITHIN} field: "policy_specifier", reason: is required"#);
    broken(
        forward(|action| action.hash_policy = vec![Default::default()]),
        &hash,
    );
    let back_off = |base_interval: Option<Seconds>| {
        forward(|action| {
            action.retry_policy = Some(pb::RetryPolicy {
                retry_back_off: Some(RetryBackOff {
                    base_interval,
                    max_interval: None,
                }),
                ..pb::RetryPolicy::default()
            });
        })
    };
    let retry = format!("{action}.RetryPolicy: {WITHIN} RetryPolicyValidationError.RetryBackOff: {WITHIN}");
    let base = format!("{retry} RetryBackOffValidationError.BaseInterval");
    broken(back_off(None), &format!("{base}: value is required"));
    broken(
        back_off(Some(Seconds::default())),
        &format!("{base}: value must be greater than 0s"),
    );
    let status = pb::Route {
        action: Some(Action::DirectResponse(pb::DirectResponseAction {
            status: 100,
            ..Default::default()
        })),
        ..route(prefix("/"), to("c"))
    };
    let range = "DirectResponseActionValidationError.Status: value must be inside range [200, 600)";
    broken(
        status,
        &format!("RouteValidationError.DirectResponse: {WITHIN} {range}"),
    );
    let header = pb::Route {
        request_headers_to_add: vec![HeaderValueOption::default()],
        ..route(prefix("/"), to("c"))
    };
    let required = "HeaderValueOptionValidationError.Header: value is required";
    broken(
        header,
        &format!("RouteValidationError.RequestHeadersToAdd[0]: {WITHIN} {required}"),
    );
}

#[test]
fn a_broken_constraint_of_a_virtual_host_is_named() {
    let check = |host: pb::VirtualHost, expected: &str| {
        let table = pb::RouteConfiguration {
            virtual_hosts: vec![host],
            ..pb::RouteConfiguration::default()
        };
        let text = format!(
            "Proto constraint validation failed (RouteConfigurationValidationError.VirtualHosts[0]: {WITHIN} \
             VirtualHostValidationError.{expected})"
        );
        assert_eq!(read(&table).unwrap_err(), Reject::Message(text));
    };
    check(host("", &["*"]), &format!("Name: {LEAST}"));
    check(host("a", &[]), "Domains: value must contain at least 1 item(s)");
    let tls = pb::VirtualHost {
        require_tls: 9,
        ..host("a", &["*"])
    };
    check(tls, "RequireTls: value must be one of the defined enum values");
    let removed = pb::VirtualHost {
        request_headers_to_remove: vec![String::new()],
        ..host("a", &["*"])
    };
    check(removed, &format!("RequestHeadersToRemove[0]: {LEAST}"));
}

#[test]
fn what_means_nothing_is_refused() {
    let split = |clusters: &[(&str, u32)]| route(prefix("/"), weighted(clusters));
    refused(
        split(&[("c", 0)]),
        "Sum of weights in the weighted_cluster must be greater than 0.",
    );
    let too_much = pb::Route {
        name: "foo".into(),
        ..split(&[("c", u32::MAX), ("c", 1)])
    };
    refused(
        too_much,
        "The sum of weights of all weighted clusters of route foo exceeds 4294967295",
    );
    refused(
        split(&[("", 1)]),
        "At least one of name or cluster_header need to be specified",
    );
    let bad = PathSpecifier::SafeRegex(regex("(a"));
    refused(route(path(bad), to("c")), "missing ): (a");
    let upgrade = |name: &str| UpgradeConfig {
        upgrade_type: name.into(),
        ..UpgradeConfig::default()
    };
    let twice = vec![upgrade("WebSocket"), upgrade("websocket")];
    refused(
        forward(|action| action.upgrade_configs = twice),
        "Duplicate upgrade websocket",
    );
    let connect = UpgradeConfig {
        connect_config: Some(Default::default()),
        ..upgrade("WebSocket")
    };
    let why = "Non-CONNECT upgrade type WebSocket has ConnectConfig";
    refused(forward(|action| action.upgrade_configs = vec![connect]), why);
    let both = forward(|action| {
        action.prefix_rewrite = "/x".into();
        action.regex_rewrite = Some(RegexMatchAndSubstitute {
            pattern: Some(regex("a")),
            substitution: "b".into(),
        });
    });
    refused(
        both,
        "Specify only one of prefix_rewrite, regex_rewrite or path_rewrite_policy",
    );
    let plugin = ClusterSpecifier::ClusterSpecifierPlugin("foo".into());
    let why = "Unknown cluster specifier plugin name: foo is used in the route";
    refused(forward(|action| action.cluster_specifier = Some(plugin)), why);
    let mirror = forward(|action| action.request_mirror_policies = vec![Default::default()]);
    refused(
        mirror,
        "Exactly one of cluster or cluster_header in request mirror policy need to be specified",
    );
}

#[test]
fn a_direct_response_has_to_be_there_and_to_be_small() {
    let check = |specifier: Specifier, expected: &str| {
        let body = DataSource {
            specifier: Some(specifier),
            ..DataSource::default()
        };
        let action = pb::DirectResponseAction {
            status: 200,
            body: Some(body),
            ..Default::default()
        };
        let mut table = of_routes(vec![pb::Route {
            action: Some(Action::DirectResponse(action)),
            ..route(prefix("/"), to("c"))
        }]);
        table.max_direct_response_body_size_bytes = Some(UInt32Value { value: 3 });
        assert_eq!(read(&table).unwrap_err(), Reject::Resource(expected.into()));
    };
    check(
        Specifier::InlineString("abcd".into()),
        "response body size is 4 bytes; maximum is 3",
    );
    check(
        Specifier::Filename("/nonexistent".into()),
        "file /nonexistent does not exist",
    );
    let missing = "Environment variable doesn't exist: TIDEGATE_NONE";
    check(Specifier::EnvironmentVariable("TIDEGATE_NONE".into()), missing);
}

#[test]
fn what_selects_and_is_not_done_is_refused() {
    let check = |change: fn(&mut pb::RouteMatch), field: &str| {
        let mut matches = prefix("/");
        change(&mut matches);
        let text = format!("virtual_hosts[all].routes[0].{field} is not supported here");
        refused(route(matches, to("c")), &text);
    };
    check(
        |matches| matches.tls_context = Some(Default::default()),
        "match.tls_context",
    );
    check(
        |matches| matches.dynamic_metadata = vec![Default::default()],
        "match.dynamic_metadata",
    );
    let metadata = forward(|action| action.metadata_match = Some(Default::default()));
    let text = "virtual_hosts[all].routes[0].route.metadata_match is not supported here";
    refused(metadata, text);
}
