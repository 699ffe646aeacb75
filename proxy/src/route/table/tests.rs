use super::*;
use crate::route::Route;

fn host(name: &str, domains: &[&str]) -> VirtualHost {
    let domains = domains.iter().map(|domain| Domain::parse(domain).unwrap());
    VirtualHost::new(name, domains, [] as [Route; 0])
}

fn table(ports: PortMatching, domains: &[&str]) -> RouteTable {
    let settings = TableSettings {
        ports,
        ..TableSettings::default()
    };
    RouteTable::new(settings, domains.iter().map(|domain| host(domain, &[domain])))
}

fn check(table: &RouteTable, asked: &str, expected: &str) {
    let asked_host = Host::parse(asked.as_bytes()).unwrap();
    let found = table.find(&asked_host).map_or("none", |host| host.name());
    assert_eq!(found, expected, "{asked}");
}

#[test]
fn exact_then_longest_suffix_then_longest_prefix_then_any() {
    let domains = ["www.foo.com", "*.foo.com", "*-bar.foo.com", "foo.*", "foo-*", "*"];
    let table = table(PortMatching::Significant, &domains);
    check(&table, "www.foo.com", "www.foo.com");
    check(&table, "WWW.FOO.com", "www.foo.com");
    check(&table, "x.foo.com", "*.foo.com");
    check(&table, "x-bar.foo.com", "*-bar.foo.com");
    check(&table, "-bar.foo.com", "*.foo.com");
    check(&table, "foo.com", "foo.*");
    check(&table, "foo-x.org", "foo-*");
    check(&table, "foo-", "*");
    check(&table, "[::1]", "*");
}

#[test]
fn a_port_is_a_part_of_the_name_where_it_is_significant() {
    let table = table(PortMatching::Significant, &["a", "a:*", "b:80", "*.c", "[::1]:1"]);
    check(&table, "a", "a");
    check(&table, "a:80", "a:*");
    check(&table, "b:80", "b:80");
    check(&table, "b", "none");
    check(&table, "x.c:80", "none");
    check(&table, "[::1]:1", "[::1]:1");
}

#[test]
fn a_port_is_nothing_where_it_is_ignored() {
    let table = table(PortMatching::Ignored, &["a", "a:80", "*.c"]);
    check(&table, "a:80", "a");
    check(&table, "x.c:80", "*.c");
}

#[test]
fn either_prefers_a_domain_with_the_port_among_those_of_its_kind() {
    let table = table(
        PortMatching::Either,
        &["a", "a:80", "b*", "b.x", "b.x:*", "*.c", "*.c:80", "*"],
    );
    check(&table, "a", "a");
    check(&table, "a:80", "a:80");
    check(&table, "a:81", "a");
    check(&table, "b.x:80", "b.x");
    check(&table, "b.y:80", "b*");
    check(&table, "x.c:80", "*.c:80");
    check(&table, "x.c:81", "*.c");
    check(&table, "[::1]:80", "*");
}

#[test]
fn either_compares_a_domain_without_a_port_with_the_name_alone() {
    for others in [&[][..], &["other:1"]] {
        let domains = [&["[::1]*", "b.*", "*80"], others].concat();
        let table = table(PortMatching::Either, &domains);
        check(&table, "[::1]:80", "none");
        check(&table, "b.:80", "none");
        check(&table, "a:80", "none");
        check(&table, "a80:81", "*80");
        check(&table, "b.x:80", "b.*");
    }
}

#[test]
fn the_first_host_that_claims_a_domain_has_it() {
    let hosts = VirtualHosts::new([host("first", &["a"]), host("second", &["a", "b"])]);
    assert_eq!(hosts.find("a").map(|host| host.name()), Some("first"));
    assert_eq!(hosts.find("b").map(|host| host.name()), Some("second"));
    assert!(hosts.find("c").is_none());
}

