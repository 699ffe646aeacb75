//! Clusters as `envoy.config.cluster.v3.Cluster`.

use std::sync::Arc;

use bytes::BufMut;
use envoy_types::pb::envoy::config::cluster::v3 as pb;
use envoy_types::pb::envoy::config::cluster::v3::circuit_breakers;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, DnsLookupFamily, EdsClusterConfig,
};
use envoy_types::pb::envoy::config::core::v3::{
    Address, RoutingPriority, SocketAddress, address, socket_address,
};
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use tidegate_proxy::cluster::breaker::Thresholds;
use tidegate_proxy::cluster::discovery::{Addresses, DnsName, Family};
use tidegate_proxy::cluster::{ClusterSettings, Discovery, Endpoint};

use super::endpoints::assignment;
use super::{Encoder, Unsupported, duration, number};
use crate::resource::Kind;
use crate::server::{Reference, Resource};
use crate::translate::cluster::activation::Activation;
use crate::translate::metadata::Metadata;

mod balance;
mod transport;

/// Where a cluster's endpoints come from, unless its settings name them.
#[derive(Clone, Copy, Debug)]
pub enum Endpoints<'a> {
    /// The resource itself, so that each change of them is one of the cluster (`STATIC`).
    Inline(&'a [Arc<Endpoint>]),
    /// A resource of their own under the cluster's name (`EDS`): see [`Encoder::endpoints`].
    Apart,
}

/// `Cluster.metadata`.
const METADATA: u32 = 25;

impl Encoder {
    /// A cluster.
    ///
    /// # Errors
    /// When it is set up in a way that Envoy cannot be told.
    pub fn cluster(
        &self,
        settings: &ClusterSettings,
        endpoints: Endpoints<'_>,
    ) -> Result<Resource, Unsupported> {
        self.cluster_with(settings, endpoints, None)
    }

    /// A cluster with metadata: an encoded `envoy.config.core.v3.Metadata`, which Envoy carries and does not look at.
    ///
    /// # Errors
    /// As [`Encoder::cluster`].
    pub fn cluster_with(
        &self,
        settings: &ClusterSettings,
        endpoints: Endpoints<'_>,
        metadata: Option<&[u8]>,
    ) -> Result<Resource, Unsupported> {
        let name = &settings.name;
        let within = |error: Unsupported| error.within(&format!("cluster '{name}'"));
        let mut cluster = self.encoded(settings, endpoints).map_err(within)?;
        if settings.choices.is_some() {
            let what = Unsupported::new("choices", "endpoints that are connected to in ways of their own");
            return Err(within(what));
        }
        transport::apply(&settings.transport, &mut cluster).map_err(within)?;
        balance::apply(&settings.balance, &mut cluster).map_err(within)?;
        let mut body = cluster.encode_to_vec();
        let own = settings.metadata.get::<Metadata>().map(|own| &*own.encoded);
        // Read from the metadata that is written, which says it again.
        let read_from_it = usize::from(settings.metadata.get::<Arc<Activation>>().is_some());
        if settings.metadata.len() > usize::from(own.is_some()) + read_from_it {
            return Err(within(Unsupported::new(
                "metadata",
                "what only this process reads",
            )));
        }
        if let Some(metadata) = metadata.or(own) {
            // As it is: another encoder might write the entries of its maps in another order.
            encode_key(METADATA, WireType::LengthDelimited, &mut body);
            encode_varint(metadata.len() as u64, &mut body);
            body.put_slice(metadata);
        }
        let endpoints = matches!(cluster.cluster_discovery_type, Some(ClusterDiscoveryType::Type(kind)) if kind == DiscoveryType::Eds as i32);
        let reference = endpoints.then(|| Reference {
            kind: Kind::Endpoints,
            name: Arc::clone(name),
        });
        Ok(Resource::new(Arc::clone(name), body).naming(reference))
    }

