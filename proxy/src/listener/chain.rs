//! Which filter chain takes a connection: a listener's chains, what each matches, and Envoy's order of precedence.
//!
//! ```
//! use tidegate_proxy::config::http::HttpSettings;
//! use tidegate_proxy::listener::chain::{ChainError, FilterChain, FilterChains};
//!
//! // Clients from inside are served by another route table than all the others.
//! let inside = HttpSettings { route_table: "inside".into(), ..HttpSettings::default() };
//! let mut inside = FilterChain::plain(inside).named("inside");
//! inside.matches.sources = vec!["10.0.0.0/8".parse()?];
//! let others = FilterChain::plain(HttpSettings::default());
//! let chains = FilterChains::new(vec![inside.clone()], Some(others));
//! assert!(chains.is_ok());
//!
//! // Two chains for the same connections are an error, whatever their order.
//! let twice = FilterChains::new(vec![inside.clone(), inside.named("again")], None);
//! assert!(matches!(twice, Err(ChainError::Overlap { .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::{Arc, OnceLock};

use crate::config::http::HttpSettings;
use crate::config::limits;
use crate::drain::{Drain, Watch};
use crate::listener::ChainLimit;
use crate::observe::counts::{HttpCounts, ListenerCounts};
use crate::relay::{Relay, RelaySettings};
use crate::tls::server::ServerTls;

pub mod explain;
mod names;
mod overlap;
mod prefix;
mod select;

pub(crate) use names::Names;
pub use prefix::{InvalidPrefix, Prefix};
pub(crate) use select::Arrival;
pub use select::Criterion;

/// What happens with the connections that a match selects.
#[derive(Clone, Debug)]
pub struct FilterChain {
    /// Its name in metrics and errors.
    pub name: Arc<str>,
    /// Which connections it takes.
    pub matches: ChainMatch,
    /// How it speaks TLS; `None` takes connections without.
    pub tls: Option<Arc<ServerTls>>,
    /// How it speaks HTTP.
    pub http: Arc<HttpSettings>,
    /// Where its connections' bytes go, if they are no HTTP; then how it speaks HTTP and for which hosts means nothing, but for
    /// the access logs. Without TLS of its own it takes TLS too, by its server names for example, and passes that on as it came.
    pub relay: Option<Arc<RelaySettings>>,
    /// How many connections it may hold; a connection above that is closed. Default: no bound of its own.
    pub limit: Option<Arc<ChainLimit>>,
    /// For which hosts it answers.
    pub hosts: Hosts,
}

/// Which connections a chain takes. What is empty matches everything, less specifically than anything that is not.
///
/// Criteria count in the order of the fields: of all chains, those with the most specific match of the first are left,
/// of these those with the most specific of the second, and so on, without a way back (Envoy's
/// `FilterChainMatch`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainMatch {
    /// The port that the client connected to.
    pub destination_port: Option<u16>,
    /// The address that the client connected to; the longest prefix wins.
    pub destinations: Vec<Prefix>,
    /// The name that the client asked for (SNI): exact, or `*.` and a suffix of any depth; the longest wins.
    pub server_names: Vec<String>,
    /// Whether the connection speaks TLS.
    pub transport: Option<Transport>,
    /// What the client offers by ALPN; its order decides.
    pub application_protocols: Vec<Vec<u8>>,
    /// The address that the connection comes from, whatever a PROXY header says; the longest prefix wins.
    pub direct_sources: Vec<Prefix>,
    /// Whether the client is on this machine.
    pub source_type: Option<SourceType>,
    /// The address of the client; the longest prefix wins.
    pub sources: Vec<Prefix>,
    /// The port of the client.
    pub source_ports: Vec<u16>,
}

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A TLS ClientHello.
    Tls,
    /// Anything else.
    Raw,
}

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceType {
    /// On this machine: a loopback address, or the address that it connected to.
    SameHost,
    /// Elsewhere.
    External,
}

/// For which hosts a chain answers. Others get 421 (RFC 9110 §15.5.20): a client that shares one connection among hosts
/// (RFC 9113 §9.1.1) must not get past what another chain asks of it, a client certificate for example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hosts {
    /// Those of its server names, if it speaks TLS and has any; else all.
    #[default]
    OfServerNames,
    /// Those of its certificates.
    OfCertificates,
    /// All.
    Any,
}

/// Chains that cannot stand together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A listener without a chain would close every connection.
    #[error("a listener needs at least one filter chain")]
    None,
    /// A server name with `*` elsewhere than as its first label.
    #[error("filter chain '{chain}': partial wildcards are not supported in server_names: '{name}'")]
    PartialWildcard {
        /// The chain.
        chain: Arc<str>,
        /// The name.
        name: String,
    },
    /// A server name that no client can ask for.
    #[error("filter chain '{chain}': '{name}' is not a server name")]
    ServerName {
        /// The chain.
        chain: Arc<str>,
        /// The name.
        name: String,
    },
    /// Two chains take the same connections.
    #[error("filter chain '{second}' has the same matching rules defined as '{first}'")]
    Overlap {
        /// The chain that comes first.
        first: Arc<str>,
        /// The chain that would never be used.
        second: Arc<str>,
    },
    /// More combinations of criteria than are compared.
    #[error(
        "the filter chains have more than {} combinations of criteria",
        limits::CHAIN_MATCHES_MAX
    )]
    TooMany,
    /// A chain that matches raw connections speaks TLS, or the other way round.
    #[error("filter chain '{0}' matches a transport protocol that it does not speak")]
    Transport(Arc<str>),
}

