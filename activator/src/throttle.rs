//! Which replica of a revision takes a request, who waits, and who is refused?
//!
//! A [`Revision`] is synchronous state without a runtime or a clock: it hands out [`Lease`]s of its [`Pod`]s, and
//! keeps those that must wait in a [`WaitQueue`], in the order of arrival. The capacity is the pods' own counts; why
//! no wake-up is lost is argued in [`tidegate_proxy::limit`].
//!
//! One queue stands for Knative's breaker of the revision and those of its pods: a request is given a pod, not a
//! ticket to look for one, so nobody wakes up in vain.

mod pod;
mod policy;
mod release;

use std::{
    collections::HashSet,
    fmt,
    hash::Hash,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{Ordering::SeqCst, fence},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tidegate_proxy::{
    cluster::Cluster,
    limit::{QueueFull, WaitQueue, Waiter},
};

pub(crate) use pod::Place;
pub use pod::{Pod, Timeline};
use release::Turns;
pub(crate) use release::{NoTurn, Onward, Release};

use crate::{limits, observe::RevisionMetrics, reporter::load::Load, throttle::policy::Balancer};

/// What is known about a revision before it has pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionSettings {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The Service that it belongs to, for labels; empty if none does.
    pub service: String,
    /// The Configuration that made it, for labels.
    pub configuration: String,
    /// How many requests one replica takes at a time, at first; 0 for any number (`containerConcurrency`).
    pub container_concurrency: u32,
    /// How long a request may wait for capacity, from its arrival (`timeoutSeconds`); then 504.
    pub timeout: Duration,
}

/// A revision, its ready pods, and the requests that wait for one.
pub struct Revision {
    settings: RevisionSettings,
    key: Arc<str>,
    balancer: Balancer,
    /// Sorted by address, as Knative's trackers are.
    pods: ArcSwap<Vec<Arc<Pod>>>,
    /// One change of the pods at a time; requests never lock it.
    changes: Mutex<()>,
    queue: WaitQueue<Lease, Dismissal>,
    /// What whoever would have to wait is told instead.
    dismissal: ArcSwapOption<Dismissal>,
    /// How those go on who are let go, once somebody was.
    turns: OnceLock<Turns>,
    load: Load,
    metrics: RevisionMetrics,
}

/// Why waiting is pointless; answered as 503.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the client reads: what failed, and what to look at.
    pub message: String,
    /// When the client may try again (`Retry-After`).
    pub retry_after: Duration,
}

/// Why those who wait are not waiting any more, and have no lease either.
#[derive(Debug)]
pub(crate) enum Dismissal {
    /// It is pointless.
    Refused(Arc<Refusal>),
    /// Nobody is held for the revision any more: they go, in turn, where whoever comes now goes.
    Released(Release),
}

/// Why a request cannot be parked.
#[derive(Debug, Clone)]
pub(crate) enum NoPlace {
    /// As many wait as may.
    Full,
    /// Nobody may wait.
    Dismissed(Arc<Dismissal>),
}

/// The right to send one request to one pod. Dropping it passes the right to whoever waits longest.
#[must_use = "a lease that is dropped is given back"]
pub struct Lease {
    revision: Arc<Revision>,
    pod: Arc<Pod>,
}

impl Revision {
    /// A revision without pods: requests park from now on.
    #[must_use]
    pub fn new(settings: RevisionSettings) -> Arc<Self> {
        Self::with_queue(settings, limits::PARKED_PER_REVISION_MAX)
    }

    /// As [`new`](Self::new), with another bound of parked requests than [`limits::PARKED_PER_REVISION_MAX`].
    #[must_use]
    pub fn with_queue(settings: RevisionSettings, parked_max: usize) -> Arc<Self> {
        Arc::new(Self {
            key: format!("{}/{}", settings.namespace, settings.name).into(),
            balancer: Balancer::new(settings.container_concurrency),
            pods: ArcSwap::default(),
            changes: Mutex::new(()),
            queue: WaitQueue::new(parked_max),
            dismissal: ArcSwapOption::empty(),
            turns: OnceLock::new(),
            load: Load::new(),
            metrics: RevisionMetrics::new(&settings.namespace, &settings.name),
            settings,
        })
    }

    /// `namespace/name`: the name of the revision's cluster, and its key in the [`Registry`](crate::Registry).
    #[must_use]
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// What it was made with.
    #[must_use]
    pub fn settings(&self) -> &RevisionSettings {
        &self.settings
    }

