//! `envoy.config.cluster.v3.Cluster` as the settings of a cluster.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_proxy::cluster::{ClusterSettings, Endpoint};

use super::secret::{Secrets, UpstreamTls};
use super::{Context, Note, Reject};

/// A cluster as its resource describes it, its secrets apart.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Its name.
    pub name: Arc<str>,
    /// Everything but TLS.
    pub settings: ClusterSettings,
    /// How TLS is spoken to its endpoints; certificates and trust may be secrets that come apart.
    pub tls: Option<UpstreamTls>,
    /// Where its endpoints come from.
    pub endpoints: EndpointSource,
    /// What has no effect.
    pub notes: Vec<Note>,
}

/// Where a cluster's endpoints come from.
#[derive(Clone, Debug)]
pub enum EndpointSource {
    /// The resource itself (`STATIC`).
    Inline(Vec<Arc<Endpoint>>),
    /// The names in its settings (`STRICT_DNS`, `LOGICAL_DNS`).
    Names,
    /// Another resource (`EDS`).
    Eds {
        /// The name of that resource: `service_name`, or the cluster's own.
        name: Arc<str>,
        /// How long the cluster warms without it; `None` for ever.
        initial_fetch_timeout: Option<Duration>,
    },
}

/// Reads a cluster.
///
/// # Errors
/// When Envoy would refuse it, in Envoy's words; or when it asks for something that selects, restricts or authenticates and that
/// the proxy does not do.
pub fn cluster(body: &Bytes, context: &Context) -> Result<ClusterConfig, Reject> {
    _ = (body, context);
    Err(Reject::Resource(String::new()))
}

impl ClusterConfig {
    /// Its settings with the secrets that it names; `None` while one of them is missing.
    ///
    /// # Errors
    /// When a secret does not fit, such as a key that is not its certificate's.
    pub fn settings(&self, secrets: &Secrets) -> Result<Option<ClusterSettings>, Reject> {
        _ = secrets;
        Ok(Some(self.settings.clone()))
    }
}