#[test]
fn domains_that_no_host_header_can_name_are_refused() {
    let check = |text: &str, reason: &str| {
        let error = Domain::parse(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    };
    check("", "empty");
    check("a.*.b", "'*'");
    check("*.a.*", "'*'");
    check("a b", "character");
    let parse = |text| Domain::parse(text).unwrap();
    assert_eq!(parse("A.Example"), Domain::Exact("a.example".into()));
    assert_eq!(parse("*-A.b:80"), Domain::Suffix("-a.b:80".into()));
    assert_eq!(parse("a:*"), Domain::Prefix("a:".into()));
    assert_eq!(parse("*"), Domain::Any);
}

#[test]
fn an_address_is_not_taken_for_a_host_with_a_port() {
    let check =
        |text: &str, expected: bool| assert_eq!(Domain::parse(text).unwrap().has_port(), expected, "{text}");
    check("[::1]", false);
    check("[::1]:80", true);
    check("*:1]", false);
    check("[::*", false);
    check("a", false);
    check("a:*", true);
    check("*", false);
}

/// What each domain leads to, in the order of the domains.
fn answers(hosts: &VirtualHosts) -> Vec<(String, Arc<VirtualHost>)> {
    let domains = hosts.domains();
    let mut answers: Vec<_> = domains
        .map(|(domain, host)| (domain.to_string(), Arc::clone(host)))
        .collect();
    answers.sort_by(|one, other| one.0.cmp(&other.0));
    answers
}

#[test]
fn an_index_made_from_the_one_before_is_as_one_made_anew() {
    let mut hosts: Vec<Arc<VirtualHost>> = (0..40)
        .map(|number| {
            let name = format!("host-{number}");
            let domains = [name.clone(), format!("{name}:*"), format!("*.{name}")];
            Arc::new(host(&name, &domains.each_ref().map(String::as_str)))
        })
        .collect();
    let mut index = VirtualHosts::new(hosts.iter().cloned());
    let steps: [fn(&mut Vec<Arc<VirtualHost>>); 12] = [
        |hosts| hosts[7] = Arc::new(host("host-7", &["host-7", "new:80"])),
        |hosts| _ = hosts.remove(3),
        |hosts| hosts.insert(9, Arc::new(host("any", &["*", "*.long.suffix"]))),
        |hosts| hosts.swap(2, 30),
        |hosts| hosts.retain(|host| host.name() != "any"),
        |hosts| hosts.push(Arc::clone(&hosts[4])),
        |hosts| _ = hosts.pop(),
        // A name of one host, with any port of another: each may go by itself.
        |hosts| hosts.push(Arc::new(host("x", &["x"]))),
        |hosts| hosts.push(Arc::new(host("x with ports", &["x:*"]))),
        |hosts| hosts.retain(|host| host.name() != "x"),
        |hosts| hosts.retain(|host| host.name() != "x with ports"),
        |hosts| hosts[7] = Arc::new(host("again", &["host-20"])),
    ];
    for step in steps {
        step(&mut hosts);
        let anew = VirtualHosts::new(hosts.iter().cloned());
        index = VirtualHosts::after(&index, hosts.iter().cloned());
        assert_eq!(index.repeated(), anew.repeated());
        assert_eq!(
            (index.ports, index.any.is_some()),
            (anew.ports, anew.any.is_some())
        );
        let (answered, expected) = (answers(&index), answers(&anew));
        assert_eq!(answered.len(), expected.len());
        for ((domain, host), (_, same)) in answered.iter().zip(&expected) {
            assert!(Arc::ptr_eq(host, same), "{domain}");
        }
        for asked in [
            "host-7",
            "new:80",
            "host-20",
            "host-3:1",
            "host-4:1",
            "host-20:9",
            "x",
            "x:9",
            "x.host-30",
            "a.long.suffix",
            "b",
        ] {
            let name = |index: &VirtualHosts| index.find(asked).map(|host| host.name().to_owned());
            assert_eq!(name(&index), name(&anew), "{asked}");
        }
    }
    assert_eq!(index.repeated(), Some(&Domain::Exact("host-20".into())));
}

/// How much of a name a domain of each kind takes, where it does; the port has so many bytes, which a domain takes too.
fn taken(domain: &Domain, name: &str, port: usize) -> [Option<usize>; 4] {
    let longer = |text: &str| name.len() > text.len();
    let within = |length: usize| (port == 0 || length > name.len() - port).then_some(length);
    match domain {
        Domain::Exact(text) => [(**text == *name).then_some(0), None, None, None],
        Domain::Suffix(text) if longer(text) && name.ends_with(&**text) => {
            [None, (text.len() >= port).then_some(text.len()), None, None]
        }
        Domain::Prefix(text) if longer(text) && name.starts_with(&**text) => {
            [None, None, within(text.len()), None]
        }
        Domain::Any => [None, None, None, Some(0)],
        Domain::Suffix(_) | Domain::Prefix(_) => [None; 4],
    }
}

/// Which of the groups answers a name, by the definition.
fn by_definition(groups: &[&[&str]], names: &[(&str, usize)]) -> Option<usize> {
    let domains = groups.iter().enumerate().flat_map(|(number, domains)| {
        let domains = domains.iter().map(|domain| Domain::parse(domain).unwrap());
        domains.map(move |domain| (domain, number))
    });
    let domains: Vec<(Domain, usize)> = domains.collect();
    (0..4).find_map(|kind| {
        names.iter().find_map(|(name, port)| {
            let found = domains.iter().filter_map(|(domain, number)| {
                let length = taken(domain, name, *port)[kind]?;
                Some((length, std::cmp::Reverse(*number)))
            });
            found.max().map(|(_, number)| number.0)
        })
    })
}

#[test]
fn names_with_any_port_are_found_as_the_prefixes_that_they_are() {
    let pool: [&[&str]; 13] = [
        &["a", "a:*"],
        &["a:*", "a"],
        &["a"],
        &["a:*"],
        &["a:8*", "b"],
        &["a*"],
        &["*:80", "*"],
        &["b", "b:*", "a:80"],
        &["[::1]:*", "[::1]"],
        &["[:*", "b:*"],
        &["[*", "*80"],
        &["a.b:*", "a.b"],
        &["*b", ":*"],
    ];
    let modes = [
        PortMatching::Either,
        PortMatching::Significant,
        PortMatching::Ignored,
    ];
    for picked in 0..pool.len().pow(3) {
        let places = [picked, picked / pool.len(), picked / pool.len().pow(2)];
        let groups = places.map(|place| pool[place % pool.len()]);
        for ports in modes {
            agrees(&groups, ports);
        }
    }
}

/// The index of these groups answers as the definition does.
fn agrees(groups: &[&[&str]], ports: PortMatching) {
    let settings = TableSettings {
        ports,
        ..TableSettings::default()
    };
    let hosts = groups.iter().enumerate();
    let hosts = hosts.map(|(number, domains)| host(&number.to_string(), domains));
    let table = RouteTable::new(settings, hosts);
    for asked in [
        "a", "a:80", "a:9", "b:80", "c:80", "[::1]", "[::1]:80", "a.b", "a.b:1",
    ] {
        let asked = Host::parse(asked.as_bytes()).unwrap();
        let ported = (asked.with_port(), asked.with_port().len() - asked.name().len());
        let names: &[(&str, usize)] = match ports {
            PortMatching::Either => &[ported, (asked.name(), 0)],
            PortMatching::Significant => &[(asked.with_port(), 0)],
            PortMatching::Ignored => &[(asked.name(), 0)],
        };
        let expected = by_definition(groups, names).map(|number| number.to_string());
        let found = table.find(&asked).map(|host| host.name().to_owned());
        assert_eq!(found, expected, "{asked} among {groups:?}, {ports:?}");
    }
}
