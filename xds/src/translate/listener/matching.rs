//! Which connections a filter chain takes, and what Envoy says about chains that cannot stand together.

use std::collections::HashSet;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::CidrRange;
use envoy_types::pb::envoy::config::listener::v3::filter_chain_match::ConnectionSourceType;
use envoy_types::pb::envoy::config::listener::v3::{FilterChain, FilterChainMatch, Listener};
use serde_json::{Value, json};
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::listener::chain::{
    ChainError, ChainMatch, FilterChain as Chain, FilterChains, Prefix, SourceType, Transport,
};

use super::{ChainConfig, adding};
use crate::translate::Reject;
use crate::translate::constraint::{Checked, Rules};
use crate::translate::endpoints::constraints::address;

/// The constraints of a listener that are about matching.
pub(super) fn check_constraints(listener: &Listener) -> Result<(), Reject> {
    let rules = Rules::of("Listener");
    rules.optional("Address", listener.address.as_ref(), address)?;
    rules.each("FilterChains", &listener.filter_chains, check_chain)?;
    let default = listener.default_filter_chain.as_ref();
    Ok(rules.optional("DefaultFilterChain", default, check_chain)?)
}

fn check_chain(chain: &FilterChain) -> Checked {
    let rules = Rules::of("FilterChain");
    rules.optional("FilterChainMatch", chain.filter_chain_match.as_ref(), check_match)?;
    rules.each("Filters", &chain.filters, |filter| {
        Rules::of("Filter").not_empty("Name", &filter.name)
    })
}

fn check_match(matches: &FilterChainMatch) -> Checked {
    const RANGE: &str = "value must be inside range [1, 65535]";
    let rules = Rules::of("FilterChainMatch");
    let is_port = |port: u32| (1..=65535).contains(&port);
    if matches.destination_port.is_some_and(|port| !is_port(port.value)) {
        return Err(rules.broken("DestinationPort", RANGE));
    }
    rules.defined::<ConnectionSourceType>("SourceType", matches.source_type)?;
    match matches.source_ports.iter().position(|port| !is_port(*port)) {
        Some(index) => Err(rules.broken(&format!("SourcePorts[{index}]"), RANGE)),
        None => Ok(()),
    }
}

/// Which connections a chain takes.
pub(super) fn of_chain(chain: &FilterChain, shown: &str) -> Result<ChainMatch, Reject> {
    let Some(matches) = &chain.filter_chain_match else {
        return Ok(ChainMatch::default());
    };
    if !matches.address_suffix.is_empty() || matches.suffix_len.is_some() {
        let name = &chain.name;
        return Err(adding(
            shown,
            &format!("filter chain '{name}' contains unimplemented fields"),
        ));
    }
    let partial = |name: &&String| name.contains('*') && !name.starts_with("*.");
    if matches.server_names.iter().any(|name| partial(&name)) {
        let why = r#"partial wildcards are not supported in "server_names""#;
        return Err(adding(shown, why));
    }
    let names: HashSet<_> = matches.server_names.iter().collect();
    if names.len() < matches.server_names.len() {
        let why = "multiple filter chains with overlapping matching rules are defined";
        return Err(adding(shown, why));
    }
    Ok(ChainMatch {
        destination_port: matches
            .destination_port
            .and_then(|port| u16::try_from(port.value).ok()),
        destinations: prefixes(&matches.prefix_ranges)?,
        server_names: matches
            .server_names
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect(),
        transport: match matches.transport_protocol.as_str() {
            "" => None,
            "tls" => Some(Transport::Tls),
            "raw_buffer" => Some(Transport::Raw),
            other => {
                let why = format!("transport_protocol '{other}' is not supported here");
                return Err(adding(shown, &why));
            }
        },
        application_protocols: matches
            .application_protocols
            .iter()
            .map(|name| name.clone().into_bytes())
            .collect(),
        direct_sources: prefixes(&matches.direct_source_prefix_ranges)?,
        source_type: match matches.source_type() {
            ConnectionSourceType::Any => None,
            ConnectionSourceType::SameIpOrLoopback => Some(SourceType::SameHost),
            ConnectionSourceType::External => Some(SourceType::External),
        },
        sources: prefixes(&matches.source_prefix_ranges)?,
        source_ports: matches
            .source_ports
            .iter()
            .filter_map(|port| u16::try_from(*port).ok())
            .collect(),
    })
}

fn prefixes(ranges: &[CidrRange]) -> Result<Vec<Prefix>, Reject> {
    ranges.iter().map(prefix).collect()
}

fn prefix(range: &CidrRange) -> Result<Prefix, Reject> {
    let malformed = || Reject::Resource(format!("malformed IP address: {}", range.address_prefix));
    let address: std::net::IpAddr = range.address_prefix.parse().map_err(|_| malformed())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    // Envoy takes what is longer than the address for the whole of it.
    let bits = range.prefix_len.map_or(0, |length| length.value.min(most));
    Prefix::new(address, u8::try_from(bits).unwrap_or(u8::MAX)).map_err(|_| malformed())
}

