//! `envoy.config.endpoint.v3.ClusterLoadAssignment` as endpoints.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::envoy::config::endpoint::v3 as envoy;
use tidegate_proxy::cluster::{ClusterSettings, Endpoint};

use super::message::decode;
use super::notes::Notes;
use super::{Context, Note, Reject, unknown};

pub(crate) mod address;
pub(crate) mod constraints;
pub(crate) mod one;
mod policy;

use self::address::Place;
use self::one::Described;

/// The endpoints of a cluster.
#[derive(Clone, Debug)]
pub struct EndpointsConfig {
    /// `cluster_name`: what clusters subscribe to.
    pub name: Arc<str>,
    /// All of them.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// `policy.overprovisioning_factor`: it is the cluster's to know, see [`EndpointsConfig::complete`].
    pub overprovisioning_percent: Option<u32>,
    /// What has no effect.
    pub notes: Vec<Note>,
}

impl EndpointsConfig {
    /// Writes into the settings of their cluster what endpoints say about balancing.
    pub fn complete(&self, settings: &mut ClusterSettings) {
        if let Some(percent) = self.overprovisioning_percent {
            settings.balance.overprovisioning_percent = percent;
        }
    }
}

/// Reads the endpoints of a cluster.
///
/// # Errors
/// When Envoy would refuse them, in Envoy's words.
pub fn endpoints(body: &Bytes, context: &Context) -> Result<EndpointsConfig, Reject> {
    let message: envoy::ClusterLoadAssignment = decode(body)?;
    constraints::assignment(&message)?;
    let mut notes = Notes::default();
    unknown::check(&message, body, context, &mut notes)?;
    let mut config = of_addresses(&message, "")?;
    config.notes.extend(notes.into_list());
    // As Envoy: of several at one address the first counts.
    let mut known = HashSet::new();
    config
        .endpoints
        .retain(|endpoint| known.insert(endpoint.address().clone()));
    Ok(config)
}

/// Reads an assignment in which every endpoint has an address. `path` is where it stands, for messages.
pub(crate) fn of_addresses(
    message: &envoy::ClusterLoadAssignment,
    path: &str,
) -> Result<EndpointsConfig, Reject> {
    let mut notes = Notes::default();
    let overprovisioning_percent = policy::read(message.policy.as_ref(), path, &mut notes)?;
    let mut endpoints = Vec::new();
    for described in one::all(message, path, &mut notes)? {
        endpoints.push(Arc::new(of_address(described)?));
    }
    Ok(EndpointsConfig {
        name: message.cluster_name.as_str().into(),
        endpoints,
        overprovisioning_percent,
        notes: notes.into_list(),
    })
}

fn of_address(described: Described) -> Result<Endpoint, Reject> {
    let address = match &described.place {
        Place::At(address) => address.clone(),
        Place::Named { host, .. } => return Err(address::not_an_ip(host, address::ADVICE)),
    };
    Ok(described.endpoint(address))
}

#[cfg(test)]
mod tests;
