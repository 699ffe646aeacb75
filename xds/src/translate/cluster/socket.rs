//! What lies between TCP and HTTP: a transport socket, perhaps with another inside of it.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::core::v3::proxy_protocol_config::Version;
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType;
use envoy_types::pb::envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use envoy_types::pb::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;
use envoy_types::pb::google::protobuf::Any;
use prost::Name;
use tidegate_proxy::cluster::transport::ProxyHeader;

use crate::translate::Reject;
use crate::translate::message::unpack;
use crate::translate::notes::Notes;

/// The layers of a transport socket.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// The PROXY header that comes first.
    pub(super) header: Option<ProxyHeader>,
    /// TLS.
    pub(super) tls: Option<UpstreamTlsContext>,
}

/// Reads a transport socket.
pub(super) fn read(socket: Option<&core::TransportSocket>, notes: &mut Notes) -> Result<Layers, Reject> {
    let Some(socket) = socket else {
        return Ok(Layers::default());
    };
    let Some(packed) = packed(socket) else {
        return Err(Reject::unknown_extension(&socket.name, ""));
    };
    if packed.type_url == ProxyProtocolUpstreamTransport::type_url() {
        let outer: ProxyProtocolUpstreamTransport = unpack(packed)?;
        let header = header(&outer, notes)?;
        let inner = match &outer.transport_socket {
            Some(inner) => of_inner(inner)?,
            None => Layers::default(),
        };
        return Ok(Layers {
            header: Some(header),
            ..inner
        });
    }
    of_inner(socket)
}

fn of_inner(socket: &core::TransportSocket) -> Result<Layers, Reject> {
    let Some(packed) = packed(socket) else {
        return Err(Reject::unknown_extension(&socket.name, ""));
    };
    let url = packed.type_url.as_str();
    if url == RawBuffer::type_url() {
        return Ok(Layers::default());
    }
    if url == UpstreamTlsContext::type_url() {
        return Ok(Layers {
            header: None,
            tls: Some(unpack(packed)?),
        });
    }
    match url.contains("/envoy.extensions.transport_sockets.") {
        true => Err(Reject::unsupported(format_args!("transport_socket: {url}"))),
        false => Err(Reject::unknown_extension(&socket.name, url)),
    }
}

fn packed(socket: &core::TransportSocket) -> Option<&Any> {
    let Some(ConfigType::TypedConfig(packed)) = &socket.config_type else {
        return None;
    };
    Some(packed)
}

fn header(outer: &ProxyProtocolUpstreamTransport, notes: &mut Notes) -> Result<ProxyHeader, Reject> {
    let nothing = core::ProxyProtocolConfig::default();
    let config = outer.config.as_ref().unwrap_or(&nothing);
    if !config.added_tlvs.is_empty() || config.pass_through_tlvs.is_some() {
        return Err(Reject::unsupported("transport_socket: config: TLVs"));
    }
    notes.ignored(
        "transport_socket: allow_unspecified_address",
        outer.allow_unspecified_address,
    );
    notes.ignored("transport_socket: tlv_as_pool_key", outer.tlv_as_pool_key);
    Ok(match Version::try_from(config.version).unwrap_or_default() {
        Version::V1 => ProxyHeader::V1,
        Version::V2 => ProxyHeader::V2,
    })
}
