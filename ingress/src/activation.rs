//! Which requests wait here for a pod, and where do they go then?
//!
//! A cluster may say that its requests are for a Knative revision ([`tidegate_xds::translate::cluster::activation`]), and which
//! other cluster has its pods. From the moment that both are in force, its requests pass an activator that is a layer before the
//! cluster: no hop of its own. Until then, and in any other Envoy always, they go to the endpoints of the cluster itself, which
//! are those of a standalone activator; where there are none, they wait here.

mod reports;
mod revisions;

use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use tidegate_activator::Registry;
use tidegate_activator::directory::Directory;
use tidegate_activator::fleet::Fleet;
use tidegate_activator::health::Health;
use tidegate_activator::wire::inline::InlineLayer;
use tidegate_proxy::config::Handle;
use tidegate_proxy::drain::Watch;
use tidegate_proxy::layers::Layers;
use tokio::runtime;

pub(crate) use revisions::Revisions;

/// What the process is told about itself among others.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where the autoscaler takes reports about load (`--autoscaler-address`); without it nobody is told.
    pub autoscaler: Option<Uri>,
    /// Under which name it reports (`POD_NAME`).
    pub pod_name: String,
    /// Its own address among those who share revisions (`POD_IP`).
    pub own: Option<IpAddr>,
}

/// What operators see of it.
#[derive(Clone, Debug)]
pub struct Activators {
    /// The revisions for which requests wait.
    pub revisions: Arc<Registry>,
    /// Whether the autoscaler is connected to; none where nobody is told.
    pub link: Option<Health>,
}

/// Sets it up: the layer before clusters, who keeps the revisions behind it, and what is seen of them. Called in the runtime in which
/// pods are asked, and the autoscaler is told.
pub(crate) fn start(settings: &Settings, config: &Handle, watch: &Watch) -> (Layers, Revisions, Activators) {
    let registry = Registry::new();
    let directory = Directory::new(Arc::clone(&registry));
    let (reporter, link) = reports::start(settings, &registry, watch);
    let layer = InlineLayer::new(Arc::clone(&directory), reporter, config.overload(), ());
    let fleet = Fleet::new(directory, watch.clone());
    let revisions = Revisions::new(fleet, runtime::Handle::current(), settings);
    let seen = Activators {
        revisions: registry,
        link,
    };
    (Layers::new(layer), revisions, seen)
}
