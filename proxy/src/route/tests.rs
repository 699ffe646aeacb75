use std::collections::HashMap;

use super::*;

fn host(name: &str, domains: &[&str]) -> VirtualHost {
    let domains = domains
        .iter()
        .map(|domain| Domain::parse(domain).unwrap())
        .collect();
    VirtualHost {
        name: name.into(),
        domains,
        routes: Vec::new(),
    }
}

#[test]
fn exact_names_come_before_the_longest_suffix_and_that_before_any() {
    let hosts = VirtualHosts::new([
        host("any", &["*"]),
        host("wide", &["*.example.com"]),
        host("narrow", &["*.a.example.com"]),
        host("exact", &["x.a.example.com", "[::1]"]),
    ]);
    let check = |asked: &str, expected: &str| {
        assert_eq!(
            hosts.find(asked).map(|host| &*host.name),
            Some(expected),
            "{asked}"
        );
    };
    check("x.a.example.com", "exact");
    check("[::1]", "exact");
    check("y.a.example.com", "narrow");
    check("deep.y.a.example.com", "narrow");
    check("a.example.com", "wide");
    check("example.com", "any");
    check(".example.com", "any");
    check("", "any");
}

#[test]
fn the_first_host_that_claims_a_domain_has_it() {
    let hosts = VirtualHosts::new([host("first", &["a"]), host("second", &["a", "b"])]);
    assert_eq!(hosts.find("a").map(|host| &*host.name), Some("first"));
    assert_eq!(hosts.find("b").map(|host| &*host.name), Some("second"));
    assert!(hosts.find("c").is_none());
}

#[test]
fn domains_that_no_host_header_can_name_are_refused() {
    let check = |text: &str, reason: &str| {
        let error = Domain::parse(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    };
    check("", "empty");
    check("a:80", "port");
    check("a.*", "character");
    check("*a.b", "wildcard");
    check("*.", "wildcard");
    check("a b", "character");
    assert_eq!(
        Domain::parse("A.Example").unwrap(),
        Domain::Exact("a.example".into())
    );
}

fn part(cluster: &str, weight: u32) -> WeightedCluster {
    WeightedCluster {
        cluster: cluster.into(),
        weight,
        request_headers: Arc::new([]),
    }
}

#[test]
fn a_split_keeps_its_shares_exactly_over_each_round() {
    let split = Split::new([part("a", 90), part("none", 0), part("b", 9), part("c", 1)]).unwrap();
    for _round in 0..3 {
        let mut counts: HashMap<&str, u32> = HashMap::new();
        for _ in 0..100 {
            *counts.entry(&split.pick().cluster).or_default() += 1;
        }
        assert_eq!(counts, HashMap::from([("a", 90), ("b", 9), ("c", 1)]));
    }
}

#[test]
fn a_split_of_halves_alternates_without_long_runs() {
    let split = Split::new([part("a", 50), part("b", 50)]).unwrap();
    let picks: Vec<_> = (0..100).map(|_| split.pick().cluster.clone()).collect();
    let longest = picks.chunk_by(|a, b| a == b).map(<[_]>::len).max();
    assert!(longest <= Some(2), "{longest:?}");
}

#[test]
fn a_split_without_weight_is_refused() {
    assert_eq!(Split::new([part("a", 0)]).unwrap_err(), InvalidSplit);
    assert_eq!(Split::new([]).unwrap_err(), InvalidSplit);
    assert_eq!(
        Split::new([part("a", u32::MAX), part("b", 1)]).unwrap_err(),
        InvalidSplit
    );
}
