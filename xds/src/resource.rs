//! What travels by xDS: kinds of resources, and one resource as it came, encoded.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

mod kept;

pub use kept::{Kept, Stored};

/// The kinds of resources, in the order in which a change makes before it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `envoy.config.cluster.v3.Cluster` (CDS).
    Cluster,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment` (EDS).
    Endpoints,
    /// `envoy.extensions.transport_sockets.tls.v3.Secret` (SDS).
    Secret,
    /// `envoy.config.listener.v3.Listener` (LDS).
    Listener,
    /// `envoy.config.route.v3.RouteConfiguration` (RDS).
    Routes,
    /// `envoy.service.runtime.v3.Runtime` (RTDS): subscribed to where the bootstrap names a layer, accepted, without effect.
    Runtime,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 6] = [
        Self::Cluster,
        Self::Endpoints,
        Self::Secret,
        Self::Listener,
        Self::Routes,
        Self::Runtime,
    ];

    /// The `type_url` of requests, responses and resources.
    #[must_use]
    pub fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Routes => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Runtime => "type.googleapis.com/envoy.service.runtime.v3.Runtime",
        }
    }

    /// The kind of a `type_url`.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }

    /// Whether a state-of-the-world response holds all there is, so that what it lacks is gone, and whether all are wanted
    /// without being named (CDS and LDS).
    #[must_use]
    pub fn is_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }
}

/// One resource as it came: its name, and its bytes, which a response and all who keep a part of it share.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw {
    /// Its name: the wrapper's where it has one, else the field of the message that names it.
    pub name: Arc<str>,
    /// Its version: its own in delta, the response's in state of the world.
    pub version: Arc<str>,
    /// The encoded message, without the `Any` around it.
    pub body: Bytes,
    /// What tells one content from another: the hash of `body`.
    pub hash: u128,
}

impl Raw {
    /// A resource with its hash.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, version: impl Into<Arc<str>>, body: Bytes) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            hash: xxh3_128(&body),
            body,
        }
    }
}

/// Without its bytes: there may be keys in them.
impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raw")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What a response changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Of which kind its resources are.
    pub kind: Kind,
    /// `version_info`, or `system_version_info`.
    pub version: Arc<str>,
    /// What is new or changed; in state of the world also what is as before.
    pub resources: Vec<Raw>,
    /// What is not there any more.
    pub gone: Gone,
}

/// Which resources an update removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// All of the kind that it does not bring (CDS and LDS in state of the world).
    Rest,
    /// These; none in most responses.
    Named(Vec<Arc<str>>),
}

/// What became of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in force.
    Accepted,
    /// A part of it, or nothing, is in force: NACK.
    Rejected(Rejection),
}

/// Why an update was not taken whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What goes into `error_detail`, worded as Envoy words it.
    pub message: String,
    /// The resources that keep what they had; in delta their versions do not advance. Empty when the whole response was refused.
    pub failed: Vec<Arc<str>>,
    /// Whether nothing of the response was applied.
    pub whole: bool,
}
