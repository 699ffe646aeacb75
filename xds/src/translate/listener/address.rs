//! Where does a listener listen?

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::socket_address::{PortSpecifier, Protocol};
use envoy_types::pb::envoy::config::core::v3::{Address, SocketAddress};
use envoy_types::pb::envoy::config::listener::v3::Listener;
use tidegate_proxy::listener::settings::{IpVersions, ListenAddress, UnixAddress};

use super::adding;
use crate::translate::Reject;
use crate::translate::any::unsupported_field;

/// Its address and the additional ones.
pub(super) fn of_listener(listener: &Listener) -> Result<Vec<(ListenAddress, IpVersions)>, Reject> {
    let necessary = || {
        let name = &listener.name;
        Reject::Resource(format!(
            "error adding listener named '{name}': address is necessary"
        ))
    };
    let first = listener.address.as_ref().ok_or_else(necessary)?;
    let others = listener.additional_addresses.iter();
    let others = others.map(|other| other.address.as_ref().ok_or_else(necessary));
    std::iter::once(Ok(first))
        .chain(others)
        .map(|address| parse(address?))
        .collect()
}

/// The address as Envoy's messages show it.
pub(super) fn shown(listener: &Listener) -> String {
    let kind = listener
        .address
        .as_ref()
        .and_then(|address| address.address.as_ref());
    match kind {
        Some(Kind::SocketAddress(address)) => shown_socket(address),
        Some(Kind::Pipe(pipe)) => pipe.path.clone(),
        Some(Kind::EnvoyInternalAddress(_)) | None => String::new(),
    }
}

fn shown_socket(address: &SocketAddress) -> String {
    let port = match &address.port_specifier {
        Some(PortSpecifier::PortValue(port)) => port.to_string(),
        Some(PortSpecifier::NamedPort(name)) => name.clone(),
        None => "0".to_owned(),
    };
    if address.address.contains(':') {
        format!("[{}]:{port}", address.address)
    } else {
        format!("{}:{port}", address.address)
    }
}

fn parse(address: &Address) -> Result<(ListenAddress, IpVersions), Reject> {
    match &address.address {
        Some(Kind::SocketAddress(socket)) => parse_socket(socket),
        Some(Kind::Pipe(pipe)) => {
            let address = UnixAddress {
                path: pipe.path.clone().into(),
                mode: (pipe.mode != 0).then_some(pipe.mode),
            };
            Ok((ListenAddress::Unix(address), IpVersions::Own))
        }
        Some(Kind::EnvoyInternalAddress(_)) => Err(unsupported_field("address", "envoy_internal_address")),
        None => Err(Reject::Resource("address is necessary".to_owned())),
    }
}

fn parse_socket(socket: &SocketAddress) -> Result<(ListenAddress, IpVersions), Reject> {
    let malformed = || Reject::Resource(format!("malformed IP address: {}", socket.address));
    let ip: IpAddr = socket.address.parse().map_err(|_| malformed())?;
    let port = match &socket.port_specifier {
        Some(PortSpecifier::PortValue(port)) => u16::try_from(*port).map_err(|_| malformed())?,
        Some(PortSpecifier::NamedPort(_)) | None => return Err(malformed()),
    };
    if socket.protocol() == Protocol::Udp {
        return Err(adding(
            &shown_socket(socket),
            "UDP is not supported here, and filter chains are for connections",
        ));
    }
    if !socket.network_namespace_filepath.is_empty() {
        return Err(unsupported_field("address", "network_namespace_filepath"));
    }
    let versions = versions(socket, ip)?;
    Ok((ListenAddress::Tcp(SocketAddr::new(ip, port)), versions))
}

fn versions(socket: &SocketAddress, ip: IpAddr) -> Result<IpVersions, Reject> {
    if !socket.ipv4_compat {
        return Ok(IpVersions::Own);
    }
    match ip {
        IpAddr::V6(ip) if ip == Ipv6Addr::UNSPECIFIED || ip.to_ipv4_mapped().is_some() => {
            Ok(IpVersions::Both)
        }
        _ => Err(Reject::Resource(format!(
            "Only IPv6 address '::' or valid IPv4-mapped IPv6 address can set ipv4_compat: {}",
            shown_socket(socket)
        ))),
    }
}
