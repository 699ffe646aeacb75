//! Who else gets a copy of a request.

use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::config::route::v3::route_action::RequestMirrorPolicy;
use envoy_types::pb::envoy::r#type::v3::FractionalPercent;
use tidegate_proxy::route::{ForwardPolicy, Fraction, MirrorHost, MirrorTo};

use super::*;

/// The policy of the only route.
fn policy(config: &pb::RouteConfiguration) -> Arc<ForwardPolicy> {
    let read = read(config).unwrap();
    let route = found(&read, "http://a.example/", &[]).unwrap();
    route.policy.clone().unwrap()
}

fn config(mirrors: Vec<RequestMirrorPolicy>) -> pb::RouteConfiguration {
    let action = pb::RouteAction {
        request_mirror_policies: mirrors,
        ..super::to("c")
    };
    of_routes(vec![route(prefix("/"), action)])
}

fn to(cluster: &str) -> RequestMirrorPolicy {
    RequestMirrorPolicy {
        cluster: cluster.into(),
        ..RequestMirrorPolicy::default()
    }
}

#[test]
fn copies_go_where_the_most_specific_level_says() {
    let check = |levels: [&str; 3], expected: &str| {
        let [route, host, table] = levels.map(|name| match name {
            "" => Vec::new(),
            name => vec![to(name)],
        });
        let mut config = config(route);
        config.request_mirror_policies = table;
        config.virtual_hosts[0].request_mirror_policies = host;
        let policy = policy(&config);
        let found: Vec<_> = policy.mirrors.iter().map(|mirror| mirror.to.clone()).collect();
        assert_eq!(found, [MirrorTo::Cluster(expected.into())], "{levels:?}");
    };
    check(["a", "b", "c"], "a");
    check(["", "b", "c"], "b");
    check(["", "", "c"], "c");
}

#[test]
fn shares_and_hosts_are_what_is_said() {
    let check = |mirror: RequestMirrorPolicy, share: Option<u32>, host: MirrorHost| {
        let policy = policy(&config(vec![mirror]));
        let share = share.map(|take| Fraction { take, of: 1_000_000 });
        assert_eq!((policy.mirrors[0].share, &policy.mirrors[0].host), (share, &host));
    };
    check(to("m"), None, MirrorHost::Suffixed);
    let tenth = RequestMirrorPolicy {
        runtime_fraction: Some(RuntimeFractionalPercent {
            default_value: Some(FractionalPercent {
                numerator: 10,
                ..FractionalPercent::default()
            }),
            ..RuntimeFractionalPercent::default()
        }),
        disable_shadow_host_suffix_append: true,
        ..to("m")
    };
    check(tenth, Some(100_000), MirrorHost::Same);
    let literal = RequestMirrorPolicy {
        host_rewrite_literal: "m.example".into(),
        ..to("m")
    };
    let host = http::HeaderValue::from_static("m.example");
    check(literal, None, MirrorHost::Literal(host));
    let by_header = RequestMirrorPolicy {
        cluster_header: "x-copy".into(),
        ..RequestMirrorPolicy::default()
    };
    check(by_header, None, MirrorHost::Suffixed);
}
