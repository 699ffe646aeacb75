//! Where the admin endpoints listen, and what they log.

use std::path::PathBuf;

use bytes::Bytes;
use envoy_types::pb::envoy::config::bootstrap::v3 as pb;
use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use prost::Message as _;

use crate::translate::notes::Notes;

/// The admin endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where they listen; nowhere without.
    pub address: Option<AdminAddress>,
    /// `access_log`: each an encoded `envoy.config.accesslog.v3.AccessLog`.
    pub access_log: Vec<Bytes>,
    /// The deprecated `access_log_path`; empty for none.
    pub access_log_path: String,
    /// `ignore_global_conn_limit`.
    pub ignores_connection_limit: bool,
}

/// Where they listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// An IP address and a port; 0 for any.
    Socket {
        /// The IP address, as it was written.
        address: String,
        /// The port.
        port: u32,
    },
    /// A unix socket.
    Pipe {
        /// Its path.
        path: PathBuf,
        /// Its permissions; 0 to leave them.
        mode: u32,
    },
}

#[expect(deprecated, reason = "what is out of date is still written")]
pub(super) fn admin(message: &pb::Admin, notes: &mut Notes) -> Admin {
    let address = message
        .address
        .as_ref()
        .and_then(|address| address.address.as_ref());
    let address = match address {
        Some(Address::SocketAddress(socket)) => Some(AdminAddress::Socket {
            address: socket.address.clone(),
            port: match socket.port_specifier {
                Some(PortSpecifier::PortValue(port)) => port,
                _ => 0,
            },
        }),
        Some(Address::Pipe(pipe)) => Some(AdminAddress::Pipe {
            path: PathBuf::from(&pipe.path),
            mode: pipe.mode,
        }),
        Some(Address::EnvoyInternalAddress(_)) | None => None,
    };
    notes.within("admin", |notes| {
        notes.add_set(&[
            ("profile_path", !message.profile_path.is_empty()),
            ("socket_options", !message.socket_options.is_empty()),
            ("allow_paths", !message.allow_paths.is_empty()),
        ]);
    });
    Admin {
        address,
        access_log: message
            .access_log
            .iter()
            .map(|log| log.encode_to_vec().into())
            .collect(),
        access_log_path: message.access_log_path.clone(),
        ignores_connection_limit: message.ignore_global_conn_limit,
    }
}
