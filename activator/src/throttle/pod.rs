//! How many requests are on one replica, and may it take another?

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

use arc_swap::{ArcSwap, Guard};
use tidegate_proxy::cluster::{Cluster, Endpoint};
use tokio::sync::Notify;

/// A ready replica of a revision.
pub struct Pod {
    /// One value: a request never finds the endpoint of one moment with the cluster of another.
    place: ArcSwap<Place>,
    in_flight_max: AtomicUsize,
    timeline: Timeline,
    /// Requests in flight, and [`RETIRED`].
    state: AtomicUsize,
    /// Told when the pod is retired, and when its last request has ended after that.
    changed: Notify,
}

/// Where a replica takes requests, and how it is connected to there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) endpoint: Arc<Endpoint>,
    /// Its cluster; where it has none of its own, requests go by the one that they came to.
    pub(crate) cluster: Option<Arc<Cluster>>,
}

/// How a replica came up; what a request waited for is told from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeline {
    /// When its process was started.
    pub launched: Instant,
    /// When it began to listen.
    pub listening: Instant,
    /// When its readiness probe succeeded.
    pub ready: Instant,
}

/// The bit of a pod that gets no new lease. In one word with the count: a lease is taken on both or not at all.
const RETIRED: usize = 1 << (usize::BITS - 1);

impl Pod {
    /// A replica that is ready; `container_concurrency` is how many requests it takes at a time, 0 for any number.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, container_concurrency: u32, timeline: Timeline) -> Arc<Self> {
        let cluster = None;
        Self::at(Place { endpoint, cluster }, container_concurrency, timeline)
    }

    /// The same, at a place.
    pub(crate) fn at(place: Place, container_concurrency: u32, timeline: Timeline) -> Arc<Self> {
        let in_flight_max = AtomicUsize::new(in_flight_max(container_concurrency));
        let (state, changed) = (AtomicUsize::new(0), Notify::new());
        Arc::new(Self {
            place: ArcSwap::from_pointee(place),
            in_flight_max,
            timeline,
            state,
            changed,
        })
    }

    /// Where it takes requests now.
    #[must_use]
    pub fn endpoint(&self) -> Arc<Endpoint> {
        Arc::clone(&self.place().endpoint)
    }

    /// Where, and how, it takes requests now. Takes no lock, and counts nothing up.
    pub(crate) fn place(&self) -> Guard<Arc<Place>> {
        self.place.load()
    }

    /// Says that it takes those that are still to come elsewhere, or in another way. What is in flight stays where it is, and
    /// counts.
    pub(crate) fn move_to(&self, place: Place) {
        self.place.store(place.into());
    }

    /// Sets how many requests it takes at a time, 0 for any number. What is in flight above that goes on. Who waits for
    /// a place learns of a new one by the next [`set_pods`](crate::Revision::set_pods).
    pub fn set_limit(&self, limit: u32) {
        self.in_flight_max.store(in_flight_max(limit), SeqCst);
    }

    /// How it came up.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// How many leases of it are held now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state.load(SeqCst) & !RETIRED
    }

    /// Whether it was taken out of its revision: it gets no new lease.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.state.load(SeqCst) & RETIRED != 0
    }

    /// Waits until it is retired. Cancel-safe.
    pub async fn retired(&self) {
        self.until(|state| state & RETIRED != 0).await;
    }

    /// Waits until it is retired and the last of its leases has ended: then it can be stopped without a request
    /// noticing. Cancel-safe. The caller sets the deadline.
    pub async fn drained(&self) {
        self.until(|state| state == RETIRED).await;
    }

    async fn until(&self, reached: impl Fn(usize) -> bool) {
        loop {
            // Made before the look: from here on no notification is missed.
            let changed = self.changed.notified();
            if reached(self.state.load(SeqCst)) {
                return;
            }
            changed.await;
        }
    }

    /// Counts one more request in, if it may take one.
    pub(crate) fn reserve(&self) -> bool {
        let max = self.in_flight_max.load(SeqCst);
        let raise = |state: usize| (state < max).then(|| state + 1);
        self.state.fetch_update(SeqCst, SeqCst, raise).is_ok()
    }

    /// Counts one out. Whoever calls this dispatches next.
    pub(crate) fn release(&self) {
        let before = self.state.fetch_sub(1, SeqCst);
        if before == RETIRED + 1 {
            self.changed.notify_waiters();
        }
    }

    pub(crate) fn enlist(&self) {
        self.state.fetch_and(!RETIRED, SeqCst);
    }

    pub(crate) fn retire(&self) {
        self.state.fetch_or(RETIRED, SeqCst);
        self.changed.notify_waiters();
    }
}

impl Place {
    /// Whether it is the very same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let clusters = (self.cluster.as_ref(), other.cluster.as_ref());
        let is_same_cluster = match clusters {
            (Some(one), Some(another)) => Arc::ptr_eq(one, another),
            (one, another) => one.is_none() && another.is_none(),
        };
        is_same_cluster && Arc::ptr_eq(&self.endpoint, &other.endpoint)
    }
}

fn in_flight_max(limit: u32) -> usize {
    match limit {
        0 => RETIRED - 1,
        limit => usize::try_from(limit).unwrap_or(usize::MAX).min(RETIRED - 1),
    }
}

impl fmt::Debug for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pod")
            .field("address", self.endpoint().address())
            .field("in_flight", &self.in_flight())
            .field("retired", &self.is_retired())
            .finish_non_exhaustive()
    }
}
