//! `envoy.extensions.transport_sockets.tls.v3.Secret`, and TLS contexts that name secrets.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_proxy::tls::server::ServerTls;
use tidegate_proxy::tls::upstream::ClientTls;

use super::{Context, Reject};

/// A secret that was read and is usable by itself.
#[derive(Clone, Debug)]
pub struct SecretConfig {
    /// Its name.
    pub name: Arc<str>,
}

/// Secrets by name.
pub type Secrets = HashMap<Arc<str>, Arc<SecretConfig>>;

/// A `DownstreamTlsContext`, its secrets apart.
#[derive(Clone, Debug)]
pub struct DownstreamTls {
    /// The secrets that it names and does not hold.
    pub secrets: Vec<SecretName>,
}

/// An `UpstreamTlsContext`, its secrets apart.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// The secrets that it names and does not hold.
    pub secrets: Vec<SecretName>,
}

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
    File(Arc<std::path::Path>),
}

/// Reads a secret.
///
/// # Errors
/// When Envoy would refuse it, in Envoy's words.
pub fn secret(body: &Bytes, context: &Context) -> Result<SecretConfig, Reject> {
    _ = (body, context);
    Err(Reject::Resource(String::new()))
}

impl DownstreamTls {
    /// TLS as a filter chain speaks it; `None` while a secret is missing.
    ///
    /// # Errors
    /// When a secret does not fit.
    pub fn build(&self, secrets: &Secrets) -> Result<Option<Arc<ServerTls>>, Reject> {
        _ = secrets;
        Ok(None)
    }
}

impl UpstreamTls {
    /// TLS as it is spoken to endpoints; `None` while a secret is missing.
    ///
    /// # Errors
    /// When a secret does not fit.
    pub fn build(&self, secrets: &Secrets) -> Result<Option<ClientTls>, Reject> {
        _ = secrets;
        Ok(None)
    }
}

/// What TLS to endpoints makes of a request's host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostNames {
    /// The handshake asks for it.
    pub(crate) asked_for: bool,
    /// The certificate has to have it.
    pub(crate) checked: bool,
}

impl UpstreamTls {
    pub(crate) fn read(
        _: &envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext,
        _: HostNames,
        _: &Context,
        _: &mut super::notes::Notes,
    ) -> Result<Self, Reject> {
        Ok(Self { secrets: Vec::new() })
    }
}
