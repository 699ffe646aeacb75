//! From a plan to what the data plane needs: hosts, weighted clusters, header edits.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use tidegate_knative::headers::{SERVING_NAMESPACE, SERVING_REVISION};
use tidegate_knative::object;
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Protocol};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::filter::FilterOverrides;
use tidegate_proxy::layers::Layers;
use tidegate_proxy::route::{Domain, HeaderMutations, Route, Split, VirtualHost, WeightedCluster};

use crate::hosts;
use crate::name::ObjectName;
use crate::plan::{Plan, PlannedRevision, Start};
use crate::state::RoutingState;
use crate::targets::{RouteTarget, Share};

/// What a host answers whose route has no share above 0 %. Validated traffic always has one.
const NO_SHARE: &str = "no revision takes a share of this route's traffic";

/// The clusters of all revisions, by the revision's name. They outlive snapshots: a plan that still has the
/// revision keeps the cluster, with its endpoints, its connections and its counts.
#[derive(Debug, Default)]
pub struct Clusters {
    clusters: HashMap<ObjectName, Arc<Cluster>>,
}

impl Clusters {
    /// The cluster of a revision; none before a plan needed it, or after a plan was without the revision.
    #[must_use]
    pub fn get(&self, revision: &ObjectName) -> Option<&Arc<Cluster>> {
        self.clusters.get(revision)
    }

    /// The snapshot of `plan`. Every route gets `layers` between itself and its upstream.
    ///
    /// A revision of which nothing is left but its share of a route is a cluster that is missing: 503.
    pub fn snapshot(&mut self, plan: &Plan, layers: Option<&Layers>) -> Snapshot {
        self.follow(plan);
        let routes = plan.routes.iter();
        let hosts = routes.flat_map(|(name, targets)| {
            targets
                .iter()
                .map(move |target| virtual_host(name, target, layers.cloned()))
        });
        Snapshot::new(hosts, self.clusters.values().cloned())
    }

    /// Forgets the clusters of revisions that are gone, and makes those that are needed.
    fn follow(&mut self, plan: &Plan) {
        self.clusters.retain(|name, cluster| {
            // The same name with another protocol is another revision: its Service was removed and came back.
            let planned = plan.revisions.get(name);
            planned.is_some_and(|planned| cluster.settings().transport.protocol == protocol(planned))
        });
        for (name, planned) in &plan.revisions {
            if planned.routing == RoutingState::Active || planned.start == Start::Prove {
                self.clusters.entry(name.clone()).or_insert_with(|| {
                    let mut settings = ClusterSettings::new(name.to_string());
                    settings.transport.protocol = protocol(planned);
                    Cluster::new(settings)
                });
            }
        }
    }
}

fn protocol(revision: &PlannedRevision) -> Protocol {
    match revision.template.spec.protocol() {
        object::Protocol::Http1 => Protocol::Http1,
        object::Protocol::H2c => Protocol::Http2,
    }
}

fn virtual_host(route: &ObjectName, target: &RouteTarget, layers: Option<Layers>) -> VirtualHost {
    let domains = target
        .hosts
        .iter()
        .map(|host| Domain::Exact(host.as_str().into()));
    let name = route.sibling(&hosts::label(&route.name, target.tag.as_deref()));
    let route = Route {
        layers,
        ..match Split::new(target.shares.iter().map(weighted)) {
            Ok(split) => Route::forward(split),
            Err(_) => Route::respond(StatusCode::SERVICE_UNAVAILABLE, NO_SHARE),
        }
    };
    VirtualHost::new(name.to_string(), domains, [route])
}

fn weighted(share: &Share) -> WeightedCluster {
    WeightedCluster {
        cluster: share.revision.to_string().into(),
        weight: u32::from(share.percent),
        headers: identity(&share.revision),
        overrides: FilterOverrides::default(),
        host: None,
    }
}

/// The fields by which an activator knows the revision. Both names were validated: they fit a header.
fn identity(revision: &ObjectName) -> HeaderMutations {
    let fields = [
        (SERVING_REVISION, &revision.name),
        (SERVING_NAMESPACE, &revision.namespace),
    ];
    let value = |text: &String| HeaderValue::from_str(text).ok();
    fields
        .into_iter()
        .filter_map(|(name, text)| Some((HeaderName::from_static(name), value(text)?)))
        .collect()
}

#[cfg(test)]
mod tests;
