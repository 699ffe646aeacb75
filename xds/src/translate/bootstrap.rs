//! `envoy.config.bootstrap.v3.Bootstrap`: what is there from the start, and where the rest comes from.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::bootstrap::v3 as pb;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use prost::Message as _;

use super::constraint::Rules;
use super::duration::duration;
use super::notes::Notes;
use super::{Note, Reject};
use crate::resource::{Kind, Raw};
use crate::wire;

mod admin;
mod ignored;
mod overload;
mod runtime;
mod source;
mod stats;

pub use admin::{Admin, AdminAddress};
pub use overload::Overload;
pub use runtime::{Layer, LayerSource};
pub use source::{ApiSource, ConfigSource, Source, Target, Variant};
pub use stats::{StatsConfig, StatsMatcher, TagExtractor, TagValue};

/// The bootstrap.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// Who the program is to control planes.
    pub node: wire::Node,
    /// The admin endpoints; none where the field is missing.
    pub admin: Option<Admin>,
    /// `static_resources`: secrets, then clusters, then listeners, each with its field, such as `static_resources.clusters[0]`.
    pub resources: Vec<StaticResource>,
    /// `ads_config`.
    pub ads: Option<ApiSource>,
    /// `cds_config`.
    pub clusters: Option<ConfigSource>,
    /// `lds_config`.
    pub listeners: Option<ConfigSource>,
    /// `layered_runtime`, the last layer first in force.
    pub runtime: Vec<Layer>,
    /// `stats_config`, and how often statistics are written.
    pub stats: StatsConfig,
    /// `overload_manager`.
    pub overload: Overload,
    /// `cluster_manager.local_cluster_name`: the cluster that the program itself is part of; empty for none.
    pub local_cluster: String,
    /// `cluster_manager.outlier_detection.event_log_path`; empty for none.
    pub outlier_log_path: String,
    /// What has no effect.
    pub notes: Vec<Note>,
}

/// A resource of the bootstrap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticResource {
    /// Of which kind.
    pub kind: Kind,
    /// As it stands there; without a version.
    pub raw: Raw,
    /// Where it stands.
    pub path: String,
}

/// How often statistics are written, where it does not say.
const STATS_FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// Reads a bootstrap, everything merged. Its static resources are only named here: their own constructors read them.
///
/// # Errors
/// When Envoy would refuse it, in Envoy's words.
pub fn bootstrap(body: &Bytes) -> Result<Bootstrap, Reject> {
    let undecodable = |_| Reject::Message("the bootstrap is not a message of its type".to_owned());
    let message = pb::Bootstrap::decode(body.clone()).map_err(undecodable)?;
    let encoded = Encoded::decode(body.clone()).map_err(undecodable)?;
    let resources = static_resources(encoded.static_resources.unwrap_or_default());
    let known = known_clusters(&message, &resources)?;
    let mut notes = Notes::default();
    ignored::note(&message, &mut notes);
    let dynamic = message.dynamic_resources.unwrap_or_default();
    let bootstrap_rules = Rules::of("Bootstrap");
    let rules = Rules::of("DynamicResources");
    let config = |field: &str, config: Option<&_>| {
        config
            .map(|config| source::config(config, &known))
            .transpose()
            .map_err(|refusal| refusal.within(bootstrap_rules, rules, field))
    };
    let listeners = config("LdsConfig", dynamic.lds_config.as_ref())?;
    let clusters = config("CdsConfig", dynamic.cds_config.as_ref())?;
    let ads = dynamic
        .ads_config
        .as_ref()
        .map(|ads| source::ads(ads, &known))
        .transpose()?;
    let node = encoded.node.unwrap_or_default();
    if ads.is_some() && (node.id.is_empty() || node.cluster.is_empty()) {
        return Err(nameless("ads"));
    }
    let manager = message.cluster_manager.unwrap_or_default();
    let local = &manager.local_cluster_name;
    if !local.is_empty() && !known.iter().any(|(name, _)| name == local) {
        return Err(Reject::Resource(format!(
            "local cluster '{local}' must be defined"
        )));
    }
    let flush = duration(message.stats_flush_interval.as_ref())?;
    if flush.is_some_and(|flush| flush < Duration::from_millis(1) || flush >= Duration::from_secs(300)) {
        let range = "value must be inside range [1ms, 5m0s)";
        return Err(bootstrap_rules.broken("StatsFlushInterval", range).into());
    }
    let runtime = runtime::layers(message.layered_runtime.unwrap_or_default(), &known, &mut notes)?;
    Ok(Bootstrap {
        node,
        admin: message
            .admin
            .as_ref()
            .map(|message| admin::admin(message, &mut notes)),
        resources,
        ads,
        clusters,
        listeners,
        stats: stats::stats(
            message.stats_config.unwrap_or_default(),
            flush.unwrap_or(STATS_FLUSH_INTERVAL),
            &mut notes,
        )?,
        overload: overload::overload(message.overload_manager.as_ref(), &runtime, &mut notes)?,
        runtime,
        local_cluster: manager.local_cluster_name,
        outlier_log_path: manager.outlier_detection.unwrap_or_default().event_log_path,
        notes: notes.into_list(),
    })
}

