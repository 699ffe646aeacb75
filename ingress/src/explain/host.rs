//! Which virtual host has the request's host, and which domains were passed over?

use tidegate_proxy::normalize::host::Host;
use tidegate_proxy::route::{Domain, PortMatching, Route, RouteTable, TableSettings, VirtualHost};
use tidegate_xds::translate::routes::RoutesConfig;

use super::words;
use crate::limits::CANDIDATES_SHOWN_MAX;
use crate::page::Page;

/// The kinds of domains, the most specific first.
const KINDS: [&str; 4] = ["exact", "suffix", "prefix", "*"];
/// How many domains of a kind are named that did not match.
const NAMED_MAX: usize = 3;

/// What was found.
pub(super) struct Found<'a> {
    pub(super) host: Option<&'a VirtualHost>,
    /// The domain that decided.
    by: Option<Domain>,
    /// The kinds of domains before it, and why none of each is meant.
    before: Vec<String>,
    /// Domains that match too, less specifically.
    behind: Vec<String>,
}

/// Finds it, as the proxy does.
pub(super) fn find<'a>(routes: &'a RoutesConfig, host: &Host) -> Found<'a> {
    let settings = routes.table.settings();
    let chosen = routes.table.find(host);
    let all = || {
        let hosts = routes.hosts.iter().map(|(_, config)| &config.host);
        hosts.flat_map(|host| host.domains().map(move |domain| (domain, host)))
    };
    let mut matching: Vec<_> = all()
        .filter(|(domain, _)| takes(domain, host, settings.ports))
        .collect();
    matching.sort_by_key(|(domain, _)| (kind(domain), std::cmp::Reverse(length(domain))));
    let by = matching
        .iter()
        .position(|(_, of)| chosen.is_some_and(|chosen| std::ptr::eq(&**chosen, &***of)));
    let (by, behind) = match by {
        Some(place) => {
            let (domain, _) = matching.remove(place);
            (Some(domain), matching)
        }
        None => (None, Vec::new()),
    };
    let asked = match settings.ports {
        PortMatching::Ignored => host.name(),
        PortMatching::Either | PortMatching::Significant => host.with_port(),
    };
    let kinds = by.as_ref().map_or(KINDS.len(), kind);
    let before = (0..kinds).map(|of| {
        let domains: Vec<String> = all()
            .filter(|(domain, _)| kind(domain) == of)
            .map(|(domain, _)| format!("'{domain}'"))
            .collect();
        let name = KINDS.get(of).copied().unwrap_or_default();
        match domains.len() {
            0 => format!("{name}: there is none"),
            count => {
                let named = words::at_most(domains, NAMED_MAX).join(", ");
                format!("{name}: none of {count} takes '{asked}': {named}")
            }
        }
    });
    let less = |(domain, of): &(Domain, &std::sync::Arc<VirtualHost>)| {
        format!("{} by '{domain}', which is less specific", of.name())
    };
    Found {
        host: chosen.map(|chosen| &**chosen),
        by,
        before: before.collect(),
        behind: words::at_most(behind.iter().map(less).collect(), CANDIDATES_SHOWN_MAX),
    }
}

impl Found<'_> {
    pub(super) fn show(&self, page: &mut Page) {
        let name = self.host.map_or("none", |host| host.name());
        let by = match &self.by {
            Some(domain) => format!(", by its domain '{domain}'"),
            None => String::new(),
        };
        page.text("virtual host", format!("{name}{by}"));
        page.list("not by", self.before.clone());
        page.list("also matching", self.behind.clone());
    }
}

/// Whether a domain takes a host: whether a table of nothing else finds it.
fn takes(domain: &Domain, host: &Host, ports: PortMatching) -> bool {
    let settings = TableSettings {
        ports,
        ..TableSettings::default()
    };
    let alone = VirtualHost::new("", [domain.clone()], Vec::<Route>::new());
    RouteTable::new(settings, [alone]).find(host).is_some()
}

fn kind(domain: &Domain) -> usize {
    match domain {
        Domain::Exact(_) => 0,
        Domain::Suffix(_) => 1,
        Domain::Prefix(_) => 2,
        Domain::Any => 3,
    }
}

fn length(domain: &Domain) -> usize {
    match domain {
        Domain::Any => 0,
        Domain::Exact(text) | Domain::Suffix(text) | Domain::Prefix(text) => text.len(),
    }
}
