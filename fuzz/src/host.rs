//! Does the index of virtual hosts find what reading all domains one by one would find?
//!
//! Input: lines of domains, each line one virtual host (domains apart by spaces), then an empty line, then the
//! `Host` fields to look up, one a line.

use std::sync::Arc;

use tidegate_proxy::normalize::host;
use tidegate_proxy::route::{Domain, VirtualHost, VirtualHosts};

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
    let index = VirtualHosts::new(groups.iter().enumerate().map(|(number, domains)| VirtualHost {
        name: number.to_string().into(),
        domains: domains.clone(),
        routes: Vec::new(),
    }));
    for asked in asked.lines().take(LOOKUPS_MAX) {
        let Ok(host) = host::parse(asked.as_bytes()) else {
            continue;
        };
        assert_one_form(&host);
        let found = index.find(&host).map(|found| Arc::clone(&found.name));
        let expected = linear(&groups, &host).map(|number| number.to_string().into());
        assert_eq!(found, expected, "host {host:?} among {groups:?}");
    }
}

/// What every host must look like that virtual hosts are looked up by.
///
/// # Panics
/// When it has upper case, a port or a trailing dot, or is not its own normal form.
pub(crate) fn assert_one_form(host: &str) {
    assert!(
        !host.bytes().any(|byte| byte.is_ascii_uppercase()),
        "upper case in {host:?}"
    );
    assert!(!host.ends_with('.'), "a trailing dot in {host:?}");
    assert!(host.starts_with('[') || !host.contains(':'), "a port in {host:?}");
    let again = host::parse(host.as_bytes());
    assert_eq!(
        again.as_deref(),
        Ok(host),
        "{host:?} changes when it is normalised again"
    );
}

/// The group that answers `host`, by the definition: an exact domain, else the longest suffix, else `*`; of equal
/// ones the first.
fn linear(groups: &[Vec<Domain>], host: &str) -> Option<usize> {
    let rank = |domain: &Domain| match domain {
        Domain::Exact(name) => (**name == *host).then_some(usize::MAX),
        Domain::Suffix(suffix) => {
            (host.len() > suffix.len() && host.ends_with(&**suffix)).then_some(suffix.len())
        }
        Domain::Any => Some(0),
    };
    let mut best: Option<(usize, usize)> = None;
    for (number, domains) in groups.iter().enumerate() {
        for rank in domains.iter().filter_map(rank) {
            if best.is_none_or(|(highest, _)| rank > highest) {
                best = Some((rank, number));
            }
        }
    }
    best.map(|(_, number)| number)
}