/// Whoever talks to a control plane has to have a name.
fn nameless(who: &str) -> Reject {
    Reject::Resource(format!(
        "{who}: node 'id' and 'cluster' are required. Set it either in 'node' config or via --service-node and \
         --service-cluster options."
    ))
}

/// The static clusters by name, and whether each can be asked for other resources: one whose endpoints come by EDS cannot.
type Known = Vec<(String, bool)>;

fn known_clusters(message: &pb::Bootstrap, resources: &[StaticResource]) -> Result<Known, Reject> {
    let clusters = message.static_resources.iter().flat_map(|all| &all.clusters);
    let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds.into());
    let mut known = Known::new();
    for cluster in clusters {
        if known.iter().any(|(name, _)| *name == cluster.name) {
            let name = &cluster.name;
            return Err(Reject::Resource(format!(
                "cluster manager: duplicate cluster '{name}'"
            )));
        }
        known.push((
            cluster.name.clone(),
            cluster.cluster_discovery_type.as_ref() != Some(&eds),
        ));
    }
    let mut secrets: Vec<&str> = Vec::new();
    for secret in resources.iter().filter(|resource| resource.kind == Kind::Secret) {
        if secrets.contains(&&*secret.raw.name) {
            let name = &secret.raw.name;
            return Err(Reject::Resource(format!("Duplicate static secret name {name}")));
        }
        secrets.push(&secret.raw.name);
    }
    Ok(known)
}

/// The bootstrap with what is passed on left encoded.
#[derive(Clone, PartialEq, prost::Message)]
struct Encoded {
    #[prost(message, optional, tag = "1")]
    node: Option<wire::Node>,
    #[prost(message, optional, tag = "2")]
    static_resources: Option<EncodedResources>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EncodedResources {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    listeners: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    clusters: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "3")]
    secrets: Vec<Bytes>,
}

/// What listeners, clusters and secrets have in common: the first field is the name.
#[derive(Clone, PartialEq, prost::Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

fn static_resources(encoded: EncodedResources) -> Vec<StaticResource> {
    let of_kind = |kind, field: &'static str, bodies: Vec<Bytes>| {
        bodies.into_iter().enumerate().map(move |(index, body)| {
            // It was decoded as a whole before.
            let name: Arc<str> = Named::decode(body.clone()).unwrap_or_default().name.into();
            StaticResource {
                kind,
                raw: Raw::new(name, "", body),
                path: format!("static_resources.{field}[{index}]"),
            }
        })
    };
    of_kind(Kind::Secret, "secrets", encoded.secrets)
        .chain(of_kind(Kind::Cluster, "clusters", encoded.clusters))
        .chain(of_kind(Kind::Listener, "listeners", encoded.listeners))
        .collect()
}

#[cfg(test)]
mod tests;