/// Refuses two chains for the same connections, and one for connections that it does not speak.
pub(super) fn refuse_overlap(
    shown: &str,
    sources: &[FilterChain],
    chains: &[ChainConfig],
) -> Result<(), Reject> {
    let http = Arc::new(HttpSettings::default());
    // Chains for different transports never meet. Those of each are compared without it, as nothing here speaks TLS yet.
    for transport in [None, Some(Transport::Tls), Some(Transport::Raw)] {
        let alike = chains.iter().filter(|chain| chain.matches.transport == transport);
        let plain = alike.map(|chain| Chain {
            matches: ChainMatch {
                transport: None,
                ..chain.matches.clone()
            },
            ..Chain::plain(Arc::clone(&http)).named(Arc::clone(&chain.name))
        });
        match FilterChains::new(plain.collect(), Some(Chain::plain(Arc::clone(&http)))) {
            Ok(_) => {}
            Err(ChainError::Overlap { .. }) => return Err(overlap(shown, sources, chains)),
            Err(error) => return Err(adding(shown, &error.to_string())),
        }
    }
    let speaks_another = |chain: &&ChainConfig| {
        // Bytes that are passed on may be TLS.
        let wanted = chain
            .matches
            .transport
            .filter(|_| chain.relay.is_none() || chain.tls.is_some());
        wanted.is_some_and(|wanted| (wanted == Transport::Tls) != chain.tls.is_some())
    };
    if let Some(chain) = chains.iter().find(speaks_another) {
        let error = ChainError::Transport(Arc::clone(&chain.name));
        return Err(adding(shown, &error.to_string()));
    }
    Ok(())
}

/// How Envoy refuses chains of which two are for the same connections.
fn overlap(shown: &str, sources: &[FilterChain], chains: &[ChainConfig]) -> Reject {
    for (index, (source, chain)) in sources.iter().zip(chains).enumerate() {
        let mut before = sources.iter().zip(chains).take(index);
        if let Some((twin, _)) = before.find(|(_, other)| other.matches == chain.matches) {
            let matcher = shown_match(twin.filter_chain_match.as_ref());
            return adding(
                shown,
                &format!(
                    "filter chain '{}' has the same matching rules defined as '{}'. duplicate matcher is: {matcher}",
                    source.name, twin.name
                ),
            );
        }
    }
    let why = "multiple filter chains with overlapping matching rules are defined";
    adding(shown, why)
}

/// A match as protobuf's JSON with its original names has it: the fields in the order of their numbers.
fn shown_match(matches: Option<&FilterChainMatch>) -> String {
    let Some(matches) = matches else {
        return "{}".to_owned();
    };
    let ranges = |ranges: &[CidrRange]| -> Value {
        let each = ranges.iter().map(|range| {
            let (prefix, length) = (
                json!(range.address_prefix),
                range.prefix_len.map_or(0, |length| length.value),
            );
            Value::String(format!("{{\"address_prefix\":{prefix},\"prefix_len\":{length}}}"))
        });
        each.collect()
    };
    let source = matches.source_type();
    let source = (source != ConnectionSourceType::Any).then(|| source.as_str_name());
    let fields = [
        ("prefix_ranges", ranges(&matches.prefix_ranges)),
        ("source_prefix_ranges", ranges(&matches.source_prefix_ranges)),
        ("source_ports", json!(matches.source_ports)),
        (
            "destination_port",
            json!(matches.destination_port.map(|port| port.value)),
        ),
        ("transport_protocol", json!(matches.transport_protocol)),
        ("application_protocols", json!(matches.application_protocols)),
        ("server_names", json!(matches.server_names)),
        ("source_type", json!(source)),
        (
            "direct_source_prefix_ranges",
            ranges(&matches.direct_source_prefix_ranges),
        ),
    ];
    let set = fields.iter().filter(|(_, value)| !is_empty(value));
    let shown: Vec<String> = set
        .map(|(name, value)| format!("\"{name}\":{}", shown_value(name, value)))
        .collect();
    format!("{{{}}}", shown.join(","))
}

fn is_empty(value: &Value) -> bool {
    value.is_null()
        || value.as_array().is_some_and(Vec::is_empty)
        || value.as_str().is_some_and(str::is_empty)
}

/// Ranges are JSON already.
fn shown_value(name: &str, value: &Value) -> String {
    match value {
        Value::Array(ranges) if name.ends_with("_ranges") => {
            let ranges: Vec<&str> = ranges.iter().filter_map(Value::as_str).collect();
            format!("[{}]", ranges.join(","))
        }
        other => other.to_string(),
    }
}
