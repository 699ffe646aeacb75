//! What of one route configuration the next one shares.

use super::*;

fn table(names: &[&str]) -> pb::RouteConfiguration {
    let hosts = names.iter().map(|name| pb::VirtualHost {
        routes: vec![route(prefix("/"), weighted(&[(name, 100)]))],
        ..host(name, &[name])
    });
    pb::RouteConfiguration {
        name: "r1".into(),
        virtual_hosts: hosts.collect(),
        ..pb::RouteConfiguration::default()
    }
}

fn after(before: &RoutesConfig, proto: &pb::RouteConfiguration) -> RoutesConfig {
    routes(&proto.encode_to_vec().into(), &[before], &context()).unwrap()
}

fn virtual_host<'a>(config: &'a RoutesConfig, name: &str) -> &'a Arc<VirtualHost> {
    config.table.find(&Host::parse(name.as_bytes()).unwrap()).unwrap()
}

#[test]
fn only_a_virtual_host_that_changed_is_read_again() {
    let first = read(&table(&["a", "b", "c"])).unwrap();
    let mut changed = table(&["c", "a", "b"]);
    changed.virtual_hosts[1].routes[0] = route(prefix("/new"), to("a"));
    let second = after(&first, &changed);
    let same = |name: &str| Arc::ptr_eq(virtual_host(&first, name), virtual_host(&second, name));
    assert!(same("b") && same("c") && !same("a"));
    assert_eq!(second.hosts.len(), 3);
    // And what is gone is gone.
    let third = after(&second, &table(&["a"]));
    assert_eq!(third.hosts.len(), 1);
}

#[test]
fn another_table_shares_what_is_the_same() {
    let first = read(&table(&["a", "b"])).unwrap();
    let other = pb::RouteConfiguration {
        name: "r2".into(),
        ..table(&["b"])
    };
    let other = after(&first, &other);
    assert!(Arc::ptr_eq(virtual_host(&first, "b"), virtual_host(&other, "b")));
}

#[test]
fn tables_that_come_together_share_routes_unless_they_are_read_otherwise() {
    let mut made = Shared::default();
    let mut read = |name: &str, host: &str, ignore_parameters: bool| {
        let mut proto = pb::RouteConfiguration {
            name: name.into(),
            ignore_path_parameters_in_path_matching: ignore_parameters,
            ..table(&["a"])
        };
        proto.virtual_hosts[0].domains = vec![host.into()];
        let config = sharing(&proto.encode_to_vec().into(), &[], &mut made, &context()).unwrap();
        Arc::clone(&virtual_host(&config, host).routes[0])
    };
    let first = read("r1", "a", false);
    assert!(Arc::ptr_eq(&first, &read("r2", "b", false)));
    assert!(!Arc::ptr_eq(&first, &read("r3", "c", true)));
}

#[test]
fn hosts_share_routes_that_are_the_same_with_the_clusters_that_they_name() {
    let mut proto = table(&["a", "b"]);
    let same = route(prefix("/same"), weighted(&[("c", 100)]));
    for host in &mut proto.virtual_hosts {
        host.routes.push(same.clone());
    }
    let config = read(&proto).unwrap();
    let [a, b] = ["a", "b"].map(|name| virtual_host(&config, name));
    assert!(Arc::ptr_eq(&a.routes[1], &b.routes[1]) && !Arc::ptr_eq(&a.routes[0], &b.routes[0]));
    for (_, host) in &*config.hosts {
        assert_eq!(host.clusters.last().map(ClusterName::name), Some("c"));
    }
    // What a host says about its routes makes them others.
    proto.virtual_hosts[1].retry_policy = Some(pb::RetryPolicy {
        retry_on: "5xx".into(),
        ..pb::RetryPolicy::default()
    });
    let config = read(&proto).unwrap();
    let [a, b] = ["a", "b"].map(|name| virtual_host(&config, name));
    assert!(!Arc::ptr_eq(&a.routes[1], &b.routes[1]));
}

#[test]
fn a_change_of_what_holds_for_all_is_a_change_of_each() {
    let first = read(&table(&["a"])).unwrap();
    let mut changed = table(&["a"]);
    changed.most_specific_header_mutations_wins = true;
    let second = after(&first, &changed);
    assert!(Arc::ptr_eq(virtual_host(&first, "a"), virtual_host(&second, "a")));
    changed.max_direct_response_body_size_bytes = Some(UInt32Value { value: 1 });
    let third = after(&second, &changed);
    assert!(!Arc::ptr_eq(virtual_host(&first, "a"), virtual_host(&third, "a")));
}

#[test]
fn names_policies_and_header_changes_are_shared_between_hosts() {
    let config = read(&table(&["a", "a.b"])).unwrap();
    let policy = |name| Arc::clone(virtual_host(&config, name).routes[0].policy.as_ref().unwrap());
    assert!(Arc::ptr_eq(&policy("a"), &policy("a.b")));
}

#[test]
fn the_first_cluster_that_is_not_there_is_named_as_envoy_names_it() {
    let check = |action: pb::RouteAction, expected: &str| {
        let config = read(&of_routes(vec![
            route(prefix("/"), to("c")),
            route(prefix("/"), action),
        ]))
        .unwrap();
        let unknown = config.unknown_cluster(|name| name == "c");
        assert_eq!(unknown.as_deref(), Some(expected));
        assert_eq!(config.unknown_cluster(|_| true), None);
    };
    check(to("default/foo"), "route: unknown cluster 'default/foo'");
    let split = weighted(&[("c", 1), ("default/foo", 0)]);
    check(split, "route: unknown weighted cluster 'default/foo'");
    let mirror = pb::route_action::RequestMirrorPolicy {
        cluster: "m".into(),
        ..Default::default()
    };
    let mirrored = pb::RouteAction {
        request_mirror_policies: vec![mirror],
        ..to("c")
    };
    check(mirrored, "route: unknown shadow cluster 'm'");
}

#[test]
fn bytes_that_are_no_route_configuration_are_refused_whole() {
    let check = |bytes: &[u8]| {
        let refused = routes(&Bytes::copy_from_slice(bytes), &[], &context()).unwrap_err();
        let text = "Unable to unpack as envoy.config.route.v3.RouteConfiguration: ";
        assert!(
            matches!(&refused, Reject::Message(why) if why.starts_with(text)),
            "{refused}"
        );
    };
    check(b"\x12");
    check(b"\x12\x05a");
    check(b"\x12\x02\x0a\x05");
    check(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    let mut whole = table(&["a"]).encode_to_vec();
    whole.truncate(whole.len() - 1);
    check(&whole);
}

#[test]
fn unknown_fields_are_noted_or_refused() {
    let mut bytes = table(&["a"]).encode_to_vec();
    prost::encoding::uint32::encode(1000, &7, &mut bytes);
    let body = Bytes::from(bytes);
    assert!(routes(&body, &[], &context()).is_err());
    let lenient = Context {
        unknown_fields: UnknownFields::Ignored,
        ..context()
    };
    let config = routes(&body, &[], &lenient).unwrap();
    assert!(config.notes[0].what.starts_with(unknown::UNKNOWN_FIELDS));
}
