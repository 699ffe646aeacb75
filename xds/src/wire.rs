//! The messages of the discovery services as they are on the wire, with resources left encoded.
//!
//! Envoy's generated types copy every resource out of its message and decode `node` and error details in full. Here a resource's
//! bytes are a slice of the message that it came in, so that a push of 40 MB is held once, and what nobody reads is kept encoded:
//! an embedded message and a byte string look the same on the wire.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use prost::encoding::{self, DecodeContext, WireType};
use prost::{DecodeError, Message};
use tidegate_proxy::process::give_way;

/// `envoy.service.discovery.v3.DiscoveryRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DiscoveryRequest {
    /// The version that was last accepted.
    #[prost(string, tag = "1")]
    pub version_info: String,
    /// Who asks.
    #[prost(message, optional, tag = "2")]
    pub node: Option<Node>,
    /// Which resources.
    #[prost(string, repeated, tag = "3")]
    pub resource_names: Vec<String>,
    /// Of which type.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// The response that this answers; empty in the first request of a type on a stream.
    #[prost(string, tag = "5")]
    pub response_nonce: String,
    /// Why that response was refused.
    #[prost(message, optional, tag = "6")]
    pub error_detail: Option<Status>,
}

/// `envoy.service.discovery.v3.DiscoveryResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DiscoveryResponse {
    /// The version of its resources.
    #[prost(string, tag = "1")]
    pub version_info: String,
    /// The resources.
    #[prost(message, repeated, tag = "2")]
    pub resources: Vec<Any>,
    /// Their type.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// What the answer to it names.
    #[prost(string, tag = "5")]
    pub nonce: String,
    /// `envoy.config.core.v3.ControlPlane`, encoded.
    #[prost(bytes = "bytes", tag = "6")]
    pub control_plane: Bytes,
}

/// `envoy.service.discovery.v3.DeltaDiscoveryRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeltaDiscoveryRequest {
    /// Who asks.
    #[prost(message, optional, tag = "1")]
    pub node: Option<Node>,
    /// Of which type.
    #[prost(string, tag = "2")]
    pub type_url: String,
    /// What is wanted from now on.
    #[prost(string, repeated, tag = "3")]
    pub resource_names_subscribe: Vec<String>,
    /// What is not wanted any more.
    #[prost(string, repeated, tag = "4")]
    pub resource_names_unsubscribe: Vec<String>,
    /// What is held from an earlier stream: versions by name.
    #[prost(btree_map = "string, string", tag = "5")]
    pub initial_resource_versions: BTreeMap<String, String>,
    /// The response that this answers, if it does.
    #[prost(string, tag = "6")]
    pub response_nonce: String,
    /// Why that response was refused.
    #[prost(message, optional, tag = "7")]
    pub error_detail: Option<Status>,
}

/// `envoy.service.discovery.v3.DeltaDiscoveryResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeltaDiscoveryResponse {
    /// For people only.
    #[prost(string, tag = "1")]
    pub system_version_info: String,
    /// What is new or changed.
    #[prost(message, repeated, tag = "2")]
    pub resources: Vec<Resource>,
    /// Their type.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// What the answer to it names.
    #[prost(string, tag = "5")]
    pub nonce: String,
    /// What is not there any more, or never was.
    #[prost(string, repeated, tag = "6")]
    pub removed_resources: Vec<String>,
    /// `envoy.config.core.v3.ControlPlane`, encoded.
    #[prost(bytes = "bytes", tag = "7")]
    pub control_plane: Bytes,
}

/// `envoy.service.discovery.v3.Resource`: a resource with its name and version. Without `resource` it is a heartbeat: what was
/// sent before lives on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Resource {
    /// Its version.
    #[prost(string, tag = "1")]
    pub version: String,
    /// Itself.
    #[prost(message, optional, tag = "2")]
    pub resource: Option<Any>,
    /// Its name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Other names for it.
    #[prost(string, repeated, tag = "4")]
    pub aliases: Vec<String>,
    /// How long it lives unless a heartbeat comes.
    #[prost(message, optional, tag = "6")]
    pub ttl: Option<Duration>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Any {
    /// The type of `value`.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// A message, encoded.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Duration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// And nanoseconds.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// `google.rpc.Status`, without details.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    /// A gRPC code.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// In words.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// `envoy.config.core.v3.Node`, as far as control planes look at it: Envoy's list of its 516 extensions, 61 kB, is left out.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    /// `--service-node`.
    #[prost(string, tag = "1")]
    pub id: String,
    /// `--service-cluster`.
    #[prost(string, tag = "2")]
    pub cluster: String,
    /// A `google.protobuf.Struct`, encoded.
    #[prost(bytes = "bytes", tag = "3")]
    pub metadata: Bytes,
    /// `envoy.config.core.v3.Locality`, encoded.
    #[prost(bytes = "bytes", tag = "4")]
    pub locality: Bytes,
    /// Which program asks.
    #[prost(string, tag = "6")]
    pub user_agent_name: String,
    /// Of which version, in words.
    #[prost(string, tag = "7")]
    pub user_agent_version: String,
    /// `envoy.config.core.v3.BuildVersion`, encoded.
    #[prost(bytes = "bytes", tag = "8")]
    pub user_agent_build_version: Bytes,
    /// What it can do.
    #[prost(string, repeated, tag = "10")]
    pub client_features: Vec<String>,
}

/// The type of [`Resource`] where one stands among the resources of a [`DiscoveryResponse`].
pub const RESOURCE_TYPE_URL: &str = "type.googleapis.com/envoy.service.discovery.v3.Resource";

/// The name of a resource, without decoding the rest: every kind has it in the field numbered 1.
///
/// ```
/// use bytes::Bytes;
/// assert_eq!(tidegate_xds::wire::name(&Bytes::from_static(b"\x0a\x03one"))?, "one");
/// assert!(tidegate_xds::wire::name(&Bytes::from_static(b"\x0a\x99one")).is_err());
/// # Ok::<(), prost::DecodeError>(())
/// ```
///
/// # Errors
/// When `body` is no message, or its name no UTF-8.
pub fn name(body: &Bytes) -> Result<String, DecodeError> {
    let (mut name, mut rest) = (String::new(), body.clone());
    while rest.has_remaining() {
        let (tag, wire_type) = encoding::decode_key(&mut rest)?;
        if tag == NAME_TAG {
            // A field that comes twice has its last value.
            encoding::check_wire_type(WireType::LengthDelimited, wire_type)?;
            encoding::string::merge(wire_type, &mut name, &mut rest, DecodeContext::default())?;
        } else {
            encoding::skip_field(wire_type, tag, &mut rest, DecodeContext::default())?;
        }
    }
    Ok(name)
}

/// Decodes a message as `decode` does, field by field: it may have many resources, and others want the core meanwhile.
///
/// # Errors
/// When `message` is none.
pub(crate) fn decode_giving_way<M: Message + Default>(mut message: Bytes) -> Result<M, DecodeError> {
    let mut read = M::default();
    while message.has_remaining() {
        give_way();
        let field = message.clone();
        let (tag, wire_type) = encoding::decode_key(&mut message)?;
        encoding::skip_field(wire_type, tag, &mut message, DecodeContext::default())?;
        // A message is what its fields make one after the other.
        read.merge(field.slice(..field.len() - message.len()))?;
    }
    Ok(read)
}

const NAME_TAG: u32 = 1;

#[cfg(test)]
mod tests;
