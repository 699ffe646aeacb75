//! Who hears of the load of revisions: the autoscaler, where there is one to tell.

use std::sync::Arc;

use tidegate_activator::health::Health;
use tidegate_activator::link::Link;
use tidegate_activator::reporter::{Reporter, StatSink};
use tidegate_activator::{Registry, Revision};
use tidegate_knative::stat::Stat;
use tidegate_proxy::drain::Watch;
use tidegate_proxy::process;

use super::Settings;

/// Starts to report, and says how the connection is. Nothing waits for the autoscaler: requests are served without it, too.
pub(super) fn start(
    settings: &Settings,
    registry: &Arc<Registry>,
    watch: &Watch,
) -> (Arc<Reporter>, Option<Health>) {
    let name = settings.pod_name.clone();
    let Some(url) = settings.autoscaler.clone() else {
        return (Reporter::new(Arc::clone(registry), name, Nobody), None);
    };
    let health = Health::default();
    let link = Link::start(url, health.clone(), watch);
    let reporter = Reporter::new(Arc::clone(registry), name, link);
    let (reporting, forced) = (Arc::clone(&reporter), watch.forced());
    process::spawn("reporter", watch.unguarded(), async move {
        tokio::select! {
            () = forced => {}
            () = reporting.run() => {}
        }
    });
    (reporter, Some(health))
}

/// Nobody is told.
struct Nobody;

impl StatSink for Nobody {
    fn stat(&self, _revision: &Arc<Revision>, _stat: Stat) {}
}
