//! Why does one chain take a connection, and none of the others?
//!
//! ```
//! use tidegate_proxy::listener::chain::explain::{Connection, Verdict, explain};
//! use tidegate_proxy::listener::chain::{ChainMatch, Criterion, Transport};
//!
//! let names = |name: &str| ChainMatch { server_names: vec![name.to_owned()], ..ChainMatch::default() };
//! let connection = Connection { server_name: Some("a.example"), ..Connection::of(Transport::Tls) };
//! let verdicts = explain(&[names("*.example"), names("a.example"), names("b.example")], &connection);
//! let beaten = Verdict::LessSpecific(Criterion::ServerName);
//! assert_eq!(verdicts, [beaten, Verdict::Taken, Verdict::Mismatch(Criterion::ServerName)]);
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::select::Arrival;
use super::{Chain, ChainMatch, Criterion, FilterChain, Names, Transport, names};
use crate::config::http::HttpSettings;

/// What is known of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// Where it was made to, if that is known.
    pub destination: Option<SocketAddr>,
    /// Where it comes from, if that is known.
    pub source: Option<SocketAddr>,
    /// What it begins with.
    pub transport: Transport,
    /// The name that it asks for, in lower case.
    pub server_name: Option<&'a str>,
    /// What it offers by ALPN.
    pub application_protocols: &'a [&'a [u8]],
}

/// What becomes of one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes the connection.
    Taken,
    /// It does not match by this criterion.
    Mismatch(Criterion),
    /// It matches, and another more specifically by this criterion.
    LessSpecific(Criterion),
}

impl Connection<'_> {
    /// A connection of which nothing else is known.
    #[must_use]
    pub fn of(transport: Transport) -> Self {
        Self {
            destination: None,
            source: None,
            transport,
            server_name: None,
            application_protocols: &[],
        }
    }
}

/// What becomes of each chain when this connection comes; none is taken where the default chain is, or nothing. Server names that
/// no chain may have match nothing.
#[must_use]
pub fn explain(matches: &[ChainMatch], connection: &Connection<'_>) -> Vec<Verdict> {
    let arrival = Arrival {
        destination: connection.destination,
        source: connection.source,
        direct: connection.source.map(|source| source.ip()),
        transport: connection.transport,
        server_name: connection.server_name,
        application_protocols: connection.application_protocols,
    };
    let http = Arc::new(HttpSettings::default());
    let chains: Vec<Chain> = matches.iter().map(|matches| chain(matches, &http)).collect();
    let mut verdicts = vec![Verdict::Taken; chains.len()];
    for criterion in Criterion::FIRST.into_iter().chain(Criterion::LATER) {
        let left = || verdicts.iter().zip(&chains);
        let left = left().filter(|(verdict, _)| **verdict == Verdict::Taken);
        let best = left.filter_map(|(_, chain)| arrival.rank(criterion, chain)).max();
        for (verdict, chain) in verdicts.iter_mut().zip(&chains) {
            if *verdict == Verdict::Taken {
                *verdict = match arrival.rank(criterion, chain) {
                    None => Verdict::Mismatch(criterion),
                    rank if rank == best => Verdict::Taken,
                    Some(_) => Verdict::LessSpecific(criterion),
                };
            }
        }
    }
    // Chains that are the same are refused before; of such the first is taken.
    let taken = verdicts.iter().position(|verdict| *verdict == Verdict::Taken);
    for verdict in verdicts.iter_mut().skip(taken.map_or(0, |taken| taken + 1)) {
        if *verdict == Verdict::Taken {
            *verdict = Verdict::LessSpecific(Criterion::SourcePort);
        }
    }
    verdicts
}

/// A chain that only matches.
fn chain(matches: &ChainMatch, http: &Arc<HttpSettings>) -> Chain {
    let mut known = Names::default();
    for name in &matches.server_names {
        // One that is refused elsewhere matches nothing here.
        _ = known.insert(name, names::Depth::Any);
    }
    let chain = FilterChain {
        matches: matches.clone(),
        ..FilterChain::plain(Arc::clone(http))
    };
    Chain::checked(chain, known)
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DestinationPort => "destination port",
            Self::Destination => "destination address",
            Self::ServerName => "server name",
            Self::Transport => "transport protocol",
            Self::ApplicationProtocol => "application protocol",
            Self::DirectSource => "direct source address",
            Self::SourceType => "source type",
            Self::Source => "source address",
            Self::SourcePort => "source port",
        })
    }
}

#[cfg(test)]
mod tests;
