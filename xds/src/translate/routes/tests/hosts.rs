//! Which virtual host answers.

use super::*;

fn with(hosts: &[&[&str]]) -> pb::RouteConfiguration {
    let virtual_host = |domains: &&[&str]| pb::VirtualHost {
        routes: vec![named(domains[0], prefix("/"))],
        ..host("same", domains)
    };
    pb::RouteConfiguration {
        name: "rb".into(),
        virtual_hosts: hosts.iter().map(virtual_host).collect(),
        ..pb::RouteConfiguration::default()
    }
}

#[test]
fn the_most_specific_domain_answers() {
    let table = with(&[
        &["*"],
        &["www.Foo.com", "www.foo.com:*"],
        &["*.foo.com"],
        &["*-bar.foo.com"],
        &["foo-*"],
        &["foo-x*"],
        &["a.*.com"],
    ]);
    let config = read(&table).unwrap();
    let check = |host: &str, expected: &str| {
        let route = found(&config, &format!("http://{host}/"), &[]);
        assert_eq!(name_of(route).as_deref(), Some(expected), "{host}");
    };
    check("www.foo.com", "www.Foo.com");
    check("WWW.FOO.COM", "www.Foo.com");
    check("www.foo.com:8080", "www.Foo.com");
    check("b.foo.com", "*.foo.com");
    check("b.foo.com:80", "*");
    check("x-bar.foo.com", "*-bar.foo.com");
    check("-bar.foo.com", "*.foo.com");
    check("foo-a.org", "foo-*");
    check("foo-xy.org", "foo-x*");
    // A star in the middle is a letter that no host has.
    check("a.b.com", "*");
    check("foo.com", "*");
}

#[test]
fn a_host_with_its_port_answers_no_other_and_ports_can_be_ignored() {
    let mut table = with(&[&["a.com"], &["*:*"]]);
    let config = read(&table).unwrap();
    assert!(found(&config, "http://a.com/", &[]).is_some());
    assert!(found(&config, "http://a.com:80/", &[]).is_none());
    table.ignore_port_in_host_matching = true;
    let config = read(&table).unwrap();
    assert!(found(&config, "http://a.com:80/", &[]).is_some());
}

#[test]
fn no_two_virtual_hosts_claim_a_domain() {
    let check = |hosts: &[&[&str]], expected: &str| {
        let refused = read(&with(hosts)).unwrap_err();
        assert_eq!(refused, Reject::Resource(expected.into()), "{hosts:?}");
    };
    let only = "Only unique values for domains are permitted. Duplicate entry of domain";
    check(&[&["A.com"], &["a.com"]], &format!("{only} a.com in route rb"));
    check(&[&["a.com", "a.com"]], &format!("{only} a.com in route rb"));
    check(
        &[&["*.a.com"], &["*.A.com"]],
        &format!("{only} *.a.com in route rb"),
    );
    check(&[&["a:*"], &["a:*"]], &format!("{only} a:* in route rb"));
    let any = "Only a single wildcard domain is permitted in route rb";
    check(&[&["*"], &["*"]], any);
    // Names may be the same, and a prefix is not a suffix.
    assert!(read(&with(&[&["a.*"], &["*a."], &["a."]])).is_ok());
}

#[test]
fn what_came_first_is_what_is_said() {
    let bad = route(prefix("/"), weighted(&[("c", 0)]));
    let hosts = |first: pb::VirtualHost, second: pb::VirtualHost, third: pb::VirtualHost| {
        read(&pb::RouteConfiguration {
            virtual_hosts: vec![first, second, third],
            ..pb::RouteConfiguration::default()
        })
        .unwrap_err()
        .to_string()
    };
    let broken = || pb::VirtualHost {
        routes: vec![bad.clone()],
        ..host("bad", &["b"])
    };
    let sum = "Sum of weights in the weighted_cluster must be greater than 0.";
    assert_eq!(hosts(broken(), host("a", &["a"]), host("a", &["a"])), sum);
    let twice = hosts(host("a", &["a"]), host("a", &["a"]), broken());
    assert!(twice.starts_with("Only unique values"), "{twice}");
    let constraint = hosts(broken(), host("a", &["a"]), host("", &["c"]));
    assert!(constraint.contains("VirtualHosts[2]"), "{constraint}");
}

#[test]
fn clients_that_have_to_come_by_tls_are_sent_there() {
    let check = |require_tls: i32, fields: &[(&str, &str)], redirected: bool| {
        let mut table = with(&[&["*"]]);
        table.virtual_hosts[0].require_tls = require_tls;
        let config = read(&table).unwrap();
        let route = found(&config, "http://a/", fields).unwrap();
        let is = matches!(route.action, tidegate_proxy::route::Action::Redirect(_));
        assert_eq!(is, redirected, "{require_tls} {fields:?}");
    };
    let (plain, tls) = (("x-forwarded-proto", "http"), ("x-forwarded-proto", "https"));
    check(0, &[plain], false);
    check(2, &[plain], true);
    check(2, &[tls], false);
    check(1, &[plain], true);
    check(1, &[plain, ("x-envoy-internal", "true")], false);
}
