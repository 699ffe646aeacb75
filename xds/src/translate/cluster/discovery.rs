//! Where do a cluster's endpoints come from?

use std::path::Path;
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3 as envoy;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CustomClusterType, DiscoveryType, DnsLookupFamily, EdsClusterConfig,
};
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::extensions::clusters::dns::v3::DnsCluster;
use prost::Name;
use tidegate_proxy::cluster::discovery::{Addresses, Discovery, DnsName, Family};
use tidegate_proxy::cluster::{Address, ClusterSettings};

use super::EndpointSource;
use crate::limits;
use crate::translate::Reject;
use crate::translate::constraint::Rules;
use crate::translate::endpoints::address::Place;
use crate::translate::endpoints::{self, one};
use crate::translate::message::{duration, positive, unpack};
use crate::translate::notes::Notes;

/// Where the endpoints come from; names that are looked up go into `settings`.
pub(super) fn read(
    message: &envoy::Cluster,
    settings: &mut ClusterSettings,
    notes: &mut Notes,
) -> Result<EndpointSource, Reject> {
    let kind = match &message.cluster_discovery_type {
        None => DiscoveryType::Static,
        Some(ClusterDiscoveryType::Type(number)) => DiscoveryType::try_from(*number).unwrap_or_default(),
        Some(ClusterDiscoveryType::ClusterType(custom)) => {
            return of_extension(message, custom, settings, notes);
        }
    };
    if kind != DiscoveryType::Eds && message.eds_cluster_config.is_some() {
        return refuse("eds_cluster_config set in a non-EDS cluster");
    }
    match kind {
        DiscoveryType::Static => inline(message, settings, notes),
        DiscoveryType::Eds => eds(message),
        DiscoveryType::StrictDns | DiscoveryType::LogicalDns => {
            let addresses = match kind {
                DiscoveryType::LogicalDns => Addresses::First,
                _ => Addresses::All,
            };
            let lookup = of_cluster(message, addresses, notes)?;
            names(message, lookup, settings, notes)
        }
        DiscoveryType::OriginalDst => Err(Reject::unsupported("type: ORIGINAL_DST")),
    }
}

fn inline(
    message: &envoy::Cluster,
    settings: &mut ClusterSettings,
    notes: &mut Notes,
) -> Result<EndpointSource, Reject> {
    let Some(assignment) = &message.load_assignment else {
        return Ok(EndpointSource::Inline(Vec::new()));
    };
    let read = endpoints::of_addresses(assignment, "load_assignment.")?;
    read.complete(settings);
    notes.extend(&read.notes);
    Ok(EndpointSource::Inline(read.endpoints))
}

fn eds(message: &envoy::Cluster) -> Result<EndpointSource, Reject> {
    let config = message.eds_cluster_config.as_ref();
    let source = config.and_then(|config| config.eds_config.as_ref());
    let (Some(config), Some(source)) = (config, source) else {
        return refuse("cannot create an EDS cluster without an EDS config");
    };
    let fetch = duration(source.initial_fetch_timeout.as_ref())?.unwrap_or(limits::INITIAL_FETCH_TIMEOUT);
    let file = match &source.config_source_specifier {
        Some(ConfigSourceSpecifier::Path(path)) => Some(path.as_str()),
        Some(ConfigSourceSpecifier::PathConfigSource(source)) => Some(source.path.as_str()),
        // Whatever stream the cluster came by has its endpoints too.
        Some(
            ConfigSourceSpecifier::Ads(_)
            | ConfigSourceSpecifier::ApiConfigSource(_)
            | ConfigSourceSpecifier::Self_(_),
        ) => None,
        None => return refuse("cannot create an EDS cluster without an EDS config"),
    };
    Ok(EndpointSource::Eds {
        name: resource(config, message),
        initial_fetch_timeout: (!fetch.is_zero()).then_some(fetch),
        file: file.map(|file| Arc::from(Path::new(file))),
    })
}

fn resource(config: &EdsClusterConfig, message: &envoy::Cluster) -> Arc<str> {
    match config.service_name.as_str() {
        "" => message.name.as_str().into(),
        name => name.into(),
    }
}

fn of_extension(
    message: &envoy::Cluster,
    custom: &CustomClusterType,
    settings: &mut ClusterSettings,
    notes: &mut Notes,
) -> Result<EndpointSource, Reject> {
    let unknown = || {
        Reject::Resource(format!(
            "Didn't find a registered cluster factory implementation for name: '{}'",
            custom.name
        ))
    };
    let packed = custom.typed_config.as_ref().ok_or_else(unknown)?;
    if packed.type_url == DnsCluster::type_url() {
        let lookup = of_dns_cluster(&unpack(packed)?, notes)?;
        return names(message, lookup, settings, notes);
    }
    match packed.type_url.contains("/envoy.extensions.clusters.") {
        true => Err(Reject::unsupported(format_args!("cluster_type: {}", custom.name))),
        false => Err(unknown()),
    }
}

