//! What is shown of control planes and of what they say: `control_plane.…`, `….cds.…`, `….lds.…`, `http.<prefix>.rds.<name>.…`?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_xds::client::Status;
use tidegate_xds::resource::Kind;
use tidegate_xds::store::counts::{Changed, Counts, Updates};

use super::flat::{Flat, Owned, Single};
use super::section::Tag;
use super::server::hash;

/// What counts as resources come. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    /// What the streams to control planes count.
    pub status: Arc<Status>,
    /// What the store counts.
    pub counts: Arc<Counts>,
    /// The kinds of which all resources are asked for.
    pub kinds: BTreeSet<Kind>,
    /// Whether there is a control plane to ask.
    pub control_plane: bool,
    /// How many parts of the bootstrap have fields that nobody knows (`server.static_unknown_fields`).
    pub static_unknown_fields: u64,
}

/// What of a cluster's endpoints has come by themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct EndpointUpdates {
    pub(super) updates: Updates,
    pub(super) failure: u64,
    pub(super) timeouts: u64,
}

impl Discovery {
    /// What has come of endpoints, by the clusters that use them.
    pub(super) fn endpoints(&self) -> BTreeMap<Arc<str>, EndpointUpdates> {
        let status = self.status.of(Kind::Endpoints);
        let of = |(name, updates)| {
            let all = EndpointUpdates {
                updates,
                failure: status.update_failure.get(),
                timeouts: status.init_fetch_timeout.get(),
            };
            (name, all)
        };
        self.counts.endpoints.all().into_iter().map(of).collect()
    }
}

impl EndpointUpdates {
    /// As Envoy counts: the question, and what has come of it.
    pub(super) fn attempts(&self) -> u64 {
        1 + self.updates.success + self.updates.rejected + self.failure
    }

    pub(super) fn version(&self) -> u64 {
        version(&self.updates)
    }
}

pub(super) fn tell(flat: &mut Flat, discovery: &Discovery) {
    let (status, counts) = (&discovery.status, &discovery.counts);
    if discovery.control_plane {
        flat.gauge(
            "control_plane.connected_state",
            u64::from(status.connected.get() > 0),
        );
        flat.gauge("control_plane.pending_requests", status.pending_requests.get());
        flat.counter(
            "control_plane.rate_limit_enforced",
            status.rate_limit_enforced.get(),
        );
    }
    flat.counter("server.dynamic_unknown_fields", counts.unknown_fields.get());
    flat.counter("server.static_unknown_fields", discovery.static_unknown_fields);
    for (prefix, kind) in [
        ("cluster_manager.cds", Kind::Cluster),
        ("listener_manager.lds", Kind::Listener),
    ] {
        if discovery.kinds.contains(&kind) {
            subscription(flat, prefix, status, kind);
        }
    }
    changed(flat, "cluster_manager.cluster", &counts.clusters);
    changed(flat, "listener_manager.listener", &counts.listeners);
    flat.counter(
        "listener_manager.listener_in_place_updated",
        counts.in_place.get(),
    );
    for (name, updates) in counts.routes.all() {
        routes(flat, status, &name, &updates);
    }
    for (name, updates) in counts.secrets.all() {
        let mut tell = |what: &str, value| flat.counter(&format!("sds.{name}.{what}"), value);
        named(&mut tell, status, Kind::Secret, &updates);
        tell("key_rotation_failed", updates.rotations_failed);
        flat.gauge(&format!("sds.{name}.version"), version(&updates));
    }
}

/// A subscription to all of a kind.
fn subscription(flat: &mut Flat, prefix: &str, status: &Status, kind: Kind) {
    let of = status.of(kind);
    for (what, value) in [
        ("init_fetch_timeout", of.init_fetch_timeout.get()),
        // Envoy counts the question, too.
        ("update_attempt", 1 + of.update_attempt.get()),
        ("update_failure", of.update_failure.get()),
        ("update_rejected", of.update_rejected.get()),
        ("update_success", of.update_success.get()),
    ] {
        flat.counter(&format!("{prefix}.{what}"), value);
    }
}

fn changed(flat: &mut Flat, prefix: &str, changed: &Changed) {
    flat.counter(&format!("{prefix}_added"), changed.added.get());
    flat.counter(&format!("{prefix}_modified"), changed.modified.get());
    flat.counter(&format!("{prefix}_removed"), changed.removed.get());
}

fn routes(flat: &mut Flat, status: &Status, name: &Arc<str>, updates: &Updates) {
    let prefix = &updates.prefix;
    let single = |what: &str, value, used| {
        let mut single = Single::new(format!("http.{prefix}.rds.{name}.{what}"), value, used);
        single.family = Some(format!("http.rds.{what}"));
        single.tags = tags(prefix, name);
        single
    };
    let mut tell = |what: &str, value| flat.push(single(what, Owned::Counter(value), value > 0));
    named(&mut tell, status, Kind::Routes, updates);
    tell("config_reload", updates.reloads);
    tell("update_empty", 0);
    flat.push(single("version", Owned::Gauge(version(updates)), true));
    if !updates.version.is_empty() {
        let version = Owned::Text(Arc::clone(&updates.version));
        flat.push(single("version_text", version, true));
    }
}

/// What every subscription to a name counts.
fn named(tell: &mut dyn FnMut(&str, u64), status: &Status, kind: Kind, updates: &Updates) {
    let failure = status.of(kind).update_failure.get();
    tell("init_fetch_timeout", status.of(kind).init_fetch_timeout.get());
    tell("update_attempt", 1 + updates.success + updates.rejected + failure);
    tell("update_failure", failure);
    tell("update_rejected", updates.rejected);
    tell("update_success", updates.success);
}

fn tags(prefix: &Arc<str>, routes: &Arc<str>) -> Vec<Tag> {
    vec![
        ("envoy_rds_route_config", Arc::clone(routes)),
        ("envoy_http_conn_manager_prefix", Arc::clone(prefix)),
    ]
}

fn version(updates: &Updates) -> u64 {
    match &*updates.version {
        "" => 0,
        version => hash(version),
    }
}
