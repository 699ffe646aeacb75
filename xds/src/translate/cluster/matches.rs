//! Which endpoints have a transport socket of their own: `transport_socket_matches`, by their metadata or their locality's.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::cluster::v3 as envoy;
use envoy_types::pb::google::protobuf::{Struct, Value};
use prost::Message;
use tidegate_proxy::cluster::Endpoint;

use crate::translate::metadata::{LocalityMetadata, Metadata};

/// What each match asks for, in order; the first that an endpoint meets has it.
pub(super) struct Labels(Vec<HashMap<String, Value>>);

impl Labels {
    pub(super) fn of(message: &envoy::Cluster) -> Self {
        let matches = message.transport_socket_matches.iter();
        Self(
            matches
                .map(|one| {
                    let wanted = one.r#match.as_ref();
                    wanted.map(|wanted| wanted.fields.clone()).unwrap_or_default()
                })
                .collect(),
        )
    }

    /// The place of an endpoint's match. What the endpoint says itself comes before what its locality says, as in Envoy.
    pub(super) fn choose(&self, endpoint: &Endpoint) -> Option<usize> {
        let found = endpoint.metadata();
        let locality = found.get::<LocalityMetadata>().map(|locality| &locality.0);
        self.first(found.get::<Metadata>())
            .or_else(|| self.first(locality))
    }

    fn first(&self, metadata: Option<&Metadata>) -> Option<usize> {
        let encoded = metadata.and_then(|metadata| metadata.structs.get(KEY));
        let said = encoded.and_then(|encoded| Struct::decode(encoded.clone()).ok());
        let said = said.unwrap_or_default().fields;
        let meets = |wanted: &HashMap<String, Value>| {
            let mut wanted = wanted.iter();
            wanted.all(|(name, value)| said.get(name) == Some(value))
        };
        self.0.iter().position(meets)
    }
}

/// The name of the metadata that is looked at.
pub(in crate::translate) const KEY: &str = "envoy.transport_socket_match";