fn of_cluster(
    message: &envoy::Cluster,
    addresses: Addresses,
    notes: &mut Notes,
) -> Result<Discovery, Reject> {
    if !message.dns_resolvers.is_empty() || message.dns_resolution_config.is_some() {
        return Err(Reject::unsupported("dns_resolvers"));
    }
    notes.ignored("dns_jitter", message.dns_jitter.is_some());
    notes.ignored(
        "dns_failure_refresh_rate",
        message.dns_failure_refresh_rate.is_some(),
    );
    notes.ignored(
        "typed_dns_resolver_config",
        message.typed_dns_resolver_config.is_some(),
    );
    notes.ignored("use_tcp_for_dns_lookups", message.use_tcp_for_dns_lookups);
    let family = match DnsLookupFamily::try_from(message.dns_lookup_family).unwrap_or_default() {
        DnsLookupFamily::Auto => Family::PreferV6,
        DnsLookupFamily::V4Only => Family::V4,
        DnsLookupFamily::V6Only => Family::V6,
        DnsLookupFamily::V4Preferred => Family::PreferV4,
        DnsLookupFamily::All => Family::All,
    };
    let mut discovery = Discovery::of([]);
    discovery.addresses = addresses;
    discovery.family = family;
    discovery.by_ttl = message.respect_dns_ttl;
    discovery.refresh = positive(message.dns_refresh_rate.as_ref()).unwrap_or(discovery.refresh);
    Ok(discovery)
}

fn of_dns_cluster(message: &DnsCluster, notes: &mut Notes) -> Result<Discovery, Reject> {
    use envoy_types::pb::envoy::extensions::clusters::common::dns::v3::DnsLookupFamily;
    let of = Rules::of("DnsCluster");
    of.longer(
        "DnsRefreshRate",
        message.dns_refresh_rate.as_ref(),
        std::time::Duration::from_millis(1),
    )
    .and_then(|()| of.defined::<DnsLookupFamily>("DnsLookupFamily", message.dns_lookup_family))
    .map_err(crate::translate::constraint::Violation::of_resource)?;
    notes.ignored("cluster_type: dns_jitter", message.dns_jitter.is_some());
    notes.ignored(
        "cluster_type: dns_failure_refresh_rate",
        message.dns_failure_refresh_rate.is_some(),
    );
    notes.ignored(
        "cluster_type: typed_dns_resolver_config",
        message.typed_dns_resolver_config.is_some(),
    );
    notes.ignored(
        "cluster_type: dns_min_refresh_rate",
        message.dns_min_refresh_rate.is_some(),
    );
    let mut discovery = Discovery::of([]);
    discovery.addresses = match message.all_addresses_in_single_endpoint {
        true => Addresses::First,
        false => Addresses::All,
    };
    discovery.family = match DnsLookupFamily::try_from(message.dns_lookup_family).unwrap_or_default() {
        DnsLookupFamily::Unspecified | DnsLookupFamily::Auto => Family::PreferV6,
        DnsLookupFamily::V4Only => Family::V4,
        DnsLookupFamily::V6Only => Family::V6,
        DnsLookupFamily::V4Preferred => Family::PreferV4,
        DnsLookupFamily::All => Family::All,
    };
    discovery.by_ttl = message.respect_dns_ttl;
    discovery.refresh = positive(message.dns_refresh_rate.as_ref()).unwrap_or(discovery.refresh);
    Ok(discovery)
}

/// The names that the endpoints are found by.
fn names(
    message: &envoy::Cluster,
    mut discovery: Discovery,
    settings: &mut ClusterSettings,
    notes: &mut Notes,
) -> Result<EndpointSource, Reject> {
    let nothing = ClusterLoadAssignment::default();
    let assignment = message.load_assignment.as_ref().unwrap_or(&nothing);
    if resolver_named(assignment) {
        let kind = match discovery.addresses {
            Addresses::All => "STRICT_DNS",
            Addresses::First => "LOGICAL_DNS",
        };
        return refuse(format!(
            "{kind} clusters must NOT have a custom resolver name set"
        ));
    }
    let described = one::all(assignment, "load_assignment.", notes)?;
    if discovery.addresses == Addresses::First && (assignment.endpoints.len() != 1 || described.len() != 1) {
        return refuse(
            "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint",
        );
    }
    for described in described {
        discovery.names.push(name(described)?);
    }
    let factor = assignment
        .policy
        .as_ref()
        .and_then(|policy| policy.overprovisioning_factor);
    if let Some(factor) = factor {
        settings.balance.overprovisioning_percent = factor.value;
    }
    settings.discovery = Some(discovery.into());
    Ok(EndpointSource::Names)
}

fn name(described: one::Described) -> Result<DnsName, Reject> {
    let (host, port) = match &described.place {
        Place::Named { host, port } => (host.to_string(), *port),
        // An address is its own name.
        Place::At(Address::Tcp(address)) => (address.ip().to_string(), address.port()),
        Place::At(Address::Unix(_)) => {
            return Err(Reject::unsupported("load_assignment: a pipe among names"));
        }
    };
    Ok(described.name(&host, port))
}

fn resolver_named(assignment: &ClusterLoadAssignment) -> bool {
    use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
    use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
    let mut listed = assignment.endpoints.iter().flat_map(|group| &group.lb_endpoints);
    listed.any(|listed| match &listed.host_identifier {
        Some(HostIdentifier::Endpoint(endpoint)) => {
            let address = endpoint
                .address
                .as_ref()
                .and_then(|address| address.address.as_ref());
            matches!(address, Some(Kind::SocketAddress(socket)) if !socket.resolver_name.is_empty())
        }
        _ => false,
    })
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Reject> {
    Err(Reject::Resource(why.into()))
}
