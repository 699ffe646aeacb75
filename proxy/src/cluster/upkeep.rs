//! What is done for a cluster beside its requests, and for how long?

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::Cluster;
use crate::drain::Watch;
use crate::process;

impl Cluster {
    /// Starts what its settings ask for beside requests: the end of ejections and the comparison of success rates.
    ///
    /// Call it once for each cluster, in the runtime that does control work rather than in a worker. Without it nobody is
    /// ejected. The tasks keep neither the cluster nor a drain open: they end with whichever ends first.
    pub fn watch(self: &Arc<Self>, drain: &Watch) {
        if let Some(detector) = &self.detector
            && detector.start()
        {
            let (cluster, interval) = (Arc::downgrade(self), detector.interval());
            let sweeping = until_drained(drain.clone(), async move { sweep(cluster, interval).await });
            process::spawn("outlier-sweep", drain.unguarded(), sweeping);
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
