//! Where is an endpoint: at an address, or under a name that is to be looked up?

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::socket_address::{PortSpecifier, Protocol};
use tidegate_proxy::cluster::Address;

use crate::translate::Reject;

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At an address.
    At(Address),
    /// Under a name.
    Named {
        /// The name.
        host: Box<str>,
        /// The port.
        port: u16,
    },
}

/// What Envoy advises about a name where there is to be an address.
pub(crate) const ADVICE: &str =
    ". Consider setting resolver_name or setting cluster type to 'STRICT_DNS' or 'LOGICAL_DNS'";

/// Reads an address; `path` is where it stands.
pub(crate) fn read(address: &core::Address, path: &str) -> Result<Place, Reject> {
    match &address.address {
        Some(Kind::SocketAddress(socket)) => of_socket(socket, path),
        Some(Kind::Pipe(pipe)) => Ok(Place::At(Address::Unix(Arc::from(Path::new(&pipe.path))))),
        Some(Kind::EnvoyInternalAddress(_)) => {
            Err(Reject::unsupported(format_args!("{path}.envoy_internal_address")))
        }
        None => Err(Reject::Resource("Address must be set".to_owned())),
    }
}

fn of_socket(socket: &core::SocketAddress, path: &str) -> Result<Place, Reject> {
    let refuse = |why: String| Err(Reject::Resource(format!("{why}{ADVICE}")));
    if socket.protocol == Protocol::Udp as i32 {
        return Err(Reject::unsupported(format_args!(
            "{path}.socket_address.protocol"
        )));
    }
    if !socket.network_namespace_filepath.is_empty() {
        let path = format_args!("{path}.socket_address.network_namespace_filepath");
        return Err(Reject::unsupported(path));
    }
    if !socket.resolver_name.is_empty() {
        return refuse(format!("Unknown address resolver: {}", socket.resolver_name));
    }
    let port = match &socket.port_specifier {
        // More is a broken constraint.
        Some(PortSpecifier::PortValue(port)) => u16::try_from(*port).unwrap_or(u16::MAX),
        Some(PortSpecifier::NamedPort(_)) => {
            return refuse("IP resolver can't handle port specifier type 4".to_owned());
        }
        None => 0,
    };
    Ok(match socket.address.parse::<IpAddr>() {
        Ok(ip) => Place::At(SocketAddr::new(ip, port).into()),
        Err(_) => Place::Named {
            host: socket.address.as_str().into(),
            port,
        },
    })
}

/// The refusal of a name where there is to be an address.
pub(crate) fn not_an_ip(host: &str, advice: &str) -> Reject {
    Reject::Resource(format!("malformed IP address: {host}{advice}"))
}

/// A local address that connections come from.
pub(crate) fn source(socket: &core::SocketAddress, path: &str) -> Result<SocketAddr, Reject> {
    match of_socket(socket, path)? {
        Place::At(Address::Tcp(address)) => Ok(address),
        Place::At(Address::Unix(_)) => Err(Reject::unsupported(path)),
        Place::Named { host, .. } => Err(not_an_ip(&host, "")),
    }
}
