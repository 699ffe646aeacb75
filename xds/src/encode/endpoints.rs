//! Endpoints as `envoy.config.endpoint.v3.ClusterLoadAssignment`.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{
    self as core, Address as PbAddress, HealthStatus, Pipe, address,
};
use envoy_types::pb::envoy::config::endpoint::v3 as pb;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use prost::Message;
use tidegate_proxy::cluster::{Address, Endpoint, Locality, Status};

use super::{Encoder, Unsupported, number, socket};
use crate::server::Resource;

impl Encoder {
    /// The endpoints of a cluster that comes without them; `name` is the cluster's.
    ///
    /// # Errors
    /// When an endpoint is at a path that no text can be.
    pub fn endpoints(&self, name: &str, endpoints: &[Arc<Endpoint>]) -> Result<Resource, Unsupported> {
        let assignment = assignment(name, endpoints)?;
        Ok(Resource::new(name, assignment.encode_to_vec()))
    }
}

/// Endpoints by priority and locality, each group in its order.
pub(super) fn assignment(
    name: &str,
    endpoints: &[Arc<Endpoint>],
) -> Result<pb::ClusterLoadAssignment, Unsupported> {
    let mut groups: BTreeMap<(u32, Option<&Locality>), Vec<pb::LbEndpoint>> = BTreeMap::new();
    for endpoint in endpoints {
        let place = (endpoint.priority(), endpoint.locality().map(AsRef::as_ref));
        let encoded = one(endpoint).map_err(|error| error.within(&format!("cluster '{name}'")))?;
        groups.entry(place).or_default().push(encoded);
    }
    let groups = groups
        .into_iter()
        .map(|((priority, locality), lb_endpoints)| pb::LocalityLbEndpoints {
            locality: locality.map(|locality| core::Locality {
                region: locality.region.to_string(),
                zone: locality.zone.to_string(),
                sub_zone: locality.sub_zone.to_string(),
            }),
            load_balancing_weight: locality
                .filter(|locality| locality.weight > 0)
                .and_then(|l| number(l.weight)),
            priority,
            lb_endpoints,
            ..pb::LocalityLbEndpoints::default()
        });
    Ok(pb::ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: groups.collect(),
        ..pb::ClusterLoadAssignment::default()
    })
}

/// What an endpoint is hashed by, as Envoy is told: the one entry of each map, so that their order is no question.
fn hashed_by(key: &str) -> core::Metadata {
    let value = Value {
        kind: Some(Kind::StringValue(key.to_owned())),
    };
    let fields = [("hash_key".to_owned(), value)].into();
    core::Metadata {
        filter_metadata: [("envoy.lb".to_owned(), Struct { fields })].into(),
        ..core::Metadata::default()
    }
}

fn one(endpoint: &Endpoint) -> Result<pb::LbEndpoint, Unsupported> {
    if !endpoint.metadata().is_empty() {
        return Err(Unsupported::new("endpoint", "what is said of it beside"));
    }
    let address = match endpoint.address() {
        Address::Tcp(at) => socket(*at),
        Address::Unix(path) => {
            let path = path.to_str();
            let path = path.ok_or_else(|| Unsupported::new("endpoint", "a path that is not UTF-8"))?;
            let pipe = Pipe {
                path: path.to_owned(),
                ..Pipe::default()
            };
            PbAddress {
                address: Some(address::Address::Pipe(pipe)),
            }
        }
    };
    let status = match endpoint.status() {
        Status::Healthy => HealthStatus::Unknown,
        Status::Degraded => HealthStatus::Degraded,
        Status::Unhealthy => HealthStatus::Unhealthy,
        Status::Draining => HealthStatus::Draining,
    };
    Ok(pb::LbEndpoint {
        health_status: status.into(),
        metadata: endpoint.own_hash_key().map(|key| hashed_by(key)),
        load_balancing_weight: (endpoint.weight() > 1)
            .then(|| number(endpoint.weight()))
            .flatten(),
        host_identifier: Some(HostIdentifier::Endpoint(pb::Endpoint {
            address: Some(address),
            hostname: endpoint
                .hostname()
                .map(|name| name.to_string())
                .unwrap_or_default(),
            ..pb::Endpoint::default()
        })),
    })
}
