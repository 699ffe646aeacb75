//! Which of a listener's chains takes this connection?

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::names::{self, Names};
use super::{Chain, FilterChains, Prefix, SourceType, Transport};

/// What is known of a connection when its chain is chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    /// Where it was made to; none for a unix socket.
    pub(crate) destination: Option<SocketAddr>,
    /// Whose it is: its sender's, or whose a PROXY header says.
    pub(crate) source: Option<SocketAddr>,
    /// Where it comes from in truth.
    pub(crate) direct: Option<IpAddr>,
    pub(crate) transport: Transport,
    /// In lower case.
    pub(crate) server_name: Option<&'a str>,
    pub(crate) application_protocols: &'a [&'a [u8]],
}

/// What chains are told apart by, in the order in which it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Criterion {
    /// The port that the client connected to.
    DestinationPort,
    /// The address that the client connected to.
    Destination,
    /// The name that the client asked for.
    ServerName,
    /// Whether it speaks TLS.
    Transport,
    /// What it offers by ALPN.
    ApplicationProtocol,
    /// The address that the connection comes from.
    DirectSource,
    /// Whether the client is on this machine.
    SourceType,
    /// The address of the client.
    Source,
    /// The port of the client.
    SourcePort,
}

impl Criterion {
    /// Those that come before the server name's, and it.
    pub(super) const FIRST: [Self; 3] = [Self::DestinationPort, Self::Destination, Self::ServerName];
    /// Those behind it.
    pub(super) const LATER: [Self; 6] = [
        Self::Transport,
        Self::ApplicationProtocol,
        Self::DirectSource,
        Self::SourceType,
        Self::Source,
        Self::SourcePort,
    ];
}

impl FilterChains {
    /// The chain for a connection; none where it has to be closed.
    pub(crate) fn select(&self, arrival: &Arrival<'_>) -> Option<&Arc<Chain>> {
        let mut left = match &self.index {
            Some(index) => index
                .find(arrival.server_name)
                .iter()
                .filter_map(|at| self.chains.get(*at))
                .collect(),
            None => {
                let mut left: Vec<_> = self.chains.iter().collect();
                for criterion in Criterion::FIRST {
                    keep_best(&mut left, |chain| arrival.rank(criterion, chain));
                }
                left
            }
        };
        for criterion in Criterion::LATER {
            keep_best(&mut left, |chain| arrival.rank(criterion, chain));
        }
        left.first().copied().or(self.default.as_ref())
    }
}

/// Keeps what matches most specifically.
fn keep_best(left: &mut Vec<&Arc<Chain>>, rank: impl Fn(&Chain) -> Option<usize>) {
    let Some(best) = left.iter().filter_map(|chain| rank(chain)).max() else {
        return left.clear();
    };
    if left.len() > 1 {
        left.retain(|chain| rank(chain) == Some(best));
    }
}

impl Arrival<'_> {
    /// How specifically a chain matches by one criterion; none where it does not.
    pub(super) fn rank(&self, criterion: Criterion, chain: &Chain) -> Option<usize> {
        let matches = &chain.matches;
        match criterion {
            Criterion::DestinationPort => self.port_rank(chain),
            Criterion::Destination => {
                let destination = self.destination.map(|destination| destination.ip());
                prefix_rank(&matches.destinations, destination)
            }
            Criterion::ServerName => name_rank(&chain.names, self.server_name),
            Criterion::Transport => equal_rank(matches.transport, self.transport),
            Criterion::ApplicationProtocol => self.protocol_rank(chain),
            Criterion::DirectSource => prefix_rank(&matches.direct_sources, self.direct),
            Criterion::SourceType => equal_rank(matches.source_type, self.source_type()),
            Criterion::Source => prefix_rank(&matches.sources, self.source.map(|source| source.ip())),
            Criterion::SourcePort => self.source_port_rank(chain),
        }
    }

    fn port_rank(&self, chain: &Chain) -> Option<usize> {
        match chain.matches.destination_port {
            None => Some(0),
            Some(port) => self
                .destination
                .is_some_and(|destination| destination.port() == port)
                .then_some(1),
        }
    }

    fn protocol_rank(&self, chain: &Chain) -> Option<usize> {
        let wanted = &chain.matches.application_protocols;
        if wanted.is_empty() {
            return Some(0);
        }
        let offered = self.application_protocols;
        let first = offered
            .iter()
            .position(|offer| wanted.iter().any(|one| one == offer));
        first.map(|first| offered.len() - first)
    }

    fn source_port_rank(&self, chain: &Chain) -> Option<usize> {
        let wanted = &chain.matches.source_ports;
        if wanted.is_empty() {
            return Some(0);
        }
        self.source
            .is_some_and(|source| wanted.contains(&source.port()))
            .then_some(1)
    }

    /// A unix socket's other end is on this machine.
    fn source_type(&self) -> SourceType {
        let ip = |address: Option<SocketAddr>| address.map(|address| address.ip().to_canonical());
        match (ip(self.source), ip(self.destination)) {
            (Some(source), destination) if !source.is_loopback() && destination != Some(source) => {
                SourceType::External
            }
            _ => SourceType::SameHost,
        }
    }
}

fn equal_rank<T: PartialEq>(wanted: Option<T>, is: T) -> Option<usize> {
    match wanted {
        None => Some(0),
        Some(wanted) => (wanted == is).then_some(1),
    }
}

fn prefix_rank(wanted: &[Prefix], address: Option<IpAddr>) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    let address = address?;
    let matching = wanted.iter().filter(|prefix| prefix.contains(address));
    matching.map(|prefix| usize::from(prefix.bits()) + 1).max()
}

fn name_rank(names: &Names, name: Option<&str>) -> Option<usize> {
    if names.is_empty() {
        return Some(0);
    }
    names.rank(name?)
}

/// The chains by server name, where no criterion comes before it: with ten thousand chains, one look-up.
#[derive(Debug, Default)]
pub(super) struct NameIndex {
    exact: HashMap<Box<str>, Vec<usize>>,
    below: HashMap<Box<str>, Vec<usize>>,
    nameless: Vec<usize>,
}

impl NameIndex {
    pub(super) fn of(chains: &[Arc<Chain>]) -> Option<Self> {
        let mut index = Self::default();
        for (at, chain) in chains.iter().enumerate() {
            let matches = &chain.matches;
            if matches.destination_port.is_some() || !matches.destinations.is_empty() {
                return None;
            }
            for name in chain.names.exact() {
                index.exact.entry(name.into()).or_default().push(at);
            }
            for parent in chain.names.parents() {
                index.below.entry(parent.into()).or_default().push(at);
            }
            if chain.names.is_empty() {
                index.nameless.push(at);
            }
        }
        Some(index)
    }

    fn find(&self, name: Option<&str>) -> &[usize] {
        let named = name.and_then(|name| {
            let below = || names::parents(name).find_map(|parent| self.below.get(parent));
            self.exact.get(name).or_else(below)
        });
        named.unwrap_or(&self.nameless)
    }
}
