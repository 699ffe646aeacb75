//! Configuration of the proxy as Envoy's resources: what a control plane has in our terms, any Envoy understands.
//!
//! The same configuration always has the same bytes: nothing is written in the order of a map. What Envoy cannot be told is an
//! error that names it, never left out.
//!
//! ```
//! use tidegate_proxy::cluster::ClusterSettings;
//! use tidegate_proxy::route::{Domain, Route, Split, TableSettings, VirtualHost};
//! use tidegate_xds::encode::{Encoder, Endpoints};
//! use tidegate_xds::resource::Kind;
//! use tidegate_xds::server::Resources;
//!
//! let encoder = Encoder::default();
//! let host = VirtualHost::new("app", [Domain::parse("app.example")?], [Route::forward(Split::single("app", [].into()))]);
//! let routes = encoder.routes("all", &TableSettings::default(), [&host])?;
//! let cluster = encoder.cluster(&ClusterSettings::new("app"), Endpoints::Apart)?;
//! let resources = Resources::default().with(Kind::Cluster, [cluster]).with(Kind::Routes, [routes]);
//! assert_eq!(resources.names(Kind::Routes).collect::<Vec<_>>(), ["all"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiVersion, ConfigSource, SocketAddress, address,
    config_source::ConfigSourceSpecifier, socket_address,
};
use envoy_types::pb::google::protobuf::{self, Any};
use prost::{Message, Name};

mod cluster;
mod endpoints;
mod listener;
mod matching;
mod mutations;
mod retry;
mod route;
mod routes;

pub use cluster::Endpoints;
pub use listener::{Edge, ListenerSettings};

/// Something that Envoy cannot be told, or is not told by this encoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what} is not written for Envoy")]
pub struct Unsupported {
    place: String,
    what: &'static str,
}

/// Writes resources.
#[derive(Clone, Debug)]
pub struct Encoder {
    source: ConfigSource,
}

/// Its resources name each other by ADS.
impl Default for Encoder {
    fn default() -> Self {
        Self::with_source(ConfigSource {
            resource_api_version: ApiVersion::V3.into(),
            config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
            ..ConfigSource::default()
        })
    }
}

impl Encoder {
    /// One whose resources say that others come from `source`.
    #[must_use]
    pub fn with_source(source: ConfigSource) -> Self {
        Self { source }
    }
}

impl Unsupported {
    fn new(place: impl Into<String>, what: &'static str) -> Self {
        Self {
            place: place.into(),
            what,
        }
    }

    /// The same, in a larger thing.
    fn within(self, outer: &str) -> Self {
        Self {
            place: format!("{outer}: {}", self.place),
            ..self
        }
    }
}

fn duration(duration: Duration) -> protobuf::Duration {
    protobuf::Duration {
        // Longer than that is for ever.
        seconds: i64::try_from(duration.as_secs())
            .unwrap_or(i64::MAX)
            .min(DURATION_SECONDS_MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}

/// What `google.protobuf.Duration` has at most: ten thousand years.
const DURATION_SECONDS_MAX: i64 = 315_576_000_000;

fn number(value: u32) -> Option<protobuf::UInt32Value> {
    Some(protobuf::UInt32Value { value })
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

fn socket(at: std::net::SocketAddr) -> Address {
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: at.ip().to_string(),
            port_specifier: Some(socket_address::PortSpecifier::PortValue(at.port().into())),
            ..SocketAddress::default()
        })),
    }
}

#[cfg(test)]
mod tests;
