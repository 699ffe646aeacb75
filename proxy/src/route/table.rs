//! Which virtual host answers a host name, at the same cost for ten hosts and for a hundred thousand.
//!
//! ```
//! use http::StatusCode;
//! use tidegate_proxy::normalize::host::Host;
//! use tidegate_proxy::route::{Domain, Route, RouteTable, TableSettings, VirtualHost};
//!
//! let hosts = ["a.example", "*.example", "*"].map(|domain| {
//!     let domain = Domain::parse(domain).expect("it is one");
//!     VirtualHost::new(format!("{domain:?}"), [domain], [Route::respond(StatusCode::OK, "hello")])
//! });
//! let table = RouteTable::new(TableSettings::default(), hosts);
//! let found = |host: &[u8]| table.find(&Host::parse(host).expect("it is one")).map(|host| &host.domains[0]);
//! // The most specific domain wins, whatever the order.
//! assert_eq!(found(b"a.example:80"), Some(&Domain::Exact("a.example".into())));
//! assert_eq!(found(b"b.example"), Some(&Domain::Suffix(".example".into())));
//! assert_eq!(found(b"other.org"), Some(&Domain::Any));
//! ```

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{Domain, HeaderMutations, MutationOrder, VirtualHost};
use crate::filter::FilterOverrides;
use crate::hash::HashSet;
use crate::normalize::host::Host;

/// A set of virtual hosts under a name; a filter chain names the one that its requests are looked up in.
#[derive(Debug, Default)]
pub struct RouteTable {
    hosts: VirtualHosts,
    settings: TableSettings,
}

/// What holds for every virtual host of a table.
#[derive(Clone, Debug, Default)]
pub struct TableSettings {
    /// Changes to the fields of every request and response. Default: none.
    pub headers: HeaderMutations,
    /// What becomes of the listener's filters. Default: nothing.
    pub overrides: FilterOverrides,
    /// Which level has the last word on a field. Default: the table.
    pub order: MutationOrder,
    /// What the port in a request's host means. Default: [`PortMatching::Either`].
    pub ports: PortMatching,
}

/// What the port that a client wrote behind its host means for which virtual host answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortMatching {
    /// A domain without a port answers whatever the port; one with a port only that, and is preferred.
    #[default]
    Either,
    /// The port is a part of the name: `example.com` does not answer `example.com:8080`; `example.com:*` does. Envoy's
    /// default.
    Significant,
    /// The port is taken off before anything is compared (`ignore_port_in_host_matching`).
    Ignored,
}

/// Virtual hosts by domain: exact names, then the longest suffix, then the longest prefix, then `*`.
#[derive(Debug, Default)]
pub struct VirtualHosts {
    exact: HashSet<Claim>,
    suffixes: Affixes,
    prefixes: Affixes,
    any: Option<Arc<VirtualHost>>,
    /// Whether any domain has a port.
    ports: bool,
}

/// Suffixes, or prefixes, and which lengths there are, the longest first.
#[derive(Debug, Default)]
struct Affixes {
    hosts: HashSet<Claim>,
    lengths: Vec<usize>,
}

/// A domain of a virtual host, found by its text: the text is the host's own, of which there is no other copy.
#[derive(Debug)]
struct Claim {
    host: Arc<VirtualHost>,
    /// Which of the host's domains it is.
    domain: usize,
}

impl RouteTable {
    /// A table of these virtual hosts. Of two that claim a domain the first has it.
    pub fn new<H: Into<Arc<VirtualHost>>>(
        settings: TableSettings,
        hosts: impl IntoIterator<Item = H>,
    ) -> Self {
        Self {
            hosts: VirtualHosts::new(hosts),
            settings,
        }
    }

    /// The virtual host that answers `host`.
    ///
    /// Costs one look-up for an exact name, else one more for each length that suffixes and prefixes have.
    #[must_use]
    pub fn find(&self, host: &Host) -> Option<&Arc<VirtualHost>> {
        match self.settings.ports {
            PortMatching::Either if self.hosts.ports && host.port().is_some() => self.hosts.find_either(host),
            PortMatching::Either | PortMatching::Ignored => self.hosts.find(host.name()),
            PortMatching::Significant => self.hosts.find(host.with_port()),
        }
    }

    /// Its virtual hosts.
    #[must_use]
    pub fn hosts(&self) -> &VirtualHosts {
        &self.hosts
    }