/// The chains of a listener: checked, immutable, swapped whole.
#[derive(Debug)]
pub struct FilterChains {
    chains: Vec<Arc<Chain>>,
    default: Option<Arc<Chain>>,
    index: Option<select::NameIndex>,
    needs: Needs,
}

/// What has to be known of a connection before its chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing that its bytes say.
    Nothing,
    /// Its ClientHello; every chain speaks TLS.
    ClientHello,
    /// Whether it begins with a ClientHello, and then that.
    FirstByte,
    /// The same, and the ClientHello may have to be passed on as it came: there is a chain that leaves TLS to its cluster.
    Unread,
}

/// A chain with what is derived from its settings.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) name: Arc<str>,
    pub(crate) tls: Option<Arc<ServerTls>>,
    pub(crate) http: Arc<HttpSettings>,
    pub(crate) relay: Option<Arc<Relay>>,
    pub(crate) limit: Option<Arc<ChainLimit>>,
    /// The hosts that it answers for, where it does not answer for all.
    pub(crate) hosts: Option<Names>,
    policy: Hosts,
    matches: ChainMatch,
    names: Names,
    drain: Drain,
    watch: Watch,
    counts: OnceLock<Arc<HttpCounts>>,
}

impl FilterChain {
    /// A chain without TLS for every connection.
    pub fn plain(http: impl Into<Arc<HttpSettings>>) -> Self {
        Self {
            name: "".into(),
            matches: ChainMatch::default(),
            tls: None,
            http: http.into(),
            relay: None,
            limit: None,
            hosts: Hosts::default(),
        }
    }

    /// A chain without TLS for every connection, whose bytes go where `relay` says.
    pub fn relay(relay: impl Into<Arc<RelaySettings>>) -> Self {
        let relay = relay.into();
        let http = HttpSettings {
            access_logs: relay.access_logs.clone(),
            ..HttpSettings::default()
        };
        Self {
            relay: Some(relay),
            ..Self::plain(http)
        }
    }

    /// A chain with TLS for every connection.
    pub fn tls(tls: impl Into<Arc<ServerTls>>, http: impl Into<Arc<HttpSettings>>) -> Self {
        Self {
            tls: Some(tls.into()),
            ..Self::plain(http)
        }
    }

    /// The same chain for connections that ask for one of these names.
    #[must_use]
    pub fn for_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.matches.server_names = names.into_iter().map(Into::into).collect();
        self
    }

    /// The same chain under a name.
    #[must_use]
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }
}

impl FilterChains {
    /// These chains, and the one for connections that none of them matches; without that, such a connection is closed.
    ///
    /// # Errors
    /// When there is no chain at all, two take the same connections, or a server name is none.
    pub fn new(chains: Vec<FilterChain>, default: Option<FilterChain>) -> Result<Self, ChainError> {
        if chains.is_empty() && default.is_none() {
            return Err(ChainError::None);
        }
        let chains = chains
            .into_iter()
            .map(Chain::new)
            .collect::<Result<Vec<_>, _>>()?;
        overlap::refuse(&chains)?;
        let default = default.map(Chain::new).transpose()?;
        Ok(Self {
            index: select::NameIndex::of(&chains),
            needs: needs(chains.iter().chain(&default)),
            chains,
            default,
        })
    }

    /// One chain for every connection.
    ///
    /// # Errors
    /// When a server name is none.
    pub fn one(chain: FilterChain) -> Result<Self, ChainError> {
        Self::new(vec![chain], None)
    }

    /// One chain without TLS for every connection: nothing can be wrong with it.
    pub(crate) fn plain(http: HttpSettings) -> Self {
        let chain = Chain::checked(FilterChain::plain(http), Names::default());
        Self {
            chains: Vec::new(),
            default: Some(Arc::new(chain)),
            index: None,
            needs: Needs::Nothing,
        }
    }

    /// From now on its chains count for this listener.
    pub(crate) fn enrol(&self, listener: &ListenerCounts) {
        for chain in self.iter() {
            if let Some(relay) = &chain.relay {
                relay.enrol(listener.relay(&relay.settings.metrics_name));
                continue;
            }
            let counts = listener.chain(&chain.http.metrics_name);
            // What has its books already keeps them.
            _ = chain.counts.set(counts);
        }
        listener.limited_by(self.iter().filter_map(|chain| chain.limit.clone()).collect());
        let tls = self.iter().filter_map(|chain| chain.tls.as_ref());
        let identities = tls.flat_map(|tls| tls.identities());
        listener.shows(identities.cloned().collect());
    }

