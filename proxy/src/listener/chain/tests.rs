//! The chain that takes a connection is Envoy's.

use super::*;

/// A chain whose name is what it is expected by.
fn chain(name: &str, change: impl FnOnce(&mut ChainMatch)) -> FilterChain {
    let mut chain = FilterChain::plain(HttpSettings::default()).named(name);
    change(&mut chain.matches);
    chain
}

fn named(name: &str, server_names: &[&str]) -> FilterChain {
    chain(name, |matches| {
        matches.server_names = server_names.iter().map(ToString::to_string).collect();
    })
}

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

const ARRIVAL: Arrival<'static> = Arrival {
    destination: None,
    source: None,
    direct: None,
    transport: Transport::Raw,
    server_name: None,
    application_protocols: &[],
};

#[track_caller]
fn check(chains: &FilterChains, arrival: Arrival<'_>, expected: Option<&str>) {
    let found = chains.select(&arrival).map(|chain| &*chain.name);
    assert_eq!(found, expected, "{arrival:?}");
}

#[test]
fn the_longest_server_name_wins() {
    let with_index = vec![
        named("exact", &["a.b.example"]),
        named("long", &["*.b.example", "*.c.example"]),
        named("short", &["*.example"]),
        named("nameless", &[]),
    ];
    let mut without = with_index.clone();
    without.push(chain("port", |matches| matches.destination_port = Some(1)));
    for chains in [with_index, without] {
        let chains = FilterChains::new(chains, None).unwrap();
        for (name, expected) in [
            (Some("a.b.example"), "exact"),
            (Some("x.b.example"), "long"),
            (Some("x.y.c.example"), "long"),
            (Some("b.example"), "short"),
            (Some("example"), "nameless"),
            (None, "nameless"),
        ] {
            check(
                &chains,
                Arrival {
                    server_name: name,
                    ..ARRIVAL
                },
                Some(expected),
            );
        }
    }
}

#[test]
fn criteria_count_in_order_and_there_is_no_way_back() {
    let chains = FilterChains::new(
        vec![
            chain("port", |matches| {
                matches.destination_port = Some(443);
                matches.server_names = vec!["a.example".into()];
            }),
            chain("subnet", |matches| {
                matches.destinations = prefixes(&["10.1.0.0/16"]);
            }),
            chain("net", |matches| {
                matches.destinations = prefixes(&["10.0.0.0/8"]);
                matches.server_names = vec!["a.example".into()];
            }),
        ],
        Some(chain("default", |_| ())),
    )
    .unwrap();
    let to = |destination: &str, server_name| Arrival {
        destination: Some(destination.parse().unwrap()),
        server_name,
        ..ARRIVAL
    };
    check(&chains, to("10.1.0.1:443", Some("a.example")), Some("port"));
    check(&chains, to("10.1.0.1:443", Some("b.example")), Some("default"));
    check(&chains, to("10.1.0.1:80", Some("a.example")), Some("subnet"));
    check(
        &chains,
        to("[::ffff:10.2.0.1]:80", Some("a.example")),
        Some("net"),
    );
    check(&chains, to("10.2.0.1:80", None), Some("default"));
    check(&chains, to("11.0.0.1:80", None), Some("default"));
    check(&chains, ARRIVAL, Some("default"));
}

#[test]
fn the_clients_order_of_protocols_decides() {
    let speaks = |name: &str, protocols: &[&str]| {
        chain(name, |matches| {
            matches.application_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        })
    };
    let chains = FilterChains::new(vec![speaks("h2", &["h2"]), speaks("h1", &["http/1.1"])], None).unwrap();
    let offering = |protocols| Arrival {
        application_protocols: protocols,
        ..ARRIVAL
    };
    check(&chains, offering(&[b"http/1.1", b"h2"]), Some("h1"));
    check(&chains, offering(&[b"x", b"h2", b"http/1.1"]), Some("h2"));
    check(&chains, offering(&[b"x"]), None);
}

#[test]
fn where_a_client_is_counts_last() {
    let chains = FilterChains::new(
        vec![
            chain("here", |matches| matches.source_type = Some(SourceType::SameHost)),
            chain("port", |matches| {
                matches.source_type = Some(SourceType::External);
                matches.source_ports = vec![7];
            }),
            chain("net", |matches| {
                matches.source_type = Some(SourceType::External);
                matches.sources = prefixes(&["2001:db8::/32"]);
            }),
            chain("balancer", |matches| {
                matches.direct_sources = prefixes(&["192.0.2.1"]);
            }),
        ],
        None,
    )
    .unwrap();
    let from = |source: &str| Arrival {
        source: Some(source.parse().unwrap()),
        destination: Some("198.51.100.1:80".parse().unwrap()),
        ..ARRIVAL
    };
    check(&chains, from("127.0.0.1:7"), Some("here"));
    check(&chains, from("198.51.100.1:9"), Some("here"));
    check(&chains, ARRIVAL, Some("here"));
    check(&chains, from("203.0.113.1:7"), Some("port"));
    check(&chains, from("[2001:db8::1]:9"), Some("net"));
    check(&chains, from("203.0.113.1:9"), None);
    let direct = Some([192, 0, 2, 1].into());
    check(
        &chains,
        Arrival {
            direct,
            ..from("127.0.0.1:7")
        },
        Some("balancer"),
    );
}

#[test]
fn chains_that_cannot_stand_together_are_refused() {
    let refused = |chains| FilterChains::new(chains, None).unwrap_err().to_string();
    assert!(refused(Vec::new()).contains("at least one"));
    assert_eq!(
        refused(vec![
            named("one", &["a.example", "b.example"]),
            named("two", &["B.example"])
        ]),
        "filter chain 'two' has the same matching rules defined as 'one'"
    );
    assert!(refused(vec![named("one", &[]), named("two", &[])]).contains("'two'"));
    for name in ["a.*.example", "*a.example", "*", "*.*.example"] {
        assert!(
            refused(vec![named("one", &[name])]).contains("partial wildcards"),
            "{name}"
        );
    }
    for name in ["", "*.", "a b"] {
        assert!(
            refused(vec![named("one", &[name])]).contains("not a server name"),
            "{name:?}"
        );
    }
    let tls = chain("one", |matches| matches.transport = Some(Transport::Tls));
    assert!(refused(vec![tls]).contains("does not speak"));
    let many: Vec<u16> = (0..60_000).collect();
    let product = chain("one", |matches| {
        matches.source_ports = many;
        matches.server_names = vec!["a".into(), "b".into()];
    });
    assert!(refused(vec![product]).contains("combinations"));
}

#[test]
fn prefixes_hold_what_they_say() {
    let check = |prefix: &str, address: &str, expected| {
        let prefix: Prefix = prefix.parse().unwrap();
        assert_eq!(
            prefix.contains(address.parse().unwrap()),
            expected,
            "{prefix} {address}"
        );
    };
    check("10.0.0.0/8", "10.255.0.1", true);
    check("10.0.0.0/8", "11.0.0.1", false);
    check("10.0.0.0/8", "::ffff:10.0.0.1", true);
    check("::ffff:10.0.0.0/104", "10.9.9.9", true);
    check("0.0.0.0/0", "1.2.3.4", true);
    check("0.0.0.0/0", "::1", false);
    check("::/0", "::1", true);
    check("2001:db8::/33", "2001:db8:8000::", false);
    for wrong in [
        "10.0.0.0/33",
        "::/129",
        "10.0.0/8",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "",
    ] {
        assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
    }
    assert_eq!("10.1.2.3/8".parse::<Prefix>().unwrap().to_string(), "10.0.0.0/8");
}