    fn encoded(
        &self,
        settings: &ClusterSettings,
        endpoints: Endpoints<'_>,
    ) -> Result<pb::Cluster, Unsupported> {
        let ClusterSettings {
            name,
            metrics_name,
            // Written by those who call this.
            transport: _,
            balance,
            metadata: _,
            layers: _,
            transport_http2,
            choices,
            outlier,
            health_check,
            discovery,
            breakers,
            retry_budget,
        } = settings;
        let activated = settings.metadata.get::<Arc<Activation>>().is_some();
        let refused = [
            (settings.layers.is_some() && !activated, "layers of this process"),
            (transport_http2.is_some(), "another transport for HTTP/2"),
            (choices.is_some(), "transports that endpoints choose"),
            (retry_budget.is_some(), "a budget of retries"),
        ];
        if let Some((_, what)) = refused.into_iter().find(|(is_there, _)| *is_there) {
            return Err(Unsupported::new("cluster", what));
        }
        if outlier.is_some() {
            return Err(Unsupported::new("outlier", "the detection of outliers"));
        }
        if health_check.is_some() {
            return Err(Unsupported::new("health check", "a check of endpoints"));
        }
        let mut cluster = pb::Cluster {
            name: name.to_string(),
            alt_stat_name: metrics_name.as_deref().unwrap_or_default().to_owned(),
            circuit_breakers: Some(pb::CircuitBreakers {
                thresholds: vec![
                    thresholds(RoutingPriority::Default, &breakers.default),
                    thresholds(RoutingPriority::High, &breakers.high),
                ],
                ..pb::CircuitBreakers::default()
            }),
            ..pb::Cluster::default()
        };
        let kind = match (discovery, endpoints) {
            (Some(names), _) => self::discovery(names, &mut cluster)?,
            (None, Endpoints::Inline(all)) => {
                let mut assignment = assignment(name, all)?;
                assignment.policy = balance::policy(balance);
                cluster.load_assignment = Some(assignment);
                DiscoveryType::Static
            }
            (None, Endpoints::Apart) => {
                if balance::policy(balance).is_some() {
                    let what = "overprovisioning of endpoints that come apart";
                    return Err(Unsupported::new("balance", what));
                }
                cluster.eds_cluster_config = Some(EdsClusterConfig {
                    eds_config: Some(self.source.clone()),
                    ..EdsClusterConfig::default()
                });
                DiscoveryType::Eds
            }
        };
        cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(kind.into()));
        Ok(cluster)
    }
}

/// Bounds of one priority. What has none says so: where nothing is said, Envoy has 1024 and 3.
fn thresholds(priority: RoutingPriority, bounds: &Thresholds) -> circuit_breakers::Thresholds {
    let bound = |bound: Option<usize>| {
        let bound = bound.map_or(u32::MAX, |bound| u32::try_from(bound).unwrap_or(u32::MAX));
        number(bound)
    };
    circuit_breakers::Thresholds {
        priority: priority.into(),
        max_connections: bound(bounds.connections),
        max_pending_requests: bound(bounds.pending),
        max_requests: bound(bounds.requests),
        max_retries: bound(bounds.retries),
        ..circuit_breakers::Thresholds::default()
    }
}

#[expect(
    deprecated,
    reason = "every Envoy understands them, their successors only new ones"
)]
fn discovery(names: &Discovery, cluster: &mut pb::Cluster) -> Result<DiscoveryType, Unsupported> {
    let kind = match names.addresses {
        Addresses::All => DiscoveryType::StrictDns,
        Addresses::First if names.names.len() == 1 => DiscoveryType::LogicalDns,
        Addresses::First => {
            return Err(Unsupported::new(
                "discovery",
                "the first address of several names",
            ));
        }
    };
    let family = match names.family {
        Family::All => DnsLookupFamily::All,
        Family::PreferV6 => DnsLookupFamily::Auto,
        Family::PreferV4 => DnsLookupFamily::V4Preferred,
        Family::V4 => DnsLookupFamily::V4Only,
        Family::V6 => DnsLookupFamily::V6Only,
    };
    cluster.dns_lookup_family = family.into();
    cluster.dns_refresh_rate = Some(duration(names.refresh));
    cluster.respect_dns_ttl = names.by_ttl;
    cluster.load_assignment = Some(endpoint::ClusterLoadAssignment {
        cluster_name: cluster.name.clone(),
        endpoints: names.names.iter().map(named).collect::<Result<_, _>>()?,
        ..endpoint::ClusterLoadAssignment::default()
    });
    Ok(kind)
}

fn named(name: &DnsName) -> Result<endpoint::LocalityLbEndpoints, Unsupported> {
    let usual = DnsName::new(&*name.host, name.port);
    if name.locality.is_some() || name.status != usual.status || !name.metadata.is_empty() {
        return Err(Unsupported::new(
            &*name.host,
            "locality, status or metadata of a name",
        ));
    }
    let address = SocketAddress {
        address: name.host.to_string(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(name.port.into())),
        ..SocketAddress::default()
    };
    let address = Address {
        address: Some(address::Address::SocketAddress(address)),
    };
    Ok(endpoint::LocalityLbEndpoints {
        priority: name.priority,
        lb_endpoints: vec![endpoint::LbEndpoint {
            load_balancing_weight: number(name.weight.max(1)),
            host_identifier: Some(HostIdentifier::Endpoint(endpoint::Endpoint {
                address: Some(address),
                hostname: name.hostname.as_deref().unwrap_or_default().to_owned(),
                ..endpoint::Endpoint::default()
            })),
            ..endpoint::LbEndpoint::default()
        }],
        ..endpoint::LocalityLbEndpoints::default()
    })
}
