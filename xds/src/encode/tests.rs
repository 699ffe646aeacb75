use std::net::SocketAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::route::v3 as pb;
use http::StatusCode;
use tidegate_proxy::cluster::{ClusterSettings, Endpoint, Protocol};
use tidegate_proxy::route::{
    Domain, HeaderMatch, HeaderMutations, Mutation, PathMatch, PortMatching, Route, RouteLimits, Split,
    TableSettings, VirtualHost, WeightedCluster, Write,
};

use super::*;

mod round_trip;

fn host(name: &str, domains: &[&str], routes: Vec<Route>) -> VirtualHost {
    let domains = domains
        .iter()
        .map(|domain| Domain::parse(domain).expect("it is one"));
    VirtualHost::new(name, domains, routes)
}

fn routes(settings: &TableSettings, hosts: &[VirtualHost]) -> Result<pb::RouteConfiguration, Unsupported> {
    let resource = Encoder::default().routes("all", settings, hosts)?;
    Ok(pb::RouteConfiguration::decode(resource.body().clone()).expect("it decodes"))
}

fn forward() -> Route {
    Route::forward(Split::single("app", [].into()))
}

#[test]
fn a_domain_that_two_claim_is_the_first_ones() {
    let hosts = [
        host("one", &["a.example", "*"], vec![forward()]),
        host("two", &["a.example", "b.example"], vec![forward()]),
        host("three", &["*"], vec![forward()]),
    ];
    let all = routes(&TableSettings::default(), &hosts).expect("it is expressed");
    let domains: Vec<_> = all
        .virtual_hosts
        .iter()
        .map(|host| host.domains.join(" "))
        .collect();
    assert_eq!(domains, ["a.example *", "b.example"]);
}

#[test]
fn ports_mean_what_the_table_says() {
    let check = |ports, domains: &[&str], expected: Option<(&str, bool)>| {
        let settings = TableSettings {
            ports,
            ..TableSettings::default()
        };
        let all = routes(&settings, &[host("a", domains, vec![forward()])]);
        let said = all.ok().map(|all| {
            (
                all.virtual_hosts[0].domains.join(" "),
                all.ignore_port_in_host_matching,
            )
        });
        assert_eq!(
            said,
            expected.map(|(domains, ignored)| (domains.to_owned(), ignored)),
            "{ports:?} {domains:?}"
        );
    };
    check(PortMatching::Significant, &["a", "*.b"], Some(("a *.b", false)));
    check(PortMatching::Ignored, &["a", "*.b"], Some(("a *.b", true)));
    check(PortMatching::Either, &["a", "*.b"], Some(("a *.b", true)));
    check(PortMatching::Either, &["a", "c:80"], Some(("a:* a c:80", false)));
    check(PortMatching::Either, &["*.b", "c:80"], None);
}

#[test]
fn what_envoy_cannot_be_told_is_named() {
    let mut route = forward();
    if let tidegate_proxy::route::Action::Forward(forward) = &mut route.action {
        let forward = Arc::get_mut(forward).expect("nobody else has it");
        forward.limits = RouteLimits {
            body_bytes_max: Some(1),
            ..RouteLimits::default()
        };
    }
    let error = routes(
        &TableSettings::default(),
        &[host("app", &["a"], vec![forward(), route])],
    );
    let expected = "route table 'all': virtual host 'app': routes[1]: limits: how large a request of one route may be \
                    is not written for Envoy";
    assert_eq!(error.expect_err("it cannot").to_string(), expected);
}

#[test]
fn a_field_that_is_written_and_then_removed_is_named() {
    let mutations = |list: [Mutation; 2]| HeaderMutations::new(list, []).expect("they are few");
    let write = || Mutation::write("x-a", "%REQ(x-b)% 5%%", Write::Append).expect("it is valid");
    let remove = || Mutation::remove("x-a").expect("it is valid");
    let said = mutations::lists(&mutations([remove(), write()])).expect("it is expressed");
    assert_eq!(said.request_remove, ["x-a"]);
    let added = said.request_add[0].header.as_ref().expect("it has a field");
    assert_eq!(
        (added.key.as_str(), added.value.as_str()),
        ("x-a", "%REQ(x-b)% 5%%")
    );
    assert!(mutations::lists(&mutations([write(), remove()])).is_err());
}

#[test]
fn a_split_has_its_weights_fields_and_no_deadline() {
    let part = |cluster: &str, weight| WeightedCluster {
        cluster: cluster.into(),
        weight,
        headers: HeaderMutations::default(),
        overrides: Default::default(),
        host: None,
    };
    let mut route = Route::forward(Split::new([part("a", 80), part("b", 20)]).expect("it is one"));
    route.matcher.path = PathMatch::regex("/v[0-9]+").expect("it is one");
    route.matcher.headers = vec![HeaderMatch::exact(":method", "GET").expect("it is one")];
    let all =
        routes(&TableSettings::default(), &[host("app", &["a"], vec![route])]).expect("it is expressed");
    let route = &all.virtual_hosts[0].routes[0];
    let Some(pb::route::Action::Route(action)) = &route.action else {
        panic!("{route:?}")
    };
    assert_eq!(action.timeout, Some(duration(Duration::ZERO)));
    let text = format!("{route:?}");
    for part in [
        "name: \"a\"",
        "value: 80",
        "SafeRegex(RegexMatcher { regex: \"/v[0-9]+\"",
        "\":method\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_same_configuration_has_the_same_bytes() {
    let at = |port| Arc::new(Endpoint::new(SocketAddr::from(([127, 0, 0, 1], port))));
    let mut settings = ClusterSettings::new("app");
    settings.transport.protocol = Protocol::Http2;
    let endpoints = [at(1), at(2)];
    let encode = || {
        let encoder = Encoder::default();
        encoder
            .cluster_with(
                &settings,
                Endpoints::Inline(&endpoints),
                Some(b"\x0a\x03\x0a\x01a"),
            )
            .expect("it is expressed")
    };
    assert_eq!(encode(), encode());
    let decoded = cluster::Cluster::decode(encode().body().clone()).expect("it decodes");
    assert!(
        decoded
            .metadata
            .is_some_and(|metadata| metadata.filter_metadata.contains_key("a"))
    );
    assert_eq!(
        decoded
            .load_assignment
            .map(|all| all.endpoints[0].lb_endpoints.len()),
        Some(2)
    );
}

#[test]
fn a_route_configuration_names_its_clusters() {
    let hosts = [host(
        "app",
        &["a"],
        vec![forward(), Route::respond(StatusCode::OK, "x")],
    )];
    let resource = Encoder::default()
        .routes("all", &TableSettings::default(), &hosts)
        .expect("it is expressed");
    let names: Vec<_> = resource
        .references()
        .iter()
        .map(|reference| &*reference.name)
        .collect();
    assert_eq!(names, ["app"]);
}
