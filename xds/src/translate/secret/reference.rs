//! How is a secret named that comes apart?

use std::path::Path;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig;

/// A secret that comes apart, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretName {
    /// Its name.
    pub name: Arc<str>,
    /// Where it comes from.
    pub source: SecretSource,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// The bootstrap's `static_resources.secrets`.
    Static,
    /// ADS, or the control plane that the ADS stream goes to.
    Ads,
    /// A file (`path_config_source`), which is read again when it, or what it names, is replaced.
    File(Arc<Path>),
}

impl SecretName {
    /// The secret of a reference.
    pub(super) fn of(reference: &SdsSecretConfig) -> Self {
        let source = reference.sds_config.as_ref();
        let source = match source.and_then(|source| source.config_source_specifier.as_ref()) {
            Some(ConfigSourceSpecifier::Path(path)) => SecretSource::File(Arc::from(Path::new(path))),
            Some(ConfigSourceSpecifier::PathConfigSource(source)) => {
                SecretSource::File(Arc::from(Path::new(&source.path)))
            }
            Some(_) => SecretSource::Ads,
            None => SecretSource::Static,
        };
        Self {
            name: reference.name.as_str().into(),
            source,
        }
    }
}
