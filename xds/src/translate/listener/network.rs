//! The network filters of a filter chain: what serves its connections at its end, and nothing that would let pass less.

use std::num::NonZeroUsize;
use std::sync::Arc;

use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain};
use envoy_types::pb::envoy::extensions::filters::network::connection_limit::v3::ConnectionLimit;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3::Rbac;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use envoy_types::pb::google::protobuf::Any;

use crate::translate::any::{inner, type_name, unpack, unregistered, unsupported, unsupported_field};
use crate::translate::constraint::Rules;
use crate::translate::notes::Notes;
use crate::translate::{Context, Reject};

/// What serves the connections of a chain.
pub(super) enum End {
    /// It speaks HTTP.
    Http(Box<HttpConnectionManager>),
    /// It passes bytes on.
    Tcp(Box<TcpProxy>),
}

/// How many connections a chain may hold, and the prefix of that's statistics.
pub(super) type Limit = (Arc<str>, NonZeroUsize);

/// What stands at the end of a chain, and what bounds it.
pub(super) fn end(
    chain: &FilterChain,
    context: &Context,
    notes: &mut Notes,
) -> Result<(End, Option<Limit>), Reject> {
    let mut limit = None;
    let mut found = None;
    for (index, filter) in chain.filters.iter().enumerate() {
        let last = index + 1 == chain.filters.len();
        let config = typed_config(filter).ok_or_else(|| unregistered(&filter.name, None))?;
        let known = KNOWN.iter().find(|(message, _)| is(config, message));
        let known = known.filter(|(message, _)| !context.disables(CATEGORY, &kind(message)));
        let (message, known) = known.ok_or_else(|| unregistered(&filter.name, Some(config)))?;
        let (name, kind) = (&filter.name, kind(message));
        if known.ends_chain() && !last {
            return Err(Reject::Resource(format!(
                "Error: terminal filter named {name} of type {kind} must be the last filter in a network filter chain."
            )));
        }
        if !known.ends_chain() && last {
            return Err(Reject::Resource(format!(
                "Error: non-terminal filter named {name} of type {kind} is the last filter in a network filter chain."
            )));
        }
        let field = format!("filters[{index}]");
        match known {
            Known::Http => found = Some(End::Http(Box::new(unpack(config)?))),
            Known::Tcp => found = Some(End::Tcp(Box::new(unpack(config)?))),
            Known::Limit => limit = Some(notes.within(&field, |notes| connection_limit(config, notes))?),
            Known::Rules => notes.within(&field, |notes| rules(config, notes))?,
            Known::Ends | Known::Restricts => {
                return Err(notes.within(&field, |notes| unsupported(notes.place(), config)));
            }
            Known::Other => notes.add(&field, format!("{} has no effect", type_name(config))),
        }
    }
    found.map(|end| (end, limit)).ok_or_else(|| {
        Reject::Resource(format!(
            "{}: a filter chain needs a connection manager or a TCP proxy here",
            notes.place()
        ))
    })
}

fn connection_limit(config: &Any, notes: &mut Notes) -> Result<Limit, Reject> {
    let limit: ConnectionLimit = unpack(config)?;
    let rules = Rules::of("ConnectionLimit");
    inner(rules.not_empty("StatPrefix", &limit.stat_prefix))?;
    let max = limit.max_connections.map_or(0, |max| max.value);
    let max = usize::try_from(max).ok().and_then(NonZeroUsize::new);
    let Some(max) = max else {
        let why = "value must be greater than or equal to 1";
        return Err(rules.broken("MaxConnections", why).into());
    };
    if limit.runtime_enabled.is_some() {
        return Err(unsupported_field(notes.place(), "runtime_enabled"));
    }
    notes.add_set(&[("delay", limit.delay.is_some())]);
    Ok((limit.stat_prefix.as_str().into(), max))
}

/// Rules about who may connect: only where there are none may connections pass without them.
fn rules(config: &Any, notes: &mut Notes) -> Result<(), Reject> {
    let rbac: Rbac = unpack(config)?;
    inner(Rules::of("RBAC").not_empty("StatPrefix", &rbac.stat_prefix))?;
    if rbac.rules.is_some() || rbac.matcher.is_some() {
        return Err(unsupported_field(notes.place(), "rules"));
    }
    notes.add_set(&[(
        "shadow_rules",
        rbac.shadow_rules.is_some() || rbac.shadow_matcher.is_some(),
    )]);
    Ok(())
}

fn typed_config(filter: &Filter) -> Option<&Any> {
    match &filter.config_type {
        Some(ConfigType::TypedConfig(config)) => Some(config),
        Some(ConfigType::ConfigDiscovery(_)) | None => None,
    }
}

fn is(config: &Any, message: &str) -> bool {
    type_name(config).strip_prefix(PACKAGE) == Some(message)
}

/// What Envoy calls the kind of a filter.
fn kind(message: &str) -> String {
    format!(
        "envoy.filters.network.{}",
        message.split('.').next().unwrap_or_default()
    )
}

/// What a network filter of Envoy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// The connection manager.
    Http,
    /// What passes bytes on.
    Tcp,
    /// It says how many may.
    Limit,
    /// Rules about who may connect.
    Rules,
    /// Another end of a chain, for another protocol.
    Ends,
    /// It says which connections may pass, or where to.
    Restricts,
    /// It observes.
    Other,
}

impl Known {
    fn ends_chain(self) -> bool {
        matches!(self, Self::Http | Self::Tcp | Self::Ends)
    }
}

/// What Envoy calls extensions of this kind together.
const CATEGORY: &str = "envoy.filters.network";

const PACKAGE: &str = "envoy.extensions.filters.network.";

const KNOWN: [(&str, Known); 24] = [
    ("http_connection_manager.v3.HttpConnectionManager", Known::Http),
    ("tcp_proxy.v3.TcpProxy", Known::Tcp),
    ("echo.v3.Echo", Known::Ends),
    ("direct_response.v3.Config", Known::Ends),
    ("redis_proxy.v3.RedisProxy", Known::Ends),
    ("thrift_proxy.v3.ThriftProxy", Known::Ends),
    ("dubbo_proxy.v3.DubboProxy", Known::Ends),
    ("generic_proxy.v3.GenericProxy", Known::Ends),
    ("rbac.v3.RBAC", Known::Rules),
    ("connection_limit.v3.ConnectionLimit", Known::Limit),
    ("local_ratelimit.v3.LocalRateLimit", Known::Restricts),
    ("ratelimit.v3.RateLimit", Known::Restricts),
    ("ext_authz.v3.ExtAuthz", Known::Restricts),
    ("ext_proc.v3.NetworkExternalProcessor", Known::Restricts),
    ("sni_cluster.v3.SniCluster", Known::Restricts),
    ("sni_dynamic_forward_proxy.v3.FilterConfig", Known::Restricts),
    ("reverse_tunnel.v3.ReverseTunnel", Known::Restricts),
    ("tcp_bandwidth_limit.v3.TcpBandwidthLimit", Known::Restricts),
    ("wasm.v3.Wasm", Known::Restricts),
    ("dynamic_modules.v3.DynamicModuleNetworkFilter", Known::Restricts),
    ("set_filter_state.v3.Config", Known::Restricts),
    ("geoip.v3.Geoip", Known::Other),
    ("mongo_proxy.v3.MongoProxy", Known::Other),
    ("zookeeper_proxy.v3.ZooKeeperProxy", Known::Other),
];
