//! `envoy.config.cluster.v3.Cluster` as the settings of a cluster.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::cluster::v3 as envoy;
use http::Extensions;
use tidegate_proxy::cluster::{ClusterSettings, Endpoint};

use super::message::decode;
use super::metadata::{Metadata, fields};
use super::notes::Notes;
use super::secret::{SecretName, Secrets, UpstreamTls};
use super::{Context, Note, Reject, unknown};

pub mod activation;
mod balance;
mod breakers;
pub(in crate::translate) mod constraints;
mod discovery;
mod fingerprint;
mod health;
mod ignored;
mod matches;
mod outlier;
mod policy;
mod protocol;
mod socket;
mod transport;

pub(super) use matches::KEY as MATCHED_BY;

/// A cluster as its resource describes it, its secrets apart.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Its name.
    pub name: Arc<str>,
    /// What its statistics are called (`alt_stat_name`), where that is not its name.
    pub stat_name: Option<Arc<str>>,
    /// Everything but TLS.
    pub settings: ClusterSettings,
    /// How TLS is spoken to its endpoints; certificates and trust may be secrets that come apart.
    pub tls: Option<UpstreamTls>,
    /// The same of each of its `choices`, in their order.
    pub tls_of_choices: Vec<Option<UpstreamTls>>,
    /// Where its endpoints come from.
    pub endpoints: EndpointSource,
    /// The hash of its resource without endpoints: equal for two of a name, they differ in their endpoints at most.
    pub fingerprint: u128,
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
        /// The file that it is in, where it does not come from the control plane.
        file: Option<Arc<std::path::Path>>,
    },
}

/// Reads a cluster.
///
/// # Errors
/// When Envoy would refuse it, in Envoy's words; or when it asks for something that selects, restricts or authenticates and that
/// the proxy does not do.
pub fn cluster(body: &Bytes, context: &Context) -> Result<ClusterConfig, Reject> {
    let message: envoy::Cluster = decode(body)?;
    constraints::cluster(&message)?;
    let mut notes = Notes::default();
    unknown::check(&message, body, context, &mut notes)?;
    let mut settings = ClusterSettings::new(message.name.as_str());
    let protocol = protocol::read(&message, &mut notes)?;
    settings.balance = balance::read(&message, &mut notes)?.into();
    let endpoints = discovery::read(&message, &mut settings, &mut notes)?;
    let tls = transport::read(&message, &protocol, &mut settings, context, &mut notes)?;
    let breakers = breakers::read(message.circuit_breakers.as_ref(), &mut notes)?;
    (settings.breakers, settings.retry_budget) = (breakers.0.into(), breakers.1.map(Box::new));
    settings.outlier = outlier::read(message.outlier_detection.as_ref(), &mut notes)?.map(Box::new);
    settings.health_check = health::read(&message, settings.transport.protocol, &mut notes)?.map(Box::new);
    settings.metadata = metadata(body);
    if let Some(activation) = activation::read(&message, context, &mut notes)? {
        settings.metadata.insert(activation);
        settings.layers.clone_from(&context.activator);
    }
    settings.metrics_name =
        (!message.alt_stat_name.is_empty()).then(|| message.alt_stat_name.as_str().into());
    ignored::read(&message, &mut notes)?;
    Ok(ClusterConfig {
        name: Arc::clone(&settings.name),
        stat_name: settings.metrics_name.clone(),
        settings,
        tls: tls.usual,
        tls_of_choices: tls.choices,
        endpoints,
        fingerprint: fingerprint::of(body),
        notes: notes.into_list(),
    })
}

impl ClusterConfig {
    /// Its settings with the secrets that it names; `None` while one of them is missing.
    ///
    /// # Errors
    /// When a secret does not fit, such as a key that is not its certificate's.
    pub fn settings(&self, secrets: &Secrets) -> Result<Option<ClusterSettings>, Reject> {
        let mut settings = self.settings.clone();
        if let Some(tls) = &self.tls {
            let Some(built) = tls.build(secrets)? else {
                return Ok(None);
            };
            if let Some(second) = &mut settings.transport_http2 {
                second.tls = Some(built.clone());
            }
            settings.transport.tls = Some(built);
        }
        let ways = settings.choices.iter_mut();
        let ways = ways.flat_map(|choices| &mut choices.transports);
        for (tls, way) in self.tls_of_choices.iter().zip(ways) {
            let Some(tls) = tls else { continue };
            let Some(built) = tls.build(secrets)? else {
                return Ok(None);
            };
            if let Some(second) = &mut way.transport_http2 {
                second.tls = Some(built.clone());
            }
            way.transport.tls = Some(built);
        }
        Ok(Some(settings))
    }

    /// The secrets that it names.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        let choices = self.tls_of_choices.iter().flatten();
        self.tls.iter().chain(choices).flat_map(|tls| &tls.secrets)
    }
}

/// The metadata of a cluster, by its type [`Metadata`].
fn metadata(body: &Bytes) -> Extensions {
    let mut extensions = Extensions::new();
    let found = fields(body).into_iter().rfind(|(tag, _)| *tag == METADATA);
    if let Some((_, encoded)) = found {
        // Bytes of its own: a slice would hold the response that the cluster came in for as long as the cluster is there.
        extensions.insert(Metadata::read(Bytes::copy_from_slice(&encoded)));
    }
    extensions
}

/// The number of the field `metadata`.
const METADATA: u32 = 25;

#[cfg(test)]
mod tests;
