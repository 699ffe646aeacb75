//! What is done for a cluster beside its requests, and for how long?

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::discovery::{self, Resolver};
use super::endpoint::Fault;
use super::health::{self, Change, Finding};
use super::{Cluster, Endpoint};
use crate::drain::Watch;
use crate::observe::counts::one;
use crate::observe::metrics;
use crate::process;

impl Cluster {
    /// Starts what its settings ask for beside requests: look-ups of its names, health checks, the comparison of success
    /// rates, the end of ejections.
    ///
    /// Call it once for each cluster, in the runtime that does control work rather than in a worker. Without it no name
    /// is looked up, and nobody is checked or ejected. From this call on an endpoint is unhealthy until a check has succeeded.
    /// The tasks keep neither the cluster nor a drain open: they end with whichever ends first.
    pub fn watch(self: &Arc<Self>, drain: &Watch) {
        if let Some(detector) = &self.detector
            && detector.start()
        {
            let (cluster, interval) = (Arc::downgrade(self), detector.interval());
            let sweeping = until_drained(drain.clone(), async move { sweep(cluster, interval).await });
            process::spawn("outlier-sweep", drain.unguarded(), sweeping);
        }
        if let Some(discovery) = &self.settings.discovery
            && !self.resolving.swap(true, Ordering::Relaxed)
        {
            let resolver = Resolver::of_system();
            let look_up = move |host| resolver.clone().look_up(host);
            let resolving = discovery::run(Arc::downgrade(self), (**discovery).clone(), look_up);
            process::spawn(
                "dns-refresh",
                drain.unguarded(),
                until_drained(drain.clone(), resolving),
            );
        }
        if let Some(check) = &self.settings.health_check
            && let Some(changed) = &self.changed
            && !self.checking.swap(true, Ordering::Relaxed)
        {
            for endpoint in self.endpoints().iter() {
                endpoint.state().set(Fault::Checks);
            }
            self.refresh();
            let checking = health::run(Arc::downgrade(self), Arc::clone(changed), (**check).clone());
            process::spawn(
                "health-checks",
                drain.unguarded(),
                until_drained(drain.clone(), checking),
            );
        }
    }

    /// Takes note of a health check.
    pub(super) fn checked(&self, endpoint: &Endpoint, finding: Finding, change: Change) {
        metrics::checked(&self.settings.name, finding.name());
        one(&self.upkeep.checks);
        if matches!(finding, Finding::Healthy | Finding::Degraded) {
            one(&self.upkeep.checks_passed);
        }
        let state = endpoint.state();
        let mut sorted_anew = match finding {
            Finding::Degraded => state.set(Fault::Degraded),
            Finding::Healthy => state.clear(Fault::Degraded),
            Finding::Unhealthy | Finding::Failed => false,
        };
        match change {
            Change::None => {}
            Change::BecameHealthy => {
                sorted_anew |= state.clear(Fault::Checks);
                state.became_available(Instant::now());
                // Who passes its checks again need not wait for the end of its ejection.
                if let Some(detector) = &self.detector {
                    sorted_anew |= detector.forgive(endpoint, None);
                }
            }
            Change::BecameUnhealthy => sorted_anew |= state.set(Fault::Checks),
        }
        if change.is_any() {
            let (cluster, address) = (&self.settings.name, endpoint.address());
            tracing::info!(%cluster, %address, found = finding.name(), "an endpoint's health has changed");
        }
        if sorted_anew {
            self.refresh();
        }
    }

    fn sweep(&self, now: Instant) {
        let Some(detector) = &self.detector else {
            return;
        };
        let (reasons, changed) = detector.sweep(&self.endpoints(), now);
        for reason in reasons {
            self.ejected(reason);
        }
        if changed {
            self.refresh();
        }
    }
}

/// Runs `task` until it ends or the drain begins.
pub(super) async fn until_drained(drain: Watch, task: impl Future<Output = ()>) {
    tokio::select! {
        () = drain.draining() => {}
        () = task => {}
    }
}

async fn sweep(cluster: Weak<Cluster>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        match cluster.upgrade() {
            Some(cluster) => cluster.sweep(Instant::now()),
            None => return,
        }
    }
}