    /// What holds for all of them.
    #[must_use]
    pub fn settings(&self) -> &TableSettings {
        &self.settings
    }
}

impl VirtualHosts {
    /// Indexes hosts by domain. Of two that claim a domain the first has it.
    pub fn new<H: Into<Arc<VirtualHost>>>(hosts: impl IntoIterator<Item = H>) -> Self {
        let mut index = Self::default();
        for host in hosts.into_iter().map(Into::into) {
            for (place, domain) in host.domains.iter().enumerate() {
                index.ports |= domain.has_port();
                let claim = Claim {
                    host: Arc::clone(&host),
                    domain: place,
                };
                match domain {
                    Domain::Any => _ = index.any.get_or_insert(claim.host),
                    // One that is there stays.
                    Domain::Exact(_) => _ = index.exact.insert(claim),
                    Domain::Suffix(suffix) => index.suffixes.add(suffix.len(), claim),
                    Domain::Prefix(prefix) => index.prefixes.add(prefix.len(), claim),
                }
            }
        }
        index
    }

    /// The virtual host for `host`, which is lower-case, and with a port only where domains are meant to have one.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<&Arc<VirtualHost>> {
        let exact = self.exact.get(host).map(|claim| &claim.host);
        exact
            .or_else(|| self.suffixes.longest(host, 0, tail))
            .or_else(|| self.prefixes.longest(host, 0, head))
            .or(self.any.as_ref())
    }

    /// Every domain that is answered, and the virtual host that has it; in no order.
    pub fn domains(&self) -> impl Iterator<Item = (Domain, &Arc<VirtualHost>)> {
        let any = self.any.iter().map(|host| (Domain::Any, host));
        let claims = self.exact.iter().chain(&self.suffixes.hosts);
        let claims = claims.chain(&self.prefixes.hosts);
        let claimed = claims.filter_map(|claim| Some((claim.domain()?.clone(), &claim.host)));
        any.chain(claimed)
    }

    /// The virtual host for a host with a port: in each kind a domain with that port, else one without.
    fn find_either(&self, host: &Host) -> Option<&Arc<VirtualHost>> {
        let (named, name) = (host.with_port(), host.name());
        // What does not reach the colon says nothing about the port, so it is compared with the name alone.
        let to_colon = named.len() - name.len();
        let exact = self.exact.get(named).or_else(|| self.exact.get(name));
        exact
            .map(|claim| &claim.host)
            .or_else(|| self.suffixes.longest(named, to_colon, tail))
            .or_else(|| self.suffixes.longest(name, 0, tail))
            .or_else(|| self.prefixes.longest(named, name.len() + 1, head))
            .or_else(|| self.prefixes.longest(name, 0, head))
            .or(self.any.as_ref())
    }
}

impl Affixes {
    fn add(&mut self, length: usize, claim: Claim) {
        if let Err(place) = self.lengths.binary_search_by(|known| length.cmp(known)) {
            self.lengths.insert(place, length);
        }
        // One that is there stays.
        self.hosts.insert(claim);
    }

    /// The host of the longest text of at least `least` bytes that `cut` finds in `name`; the name itself is longer.
    fn longest(
        &self,
        name: &str,
        least: usize,
        cut: fn(&str, usize) -> Option<&str>,
    ) -> Option<&Arc<VirtualHost>> {
        let lengths = self
            .lengths
            .iter()
            .take_while(|length| **length >= least)
            .filter(|length| **length < name.len());
        lengths
            .filter_map(|length| cut(name, *length))
            .find_map(|text| self.hosts.get(text))
            .map(|claim| &claim.host)
    }
}

impl Claim {
    fn domain(&self) -> Option<&Domain> {
        self.host.domains.get(self.domain)
    }

    fn text(&self) -> &str {
        match self.domain() {
            Some(Domain::Exact(text) | Domain::Suffix(text) | Domain::Prefix(text)) => text,
            Some(Domain::Any) | None => "",
        }
    }
}

impl Borrow<str> for Claim {
    fn borrow(&self) -> &str {
        self.text()
    }
}

impl PartialEq for Claim {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Claim {}

impl Hash for Claim {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}

fn head(name: &str, length: usize) -> Option<&str> {
    name.get(..length)
}

fn tail(name: &str, length: usize) -> Option<&str> {
    name.get(name.len().checked_sub(length)?..)
}

#[cfg(test)]
mod tests;
