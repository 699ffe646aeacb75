//! When is which endpoint of a cluster asked, and what becomes of the answers?

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::probe;
use super::{Change, Course, Finding, HealthCheck};
use crate::cluster::{Address, Cluster, Endpoint};
use crate::config::limits;

/// Checks the endpoints of `cluster` as long as it lives. `changed` says that its endpoints may be others.
pub(crate) async fn run(cluster: Weak<Cluster>, changed: Arc<Notify>, check: HealthCheck) {
    let check = Arc::new(check);
    let mut watched = HashMap::new();
    let mut asking = FuturesUnordered::new();
    loop {
        let now = Instant::now();
        // Not held while this waits: the last owner outside decides how long a cluster lives.
        match cluster.upgrade() {
            Some(cluster) => {
                follow(&mut watched, &cluster, now);
                start(&mut watched, &mut asking, &cluster, &check);
                if cluster.looked_up.load(Ordering::Acquire) && watched.values().all(|one| one.answered) {
                    cluster.checked.store(true, Ordering::Release);
                }
            }
            None => return,
        }
        let due = watched.values().filter(|one| !one.asked).map(|one| one.due).min();
        // A full house waits for an answer; an empty one looks in now and then whether the cluster is still there.
        let wake = match due {
            Some(due) if asking.len() < limits::CHECKS_AT_ONCE_MAX => due.min(now + limits::CHECK_INTERVAL),
            _ => now + limits::CHECK_INTERVAL,
        };
        tokio::select! {
            Some((address, finding)) = asking.next() => {
                if let (Some(one), Some(cluster)) = (watched.get_mut(&address), cluster.upgrade()) {
                    one.take(finding, &cluster, &check);
                }
            }
            () = changed.notified() => {}
            () = tokio::time::sleep_until(wake) => {}
        }
    }
}

/// An endpoint under watch.
struct Watched {
    endpoint: Arc<Endpoint>,
    course: Course,
    due: Instant,
    /// Whether a check is under way.
    asked: bool,
    /// Whether one has ended.
    answered: bool,
}

type Asking = FuturesUnordered<Pin<Box<dyn Future<Output = (Address, Finding)> + Send>>>;

/// Watches the endpoints that the cluster has now, and no others.
fn follow(watched: &mut HashMap<Address, Watched>, cluster: &Cluster, now: Instant) {
    let endpoints = cluster.endpoints();
    let mut before = std::mem::take(watched);
    for endpoint in endpoints.iter() {
        let one = before.remove(endpoint.address());
        // Whoever came back under its address is somebody else, until checked.
        let one = one.filter(|one| Arc::ptr_eq(one.endpoint.state(), endpoint.state()));
        let (course, due, asked, answered) = match one {
            Some(one) => (one.course, one.due, one.asked, one.answered),
            None => (Course::default(), now, false, false),
        };
        let endpoint = Arc::clone(endpoint);
        let one = Watched {
            endpoint,
            course,
            due,
            asked,
            answered,
        };
        watched.insert(one.endpoint.address().clone(), one);
    }
}

fn start(
    watched: &mut HashMap<Address, Watched>,
    asking: &mut Asking,
    cluster: &Arc<Cluster>,
    check: &Arc<HealthCheck>,
) {
    let now = Instant::now();
    for one in watched.values_mut().filter(|one| !one.asked && one.due <= now) {
        if asking.len() >= limits::CHECKS_AT_ONCE_MAX {
            return;
        }
        one.asked = true;
        let (cluster, endpoint, check) = (Arc::clone(cluster), Arc::clone(&one.endpoint), Arc::clone(check));
        asking.push(Box::pin(async move {
            let finding = probe::ask(&cluster, &endpoint, &check).await;
            (endpoint.address().clone(), finding)
        }));
    }
}

impl Watched {
    fn take(&mut self, finding: Finding, cluster: &Cluster, check: &HealthCheck) {
        (self.asked, self.answered) = (false, true);
        let change = self.course.note(finding, check);
        self.due = Instant::now() + self.course.pause(check, fastrand::f64());
        cluster.checked(&self.endpoint, finding, change);
    }
}

impl Finding {
    /// The `result` of a metric.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::Failed => "failed",
        }
    }
}

impl Change {
    pub(crate) fn is_any(self) -> bool {
        self != Self::None
    }
}