    /// How many requests one replica takes at a time now; 0 for any number.
    #[must_use]
    pub fn container_concurrency(&self) -> u32 {
        self.balancer.container_concurrency()
    }

    /// Says that it is another number. The pods keep theirs, which is theirs to be [told](Pod::set_limit).
    pub(crate) fn set_container_concurrency(&self, container_concurrency: u32) {
        self.balancer.set_container_concurrency(container_concurrency);
    }

    /// Replaces the ready pods. Waiting requests are given what is new at once; a pod that is no longer listed is
    /// retired: it gets no new lease from the moment this returns, and its leases go on. A pod that was retired may
    /// come back. A pod that was not there before disproves a [`refuse`](Self::refuse), which ends.
    pub fn set_pods(self: &Arc<Self>, mut pods: Vec<Arc<Pod>>) {
        pods.sort_by_cached_key(|pod| pod.endpoint().address().to_string());
        let change = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.pods.load_full();
        pods.iter().for_each(|pod| pod.enlist());
        if missing(&pods, &before, Arc::as_ptr).next().is_some() {
            self.disprove();
        }
        let pods = Arc::new(pods);
        self.pods.store(Arc::clone(&pods));
        missing(&before, &pods, Arc::as_ptr).for_each(|pod| pod.retire());
        drop(change);
        fence(SeqCst);
        self.dispatch();
    }

    /// The ready pods now.
    #[must_use]
    pub fn pods(&self) -> Arc<Vec<Arc<Pod>>> {
        self.pods.load_full()
    }

    /// How many requests are parked now, those included that were let go and wait for their turn.
    #[must_use]
    pub fn parked(&self) -> usize {
        let in_turn = match self.dismissal.load().as_deref() {
            Some(Dismissal::Released(release)) => release.waiting(),
            Some(Dismissal::Refused(_)) | None => 0,
        };
        self.queue.len() + in_turn
    }

    /// How many requests had to wait until now.
    #[must_use]
    pub fn parked_total(&self) -> u64 {
        self.metrics.parked_total()
    }

    /// How many requests were given no replica until now, by the name of the reason (the proxy's kinds of errors).
    #[must_use]
    pub fn refused_total(&self) -> impl IntoIterator<Item = (&'static str, u64)> + use<> {
        self.metrics.refused_total()
    }

    /// Refuses all that wait, those included that were let go and wait for their turn, and whoever would have to wait, for one
    /// reason: nothing is coming up. Ends with [`accept`](Self::accept), or when a new pod is ready. Returns how many were
    /// refused.
    pub fn refuse(&self, refusal: Refusal) -> usize {
        let dismissal = Arc::new(Dismissal::Refused(refusal.into()));
        // Stored before the queue is emptied: who parks in between looks after it has parked.
        let revoked = self.dismiss(Some(Arc::clone(&dismissal)));
        revoked + self.queue.fail_all(&dismissal)
    }

    /// Sends all that wait, and whoever would have to wait, on to this cluster; those whose turn is still to come too, where it is
    /// another than it was before. Ends with [`accept`](Self::accept), which has those wait for a pod again whose turn is still to
    /// come, and with [`refuse`](Self::refuse); not with a new pod.
    pub(crate) fn release(&self, to: &Arc<Cluster>) {
        if let Some(Dismissal::Released(release)) = self.dismissal.load().as_deref() {
            return release.move_to(to);
        }
        let dismissal = Arc::new(Dismissal::Released(Release::to(
            to,
            self.turns.get_or_init(Turns::new),
        )));
        self.dismiss(Some(Arc::clone(&dismissal)));
        self.queue.fail_all(&dismissal);
    }

    /// Whether nobody is held for it any more; until [`accept`](Self::accept).
    #[must_use]
    pub fn is_released(&self) -> bool {
        matches!(self.dismissal.load().as_deref(), Some(Dismissal::Released(_)))
    }

    /// Lets requests wait again; who was let go and has had no turn yet does.
    pub fn accept(&self) {
        self.dismiss(None);
    }

    /// Refuses all that wait now; those who come later wait as usual. Returns how many were refused.
    pub fn fail_parked(&self, refusal: Refusal) -> usize {
        self.queue.fail_all(&Arc::new(Dismissal::Refused(refusal.into())))
    }

    /// Why requests are refused now, if they are.
    #[must_use]
    pub fn refusal(&self) -> Option<Arc<Refusal>> {
        match &**self.dismissal.load().as_ref()? {
            Dismissal::Refused(refusal) => Some(Arc::clone(refusal)),
            Dismissal::Released(_) => None,
        }
    }

