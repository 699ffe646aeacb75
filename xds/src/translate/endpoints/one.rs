//! What does an assignment say about one of its endpoints?

use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::HealthStatus;
use envoy_types::pb::envoy::config::endpoint::v3 as envoy;
use envoy_types::pb::envoy::config::endpoint::v3::endpoint::HealthCheckConfig;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::locality_lb_endpoints::LbConfig;
use envoy_types::pb::google::protobuf::value::Kind;
use http::Extensions;
use prost::Message;
use tidegate_proxy::cluster::discovery::DnsName;
use tidegate_proxy::cluster::{Address, Endpoint, Locality, Status};

use super::address::{self, Place};
use crate::translate::Reject;
use crate::translate::cluster::MATCHED_BY;
use crate::translate::message::number;
use crate::translate::metadata::{LocalityMetadata, Metadata};
use crate::translate::notes::Notes;

/// An endpoint as an assignment describes it.
pub(crate) struct Described {
    pub(crate) place: Place,
    weight: u32,
    priority: u32,
    locality: Option<Arc<Locality>>,
    status: Status,
    hostname: Option<Arc<str>>,
    hash_key: Option<Arc<str>>,
    metadata: Extensions,
}

impl Described {
    /// At this address, whatever its place is.
    pub(crate) fn endpoint(self, address: Address) -> Endpoint {
        let mut endpoint = Endpoint::new(address)
            .with_weight(self.weight)
            .with_priority(self.priority)
            .with_status(self.status)
            .with_metadata(self.metadata);
        if let Some(locality) = self.locality {
            endpoint = endpoint.with_locality(locality);
        }
        if let Some(hostname) = self.hostname {
            endpoint = endpoint.with_hostname(hostname);
        }
        match self.hash_key {
            Some(key) => endpoint.with_hash_key(key),
            None => endpoint,
        }
    }

    /// Under this name, whatever its place is.
    pub(crate) fn name(self, host: &str, port: u16) -> DnsName {
        DnsName {
            weight: self.weight,
            priority: self.priority,
            hostname: self.hostname,
            locality: self.locality,
            status: self.status,
            metadata: self.metadata,
            ..DnsName::new(host, port)
        }
    }
}

/// All endpoints of an assignment, in order.
pub(crate) fn all(
    message: &envoy::ClusterLoadAssignment,
    path: &str,
    notes: &mut Notes,
) -> Result<Vec<Described>, Reject> {
    let mut all = Vec::new();
    for (index, group) in message.endpoints.iter().enumerate() {
        let path = format!("{path}endpoints[{index}]");
        let locality = locality(group);
        let of_locality = metadata_of(group);
        let listed = match &group.lb_config {
            Some(LbConfig::LoadBalancerEndpoints(list)) => &list.lb_endpoints,
            Some(LbConfig::LedsClusterLocalityConfig(_)) => {
                return Err(Reject::unsupported(format_args!(
                    "{path}.leds_cluster_locality_config"
                )));
            }
            None => &group.lb_endpoints,
        };
        for (index, listed) in listed.iter().enumerate() {
            let path = format!("{path}.lb_endpoints[{index}]");
            let mut described = describe(message, listed, &path, notes)?;
            described.priority = group.priority;
            described.locality.clone_from(&locality);
            if let Some(of_locality) = &of_locality {
                described.metadata.insert(of_locality.clone());
            }
            all.push(described);
        }
    }
    Ok(all)
}

/// What a locality says, where transport sockets are chosen by it: nothing else asks for that.
fn metadata_of(group: &envoy::LocalityLbEndpoints) -> Option<LocalityMetadata> {
    let metadata = group.metadata.as_ref()?;
    let asked = metadata.filter_metadata.contains_key(MATCHED_BY);
    asked.then(|| LocalityMetadata(Metadata::read(Bytes::from(metadata.encode_to_vec()))))
}

fn locality(group: &envoy::LocalityLbEndpoints) -> Option<Arc<Locality>> {
    let weight = number(group.load_balancing_weight.as_ref()).unwrap_or(0);
    if group.locality.is_none() && weight == 0 {
        return None;
    }
    let named = group.locality.clone().unwrap_or_default();
    Some(Arc::new(Locality {
        region: named.region.into(),
        zone: named.zone.into(),
        sub_zone: named.sub_zone.into(),
        weight,
    }))
}

fn describe(
    message: &envoy::ClusterLoadAssignment,
    listed: &envoy::LbEndpoint,
    path: &str,
    notes: &mut Notes,
) -> Result<Described, Reject> {
    let endpoint = match &listed.host_identifier {
        Some(HostIdentifier::Endpoint(endpoint)) => Some(endpoint),
        Some(HostIdentifier::EndpointName(name)) => message.named_endpoints.get(name),
        None => None,
    };
    let address = endpoint.and_then(|endpoint| endpoint.address.as_ref());
    let (Some(endpoint), Some(address)) = (endpoint, address) else {
        return Err(Reject::Resource("Address must be set".to_owned()));
    };
    let place = address::read(address, &format!("{path}.endpoint.address"))?;
    check_config(endpoint.health_check_config.as_ref(), path, notes)?;
    notes.ignored(
        format_args!("{path}.endpoint.additional_addresses"),
        !endpoint.additional_addresses.is_empty(),
    );
    Ok(Described {
        place,
        weight: number(listed.load_balancing_weight.as_ref()).unwrap_or(1),
        priority: 0,
        locality: None,
        status: status(listed.health_status),
        hostname: (!endpoint.hostname.is_empty()).then(|| endpoint.hostname.as_str().into()),
        hash_key: hash_key(listed),
        metadata: metadata(listed),
    })
}

/// What is asked elsewhere than at the endpoint, or not at all, says nothing about it here.
fn check_config(config: Option<&HealthCheckConfig>, path: &str, notes: &mut Notes) -> Result<(), Reject> {
    let Some(config) = config else {
        return Ok(());
    };
    let path = format!("{path}.endpoint.health_check_config");
    if config.port_value != 0 {
        return Err(Reject::unsupported(format_args!("{path}.port_value")));
    }
    if config.address.is_some() {
        return Err(Reject::unsupported(format_args!("{path}.address")));
    }
    if config.disable_active_health_check {
        return Err(Reject::unsupported(format_args!(
            "{path}.disable_active_health_check"
        )));
    }
    notes.ignored(format_args!("{path}.hostname"), !config.hostname.is_empty());
    Ok(())
}

fn status(number: i32) -> Status {
    match HealthStatus::try_from(number) {
        Ok(HealthStatus::Unhealthy | HealthStatus::Timeout) => Status::Unhealthy,
        Ok(HealthStatus::Draining) => Status::Draining,
        Ok(HealthStatus::Degraded) => Status::Degraded,
        Ok(HealthStatus::Unknown | HealthStatus::Healthy) | Err(_) => Status::Healthy,
    }
}

/// What ring hash and Maglev place it by (`filter_metadata["envoy.lb"].hash_key`).
fn hash_key(listed: &envoy::LbEndpoint) -> Option<Arc<str>> {
    let balancing = listed.metadata.as_ref()?.filter_metadata.get("envoy.lb")?;
    match &balancing.fields.get("hash_key")?.kind {
        Some(Kind::StringValue(key)) => Some(key.as_str().into()),
        _ => None,
    }
}

fn metadata(listed: &envoy::LbEndpoint) -> Extensions {
    let mut extensions = Extensions::new();
    if let Some(metadata) = &listed.metadata {
        extensions.insert(Metadata::read(Bytes::from(metadata.encode_to_vec())));
    }
    extensions
}
