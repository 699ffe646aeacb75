//! Which objects a file can hold, parsed, defaulted and valid.

mod container;
mod core;
mod digest;
mod metadata;
mod probe;
mod revision;
mod service;
mod traffic;
mod volume;

pub use self::core::{ConfigMap, Namespace, Secret};
pub use container::{
    Container, ContainerPort, EnvFrom, EnvFromSource, EnvSource, EnvVar, FieldRef, KeyRef, Quantity,
    ResourceFieldRef, Resources, VolumeMount,
};
pub use digest::TemplateDigest;
pub use metadata::Metadata;
pub use probe::{HttpHeader, PortRef, Probe, ProbeHandler, Scheme};
pub use revision::{Protocol, RevisionSpec, RevisionTemplate, TemplateMetadata};
pub use service::{Configuration, Route, Service};
pub use traffic::{TrafficTarget, TrafficTo};
pub use volume::{Volume, VolumeSource};

use crate::source::Source;

/// One object of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// `serving.knative.dev/v1` Service.
    Service(Service),
    /// `serving.knative.dev/v1` Configuration.
    Configuration(Configuration),
    /// `serving.knative.dev/v1` Route.
    Route(Route),
    /// `v1` ConfigMap.
    ConfigMap(ConfigMap),
    /// `v1` Secret.
    Secret(Secret),
    /// `v1` Namespace.
    Namespace(Namespace),
}

/// The kinds of [`Object`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `serving.knative.dev/v1` Service.
    Service,
    /// `serving.knative.dev/v1` Configuration.
    Configuration,
    /// `serving.knative.dev/v1` Route.
    Route,
    /// `v1` ConfigMap.
    ConfigMap,
    /// `v1` Secret.
    Secret,
    /// `v1` Namespace.
    Namespace,
}

impl Kind {
    /// Every kind that a file may hold.
    pub const ALL: [Self; 6] = [
        Self::Service,
        Self::Configuration,
        Self::Route,
        Self::ConfigMap,
        Self::Secret,
        Self::Namespace,
    ];

    /// The kind as it is written in a file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Configuration => "Configuration",
            Self::Route => "Route",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::Namespace => "Namespace",
        }
    }

    /// The `apiVersion` that goes with the kind.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Service | Self::Configuration | Self::Route => crate::names::SERVING_API_VERSION,
            Self::ConfigMap | Self::Secret | Self::Namespace => crate::names::CORE_API_VERSION,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Object {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Service(_) => Kind::Service,
            Self::Configuration(_) => Kind::Configuration,
            Self::Route(_) => Kind::Route,
            Self::ConfigMap(_) => Kind::ConfigMap,
            Self::Secret(_) => Kind::Secret,
            Self::Namespace(_) => Kind::Namespace,
        }
    }

    /// Name, namespace, labels and annotations.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::Service(object) => &object.metadata,
            Self::Configuration(object) => &object.metadata,
            Self::Route(object) => &object.metadata,
            Self::ConfigMap(object) => &object.metadata,
            Self::Secret(object) => &object.metadata,
            Self::Namespace(object) => &object.metadata,
        }
    }

    /// The file, the document and the positions of the fields.
    #[must_use]
    pub fn source(&self) -> &Source {
        match self {
            Self::Service(object) => &object.source,
            Self::Configuration(object) => &object.source,
            Self::Route(object) => &object.source,
            Self::ConfigMap(object) => &object.source,
            Self::Secret(object) => &object.source,
            Self::Namespace(object) => &object.source,
        }
    }
}