    /// Says what whoever would have to wait is told from now on; who still waits for a turn by what was said before looks again.
    /// Returns how many those are.
    fn dismiss(&self, dismissal: Option<Arc<Dismissal>>) -> usize {
        let before = self.dismissal.swap(dismissal);
        match before.as_deref() {
            Some(Dismissal::Released(release)) => release.revoke(),
            Some(Dismissal::Refused(_)) | None => 0,
        }
    }

    /// Ends a refusal. Who has been released stays so: a request that found the revision just before is still to be sent on.
    fn disprove(&self) {
        self.dismissal.rcu(|now| match now.as_deref() {
            Some(Dismissal::Released(_)) => now.clone(),
            Some(Dismissal::Refused(_)) | None => None,
        });
    }

    /// A lease of a pod with capacity, if there is one and nobody waits for it; never waits.
    pub fn try_lease(self: &Arc<Self>) -> Option<Lease> {
        if self.queue.is_empty() { self.take() } else { None }
    }

    /// A lease of any pod with capacity but this one, ahead of those who wait: for a request that had its turn, and
    /// whose pod did not take it.
    pub(crate) fn lease_elsewhere(self: &Arc<Self>, than: &Arc<Pod>) -> Option<Lease> {
        let pods = self.pods.load();
        let pod = pods
            .iter()
            .filter(|pod| !Arc::ptr_eq(pod, than))
            .find(|pod| pod.reserve())?;
        Some(Lease {
            revision: Arc::clone(self),
            pod: Arc::clone(pod),
        })
    }

    /// A place in the queue, with a lease in it already if a pod has become free.
    pub(crate) fn park(self: &Arc<Self>) -> Result<Waiter<Lease, Dismissal>, NoPlace> {
        self.placed(self.queue.park())
    }

    /// As [`park`](Self::park), for one that was let go and has had no turn: it counts against the bounds of the process all the
    /// while, and is not turned away for those who came after it.
    pub(crate) fn park_again(self: &Arc<Self>) -> Result<Waiter<Lease, Dismissal>, NoPlace> {
        self.placed(self.queue.park_within(usize::MAX))
    }

    fn placed(
        self: &Arc<Self>,
        waiter: Result<Waiter<Lease, Dismissal>, QueueFull>,
    ) -> Result<Waiter<Lease, Dismissal>, NoPlace> {
        let waiter = waiter.map_err(|QueueFull| NoPlace::Full)?;
        // Either `refuse` finds this waiter in the queue, or it is seen here.
        if let Some(dismissal) = self.dismissal.load_full() {
            return Err(NoPlace::Dismissed(dismissal));
        }
        self.dispatch();
        Ok(waiter)
    }

    pub(crate) fn load(&self) -> &Load {
        &self.load
    }

    pub(crate) fn metrics(&self) -> &RevisionMetrics {
        &self.metrics
    }

    fn take(self: &Arc<Self>) -> Option<Lease> {
        let pods = self.pods.load();
        let pod = self.balancer.reserve(&pods)?;
        Some(Lease {
            revision: Arc::clone(self),
            pod: Arc::clone(pod),
        })
    }

    fn dispatch(self: &Arc<Self>) {
        self.queue.dispatch(|| self.take());
    }
}

/// Those of `of` whose key none has of `from`. Looks at each once: a revision may have thousands of pods.
fn missing<'a, T, K: Eq + Hash>(
    of: &'a [T],
    from: &[T],
    key: impl Fn(&T) -> K,
) -> impl Iterator<Item = &'a T> {
    let known: HashSet<K> = from.iter().map(&key).collect();
    of.iter().filter(move |one| !known.contains(&key(one)))
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revision")
            .field("key", &self.key)
            .field("parked", &self.parked())
            .field("pods", &*self.pods.load())
            .field("refusal", &self.refusal())
            .finish_non_exhaustive()
    }
}

impl Lease {
    /// The pod that it is a lease of.
    #[must_use]
    pub fn pod(&self) -> &Arc<Pod> {
        &self.pod
    }

    /// Where that pod takes requests now.
    #[must_use]
    pub fn endpoint(&self) -> Arc<tidegate_proxy::cluster::Endpoint> {
        self.pod.endpoint()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pod.release();
        self.revision.dispatch();
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("revision", &self.revision.key)
            .field("pod", &self.pod)
            .finish()
    }
}

#[cfg(test)]
pub(crate) mod tests;
