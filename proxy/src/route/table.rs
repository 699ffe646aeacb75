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
//! let found = |host: &[u8]| table.find(&Host::parse(host).expect("it is one")).and_then(|host| host.domains().next());
//! // The most specific domain wins, whatever the order.
//! assert_eq!(found(b"a.example:80"), Some(Domain::Exact("a.example".into())));
//! assert_eq!(found(b"b.example"), Some(Domain::Suffix(".example".into())));
//! assert_eq!(found(b"other.org"), Some(Domain::Any));
//! ```

use std::sync::Arc;

use foldhash::fast::RandomState;

use super::host::{Asked, Parts};
use super::{Domain, HeaderMutations, MutationOrder, VirtualHost};
use crate::filter::FilterOverrides;
use crate::hash::{HashMap, HashSet};
use crate::normalize::host::Host;
use crate::process::give_way;

mod index;
mod names;

use index::{Affixes, Claim, Places};
use names::Names;

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
    places: Places,
    names: Names,
    suffixes: Affixes,
    prefixes: Affixes,
    any: Option<u32>,
    /// How many domains have a port.
    ports: usize,
    /// The first domain that was claimed again.
    repeated: Option<Domain>,
    hasher: RandomState,
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

    /// A table of hosts that are indexed already.
    #[must_use]
    pub fn of(settings: TableSettings, hosts: VirtualHosts) -> Self {
        Self { hosts, settings }
    }

    /// The virtual host that answers `host`.
    ///
    /// Costs one look-up for an exact name, else one more for each length that suffixes and prefixes have.
    #[must_use]
    pub fn find(&self, host: &Host) -> Option<&Arc<VirtualHost>> {
        match self.settings.ports {
            PortMatching::Either if self.hosts.ports > 0 && host.port().is_some() => {
                self.hosts.find_either(host)
            }
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
        let hosts = hosts.into_iter();
        let places: Places = hosts.map(|host| Some(host.into())).collect();
        let is_name = |asked: &Asked<'_>| matches!(asked, Asked::Name(..));
        let is_prefix = |asked: &Asked<'_>| matches!(asked, Asked::Prefix(_));
        let asked = || places.iter().flatten().flat_map(|host| host.asked());
        let mut index = Self {
            names: Names::for_so_many(asked().filter(is_name).count()),
            prefixes: Affixes::for_so_many(asked().filter(is_prefix).count()),
            places,
            ..Self::default()
        };
        for place in (0..).take(index.places.len()) {
            give_way();
            index.claim(place);
        }
        index
    }

    /// Indexes hosts of which most were in `before` already: only for the others something is looked up. Otherwise as
    /// [`VirtualHosts::new`].
    pub fn after(before: &Self, hosts: impl IntoIterator<Item = Arc<VirtualHost>>) -> Self {
        let hosts: Vec<Arc<VirtualHost>> = hosts.into_iter().collect();
        before.changed_to(&hosts).unwrap_or_else(|| Self::new(hosts))
    }

    /// A domain that more than one host claims, or one host twice: the first that comes again. `None` where each is claimed once.
    #[must_use]
    pub fn repeated(&self) -> Option<&Domain> {
        self.repeated.as_ref()
    }

    /// The virtual host for `host`, which is lower-case, and with a port only where domains are meant to have one.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<&Arc<VirtualHost>> {
        self.exactly(host)
            .or_else(|| self.by_suffix(host, 0))
            .or_else(|| self.by_prefix(host, 0))
            .or_else(|| self.anybody())
    }

    /// Every domain that is answered, and the virtual host that has it; in no order.
    pub fn domains(&self) -> impl Iterator<Item = (Domain, &Arc<VirtualHost>)> {
        let hosts = self.places.iter().flatten();
        let claimed = hosts.flat_map(|host| host.domains().map(move |domain| (domain, host)));
        let mut seen = HashSet::default();
        claimed.filter(move |(domain, _)| self.repeated.is_none() || seen.insert(domain.clone()))
    }

    /// The virtual host for a host with a port: in each kind a domain with that port, else one without.
    fn find_either(&self, host: &Host) -> Option<&Arc<VirtualHost>> {
        let (named, name) = (host.with_port(), host.name());
        // What does not reach the colon says nothing about the port, so it is compared with the name alone.
        let to_colon = named.len() - name.len();
        self.exactly(named)
            .or_else(|| self.exactly(name))
            .or_else(|| self.by_suffix(named, to_colon))
            .or_else(|| self.by_suffix(name, 0))
            .or_else(|| self.by_prefix(named, name.len() + 1))
            .or_else(|| self.by_prefix(name, 0))
            .or_else(|| self.anybody())
    }

    fn exactly(&self, name: &str) -> Option<&Arc<VirtualHost>> {
        self.names.find(name, &self.places, &self.hasher)
    }

    /// The longest suffix of at least `least` bytes; the name itself is longer.
    fn by_suffix(&self, name: &str, least: usize) -> Option<&Arc<VirtualHost>> {
        let bounds = (name, least, name.len());
        self.suffixes.longest(bounds, tail, &self.places, &self.hasher)
    }

    /// The longest prefix of at least `least` bytes; the name itself is longer. What comes before the colon, with any port, is a
    /// prefix too: longer than those that end before it.
    fn by_prefix(&self, name: &str, least: usize) -> Option<&Arc<VirtualHost>> {
        let (places, hasher) = (&self.places, &self.hasher);
        let within = |least, below| self.prefixes.longest((name, least, below), head, places, hasher);
        let Some((alone, port)) = name.split_once(':') else {
            return within(least, name.len());
        };
        let to_port = alone.len() + 1;
        let any_port = || {
            let fits = !port.is_empty() && to_port >= least;
            fits.then(|| self.names.find_ports(alone, places, hasher))?
        };
        within(least.max(to_port), name.len())
            .or_else(any_port)
            .or_else(|| within(least, to_port))
    }

    fn anybody(&self) -> Option<&Arc<VirtualHost>> {
        self.places.get(self.any? as usize)?.as_ref()
    }

    /// The same for other hosts, if most of them are here and no domain is claimed twice.
    fn changed_to(&self, hosts: &[Arc<VirtualHost>]) -> Option<Self> {
        if self.repeated.is_some() {
            return None;
        }
        let mut kept = vec![false; self.places.len()];
        let mut numbers = None;
        let mut new = Vec::new();
        for (number, host) in hosts.iter().enumerate() {
            give_way();
            let same = self.places.get(number).and_then(Option::as_ref);
            let place = if same.is_some_and(|same| Arc::ptr_eq(same, host)) {
                Some(number)
            } else {
                let numbers = numbers.get_or_insert_with(|| self.numbers());
                numbers.get(&Arc::as_ptr(host)).copied()
            };
            match place.and_then(|place| kept.get_mut(place)) {
                // It is there twice, and so are its domains.
                Some(true) => return None,
                Some(kept) => *kept = true,
                None => new.push(host),
            }
        }
        let gone = (0..)
            .zip(kept)
            .filter_map(|(place, kept)| (!kept).then_some(place));
        let mut free: Vec<u32> = gone.collect();
        if new.len().max(free.len()) > hosts.len() / CHANGED_SHARE {
            return None;
        }
        let mut index = Self {
            places: self.places.clone(),
            names: self.names.clone(),
            suffixes: self.suffixes.clone(),
            prefixes: self.prefixes.clone(),
            any: self.any,
            ports: self.ports,
            repeated: None,
            hasher: self.hasher.clone(),
        };
        free.iter().for_each(|place| index.withdraw(*place));
        // The first are filled first: places stay where their hosts are in the list.
        free.reverse();
        for host in new {
            let place = free.pop().or_else(|| index.places.len().try_into().ok())?;
            match index.places.get_mut(place as usize) {
                Some(free) => *free = Some(Arc::clone(host)),
                None => index.places.push(Some(Arc::clone(host))),
            }
            index.claim(place);
        }
        index.repeated.is_none().then_some(index)
    }

    /// At which place each host is.
    fn numbers(&self) -> HashMap<*const VirtualHost, usize> {
        let places = self.places.iter().enumerate();
        let hosts = places.filter_map(|(place, host)| Some((Arc::as_ptr(host.as_ref()?), place)));
        hosts.collect()
    }

    /// Puts the domains of a host into the index.
    fn claim(&mut self, place: u32) {
        let Self {
            places,
            names,
            suffixes,
            prefixes,
            any,
            ports,
            repeated,
            hasher,
        } = self;
        let Some(host) = places.get(place as usize).and_then(Option::as_ref) else {
            return;
        };
        for (domain, asked) in (0..).zip(host.asked()) {
            let claim = Claim { place, domain };
            let again = match asked {
                Asked::Any => any.replace(any.unwrap_or(place)).map(|_| asked),
                Asked::Name(name, parts) => {
                    let taken = names.add(claim, (name, parts), places, hasher);
                    (taken != Parts::default()).then_some(Asked::Name(name, taken))
                }
                Asked::Suffix(suffix) => (!suffixes.add(claim, suffix, places, hasher)).then_some(asked),
                Asked::Prefix(prefix) => (!prefixes.add(claim, prefix, places, hasher)).then_some(asked),
            };
            *ports += asked.ports();
            if let (Some(again), None) = (again, &repeated) {
                *repeated = again.domains().into_iter().flatten().next();
            }
        }
    }

    /// Takes a host out of the index. No domain of it is another's too.
    fn withdraw(&mut self, place: u32) {
        let Some(host) = self.places.get_mut(place as usize).and_then(Option::take) else {
            return;
        };
        for (domain, asked) in (0..).zip(host.asked()) {
            let claim = Claim { place, domain };
            match asked {
                Asked::Any => self.any = None,
                Asked::Name(name, _) => self.names.remove(claim, name, &self.hasher),
                Asked::Suffix(suffix) => self.suffixes.remove(claim, suffix, &self.hasher),
                Asked::Prefix(prefix) => self.prefixes.remove(claim, prefix, &self.hasher),
            }
            self.ports -= asked.ports();
        }
    }
}

/// Where more than one in so many hosts is new, or gone, an index is made anew.
const CHANGED_SHARE: usize = 4;

fn head(name: &str, length: usize) -> Option<&str> {
    name.get(..length)
}

fn tail(name: &str, length: usize) -> Option<&str> {
    name.get(name.len().checked_sub(length)?..)
}

#[cfg(test)]
mod tests;
