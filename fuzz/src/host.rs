//! Does the index of virtual hosts find what reading all domains one by one would find?
//!
//! Input: lines of domains, each line one virtual host (domains apart by spaces), then an empty line, then the
//! `Host` fields to look up, one a line.

use tidegate_proxy::normalize::host::Host;
use tidegate_proxy::route::{Domain, PortMatching, RouteTable, TableSettings, VirtualHost};

/// The most look-ups of one input: more teach nothing and slow the fuzzer down.
const LOOKUPS_MAX: usize = 64;

/// Runs one input.
///
/// # Panics
/// When the index and the linear search disagree, or a host's one form is not what it should be.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let (domains, asked) = text.split_once("\n\n").unwrap_or((text, ""));
    let groups: Vec<Vec<Domain>> = domains
        .lines()
        .map(|line| {
            line.split(' ')
                .filter_map(|domain| Domain::parse(domain).ok())
                .collect()
        })
        .collect();
    for ports in [
        PortMatching::Either,
        PortMatching::Significant,
        PortMatching::Ignored,
    ] {
        let table = table(ports, &groups);
        for asked in asked.lines().take(LOOKUPS_MAX) {
            let Ok(host) = Host::parse(asked.as_bytes()) else {
                continue;
            };
            assert_one_form(&host);
            let found = table.find(&host).map(|found| found.name().to_owned());
            let ported = (host.with_port(), host.with_port().len() - host.name().len());
            let names: &[(&str, usize)] = match ports {
                PortMatching::Either => &[ported, (host.name(), 0)],
                PortMatching::Significant => &[(host.with_port(), 0)],
                PortMatching::Ignored => &[(host.name(), 0)],
            };
            let expected = linear(&groups, names).map(|number| number.to_string());
            assert_eq!(found, expected, "host {host} among {groups:?}, {ports:?}");
        }
    }
}

fn table(ports: PortMatching, groups: &[Vec<Domain>]) -> RouteTable {
    let settings = TableSettings {
        ports,
        ..TableSettings::default()
    };
    let hosts = groups
        .iter()
        .enumerate()
        .map(|(number, domains)| VirtualHost::new(number.to_string(), domains.iter().cloned(), NO_ROUTES));
    RouteTable::new(settings, hosts)
}

const NO_ROUTES: [tidegate_proxy::route::Route; 0] = [];

/// What every host must look like that virtual hosts are looked up by.
///
/// # Panics
/// When it has upper case, a port or a trailing dot in its name, or is not its own normal form.
pub(crate) fn assert_one_form(host: &Host) {
    let name = host.name();
    assert!(
        !name.bytes().any(|byte| byte.is_ascii_uppercase()),
        "upper case in {name:?}"
    );
    assert!(!name.ends_with('.'), "a trailing dot in {name:?}");
    assert!(name.starts_with('[') || !name.contains(':'), "a port in {name:?}");
    for text in [name, host.with_port()] {
        let again = Host::parse(text.as_bytes());
        let again = again.as_ref().map(Host::with_port);
        assert_eq!(again, Ok(text), "{text:?} changes when it is normalised again");
    }
}

/// How much of a name, and of its port at least so much, a domain of one kind matches.
type Match = fn(&Domain, &str, usize) -> Option<usize>;

/// The group that answers a host with these names, by the definition: an exact domain, else the longest suffix, else the
/// longest prefix, else `*`; in each kind the first name first, of equal domains the first. With each name stands how many
/// of its last bytes are a colon and a port that a domain must have too.
fn linear(groups: &[Vec<Domain>], names: &[(&str, usize)]) -> Option<usize> {
    let kinds: [Match; 4] = [
        |domain, name, _| matches!(domain, Domain::Exact(text) if **text == *name).then_some(0),
        |domain, name, port| match domain {
            Domain::Suffix(text) if name.len() > text.len() && name.ends_with(&**text) => {
                (text.len() >= port).then_some(text.len())
            }
            _ => None,
        },
        |domain, name, port| match domain {
            Domain::Prefix(text) if name.len() > text.len() && name.starts_with(&**text) => {
                (port == 0 || text.len() > name.len() - port).then_some(text.len())
            }
            _ => None,
        },
        |domain, _, _| matches!(domain, Domain::Any).then_some(0),
    ];
    let mut places = kinds
        .iter()
        .flat_map(|kind| names.iter().map(move |(name, port)| (kind, *name, *port)));
    places.find_map(|(kind, name, port)| {
        let mut best: Option<(usize, usize)> = None;
        for (number, domains) in groups.iter().enumerate() {
            for length in domains.iter().filter_map(|domain| kind(domain, name, port)) {
                if best.is_none_or(|(longest, _)| length > longest) {
                    best = Some((length, number));
                }
            }
        }
        best.map(|(_, number)| number)
    })
}
