//! `envoy.config.listener.v3.Listener` with its connection managers as the settings of a listener.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3::listener::ListenerSpecifier;
use envoy_types::pb::envoy::config::listener::v3::{FilterChain, Listener};
use prost::Message;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::listener::Ceiling;
use tidegate_proxy::listener::chain::ChainMatch;
use tidegate_proxy::listener::settings::{Balance, IpVersions, ListenAddress, ProxyProtocol, TcpSettings};
use tidegate_proxy::relay::RelaySettings;

use self::chain::OfListener;
use super::any::unsupported_field;
use super::notes::Notes;
use super::routes::RoutesConfig;
use super::secret::DownstreamTls;
use super::{Context, Note, Reject, unknown};

pub mod access_log;
mod address;
mod chain;
mod connection_manager;
pub mod inline;
mod matching;
mod network;
mod sockets;
mod tcp_proxy;
pub mod traces;

/// A listener as its resource describes it, its routes and secrets apart.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Its name.
    pub name: Arc<str>,
    /// Where it listens: `address` and `additional_addresses`. One change of it all closes and opens the listener; anything else
    /// changes it in place.
    pub addresses: Vec<(ListenAddress, IpVersions)>,
    /// Which way its traffic goes (`traffic_direction`): an `inboundonly` drain leaves the others alone.
    pub direction: Direction,
    /// Everything of the sockets beside where they listen.
    pub sockets: SocketConfig,
    /// Its chains; they are told apart by content, as their order is not stable between pushes.
    pub chains: Vec<ChainConfig>,
    /// The chain for connections that no other matches.
    pub default_chain: Option<ChainConfig>,
    /// What has no effect.
    pub notes: Vec<Note>,
}

/// Which way a listener's traffic goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Not said, or outbound.
    #[default]
    Other,
    /// Inbound.
    Inbound,
}

/// What sockets are told beside where they listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    /// `tcp_backlog_size`.
    pub backlog: u32,
    /// Options of connections.
    pub tcp: TcpSettings,
    /// `connection_balance_config`.
    pub balance: Balance,
    /// Whether a PROXY header comes first.
    pub proxy_protocol: ProxyProtocol,
    /// `listener_filters_timeout`.
    pub handshake_timeout: Duration,
    /// Whether the program's bound on connections holds (`ignore_global_conn_limit`, `bypass_overload_manager`).
    pub ceiling: Ceiling,
}

/// A filter chain.
#[derive(Clone, Debug)]
pub struct ChainConfig {
    /// Its name; may be empty.
    pub name: Arc<str>,
    /// The hash of its content, whatever the order of its server names.
    pub hash: u128,
    /// Which connections it takes.
    pub matches: ChainMatch,
    /// TLS, its secrets apart.
    pub tls: Option<DownstreamTls>,
    /// How it speaks HTTP; `route_table` is the name of the RDS resource, or one made up for inline routes.
    pub http: Arc<HttpSettings>,
    /// Where its bytes go, if it speaks no HTTP.
    pub relay: Option<Arc<RelaySettings>>,
    /// How many connections it may hold, and the name of that in metrics.
    pub limit: Option<(Arc<str>, NonZeroUsize)>,
    /// `stat_prefix`, as metrics name it.
    pub stat_prefix: Arc<str>,
    /// Where its routes come from.
    pub routes: RouteSource,
}

/// Where a chain's routes come from.
#[derive(Clone, Debug)]
pub enum RouteSource {
    /// Another resource.
    Rds {
        /// Its name.
        name: Arc<str>,
        /// How long the listener warms without it; `None` for ever.
        initial_fetch_timeout: Option<Duration>,
    },
    /// The resource itself, under the name in `http.route_table`.
    Inline(Arc<RoutesConfig>),
    /// There are none: it speaks no HTTP.
    None,
}

/// Reads a listener.
///
/// # Errors
/// When Envoy would refuse it, in Envoy's words; or when it asks for something that selects, restricts or authenticates and that
/// the proxy does not do.
pub fn listener(body: &Bytes, context: &Context) -> Result<ListenerConfig, Reject> {
    let listener = Listener::decode(body.clone())
        .map_err(|error| Reject::Message(format!("Unable to parse the listener: {error}")))?;
    let mut notes = Notes::default();
    unknown::check(&listener, body, context, &mut notes)?;
    matching::check_constraints(&listener)?;
    unsupported(&listener)?;
    let addresses = address::of_listener(&listener)?;
    let shown = address::shown(&listener);
    if listener.filter_chains.is_empty() && listener.default_filter_chain.is_none() {
        return Err(adding(&shown, "no filter chains specified"));
    }
    let sockets = sockets::of_listener(&listener, &mut notes)?;
    let of = OfListener {
        name: &listener.name,
        shown: &shown,
        context,
    };
    let mut chains = Vec::with_capacity(listener.filter_chains.len());
    for (index, chain) in listener.filter_chains.iter().enumerate() {
        let chain = notes.within(&format!("filter_chains[{index}]"), |notes| of.chain(chain, notes))?;
        chains.push(chain);
    }
    matching::refuse_overlap(&shown, &listener.filter_chains, &chains)?;
    let default_chain = listener.default_filter_chain.as_ref().map(|chain| {
        let unmatched = FilterChain {
            filter_chain_match: None,
            ..chain.clone()
        };
        notes.within("default_filter_chain", |notes| of.chain(&unmatched, notes))
    });
    Ok(ListenerConfig {
        name: listener.name.as_str().into(),
        addresses,
        direction: match listener.traffic_direction() {
            TrafficDirection::Inbound => Direction::Inbound,
            TrafficDirection::Unspecified | TrafficDirection::Outbound => Direction::Other,
        },
        sockets,
        chains,
        default_chain: default_chain.transpose()?,
        notes: notes.into_list(),
    })
}

/// Refuses what selects connections in a way that is not known here, and listeners of another kind.
fn unsupported(listener: &Listener) -> Result<(), Reject> {
    let bound = listener.bind_to_port.as_ref().is_none_or(|bind| bind.value);
    let fields = [
        ("filter_chain_matcher", listener.filter_chain_matcher.is_some()),
        ("fcds_config", listener.fcds_config.is_some()),
        ("api_listener", listener.api_listener.is_some()),
        ("udp_listener_config", listener.udp_listener_config.is_some()),
        (
            "internal_listener",
            matches!(
                listener.listener_specifier,
                Some(ListenerSpecifier::InternalListener(_))
            ),
        ),
        ("bind_to_port", !bound),
    ];
    match fields.iter().find(|(_, set)| *set) {
        Some((field, _)) => Err(unsupported_field(
            format!("error adding listener named '{}'", listener.name),
            field,
        )),
        None => Ok(()),
    }
}

/// What Envoy says about a listener whose address it knows already.
fn adding(shown: &str, why: &str) -> Reject {
    Reject::Resource(format!("error adding listener '{shown}': {why}"))
}

#[cfg(test)]
mod tests;