    pub(crate) fn needs(&self) -> Needs {
        self.needs
    }

    /// These chains, with those of `before` that are the same in place of their likes; and those that none of these is like.
    pub(super) fn keeping(mut self, before: &Self) -> (Self, Vec<Arc<Chain>>) {
        let mut gone: Vec<Arc<Chain>> = before.iter().cloned().collect();
        for chain in self.chains.iter_mut().chain(&mut self.default) {
            if let Some(at) = gone.iter().position(|old| old.is_like(chain)) {
                *chain = gone.swap_remove(at);
            }
        }
        (self, gone)
    }

    /// Makes each a part of a listener's drain.
    pub(super) fn join(&self, listener: &Watch) {
        for chain in self.iter() {
            listener.lead(&chain.watch);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Chain>> {
        self.chains.iter().chain(&self.default)
    }
}

impl Chain {
    /// What has happened in it; of a chain without a listener nobody sees it.
    pub(crate) fn counts(&self) -> &Arc<HttpCounts> {
        self.counts.get_or_init(Arc::default)
    }

    fn new(chain: FilterChain) -> Result<Arc<Self>, ChainError> {
        let transport = if chain.tls.is_some() {
            Transport::Tls
        } else {
            Transport::Raw
        };
        // Bytes that are passed on may be anything, TLS among it.
        let is_open = chain.relay.is_some() && chain.tls.is_none();
        if !is_open && chain.matches.transport.is_some_and(|wanted| wanted != transport) {
            return Err(ChainError::Transport(chain.name));
        }
        let mut names = Names::default();
        for name in &chain.matches.server_names {
            let refused = |wildcard: bool| {
                let (chain, name) = (Arc::clone(&chain.name), name.clone());
                if wildcard {
                    ChainError::PartialWildcard { chain, name }
                } else {
                    ChainError::ServerName { chain, name }
                }
            };
            names.insert(name, names::Depth::Any).map_err(refused)?;
        }
        Ok(Arc::new(Self::checked(chain, names)))
    }

    fn checked(chain: FilterChain, names: Names) -> Self {
        let certificates = || {
            let mut hosts = Names::default();
            let identities = chain.tls.iter().flat_map(|tls| tls.identities());
            for host in identities.flat_map(|identity| identity.hosts()) {
                // A name of a certificate that is no host name covers no host.
                _ = hosts.insert(host, names::Depth::One);
            }
            hosts
        };
        let hosts = match (&chain.tls, chain.hosts) {
            (None, _) | (_, Hosts::Any) => None,
            (Some(_), Hosts::OfServerNames) => (!names.is_empty()).then(|| names.clone()),
            (Some(_), Hosts::OfCertificates) => Some(certificates()),
        };
        let (drain, watch) = Drain::new();
        Self {
            name: chain.name,
            tls: chain.tls,
            http: chain.http,
            relay: chain.relay.map(|relay| Arc::new(Relay::new(relay))),
            limit: chain.limit,
            hosts,
            policy: chain.hosts,
            matches: chain.matches,
            names,
            drain,
            watch,
            counts: OnceLock::new(),
        }
    }

    /// Whether connections need not notice if one takes the other's place.
    fn is_like(&self, other: &Self) -> bool {
        let same_tls = match (&self.tls, &other.tls) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        let same_relay = match (&self.relay, &other.relay) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(&one.settings, &other.settings),
            _ => false,
        };
        let same_limit = match (&self.limit, &other.limit) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        same_tls
            && same_relay
            && same_limit
            && Arc::ptr_eq(&self.http, &other.http)
            && self.name == other.name
            && self.policy == other.policy
            && self.matches == other.matches
    }

    /// The drain of its connections: it begins and ends with its listener's at the latest.
    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    pub(super) fn drain(&self) -> &Drain {
        &self.drain
    }

    /// The chain of a request that came by no listener.
    pub(crate) fn nobody() -> Self {
        Self::speaking(HttpSettings::default())
    }

    /// A chain for every connection that speaks HTTP like this.
    pub(crate) fn speaking(http: impl Into<Arc<HttpSettings>>) -> Self {
        Self::checked(FilterChain::plain(http), Names::default())
    }
}

fn needs<'a>(chains: impl Iterator<Item = &'a Arc<Chain>>) -> Needs {
    let (mut tls, mut raw, mut told, mut passed_on) = (false, false, false, false);
    for chain in chains {
        match chain.tls {
            Some(_) => tls = true,
            None => raw = true,
        }
        let matches = &chain.matches;
        told |= matches.transport.is_some()
            || !matches.server_names.is_empty()
            || !matches.application_protocols.is_empty();
        passed_on |= chain.tls.is_none() && chain.relay.is_some();
    }
    match (tls, raw) {
        _ if passed_on && (tls || told) => Needs::Unread,
        (false, _) => Needs::Nothing,
        (true, false) => Needs::ClientHello,
        (true, true) => Needs::FirstByte,
    }
}

#[cfg(test)]
mod tests;
