//! How a process stops: first gracefully, then by force, and who is still busy.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// How far the stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Draining,
    Forced,
}

/// Starts and finishes the stop; held by whoever owns the process.
#[derive(Debug)]
pub struct Drain {
    phase: watch::Sender<Phase>,
    busy: Arc<Busy>,
}

/// Sees the stop coming; cheap to clone.
#[derive(Clone, Debug)]
pub struct Watch {
    phase: watch::Receiver<Phase>,
    busy: Arc<Busy>,
}

/// Keeps the graceful phase open until it is dropped: one for each task that has work to finish.
#[derive(Debug)]
pub struct Guard {
    busy: Arc<Busy>,
}

#[derive(Debug, Default)]
struct Busy {
    guards: AtomicUsize,
    idle: Notify,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many guards were still held when the deadline passed; 0 after a clean drain.
    pub forced: usize,
}

impl Drain {
    /// A running process, and the watch that its tasks get.
    #[must_use]
    pub fn new() -> (Self, Watch) {
        let (sender, receiver) = watch::channel(Phase::Running);
        let busy = Arc::new(Busy::default());
        (
            Self {
                phase: sender,
                busy: Arc::clone(&busy),
            },
            Watch {
                phase: receiver,
                busy,
            },
        )
    }

    /// Begins the graceful phase: nothing new is accepted, what runs may finish.
    pub fn start(&self) {
        self.phase.send_if_modified(|phase| {
            let first = *phase == Phase::Running;
            if first {
                *phase = Phase::Draining;
            }
            first
        });
    }

    /// How many guards are held now.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.busy.guards.load(Ordering::Acquire)
    }

    /// Waits until every guard is gone, at most for `grace`; after that everything is cut.
    pub async fn finish(self, grace: Duration) -> Outcome {
        self.start();
        let forced = match tokio::time::timeout(grace, self.busy.wait_idle()).await {
            Ok(()) => 0,
            Err(_elapsed) => self.busy(),
        };
        self.phase.send_replace(Phase::Forced);
        Outcome { forced }
    }
}

impl Watch {
    /// Resolves when the graceful phase begins, or has begun.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + use<> {
        self.reached(Phase::Draining)
    }

    /// Resolves when everything that still runs has to be cut.
    pub fn forced(&self) -> impl Future<Output = ()> + Send + use<> {
        self.reached(Phase::Forced)
    }

    /// Whether the stop has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() >= Phase::Draining
    }

    /// Counts one more busy task until the guard is dropped.
    #[must_use]
    pub fn guard(&self) -> Guard {
        Guard::new(&self.busy)
    }

    /// A guard that keeps nothing open: for what may be cut when everybody else has finished.
    #[must_use]
    pub fn unguarded(&self) -> Guard {
        Guard::new(&Arc::default())
    }

    fn reached(&self, wanted: Phase) -> impl Future<Output = ()> + Send + use<> {
        let mut phase = self.phase.clone();
        async move {
            // The sender lives in `Drain`; when that is gone without a drain, nobody waits for us: go.
            let _owner_gone = phase.wait_for(|phase| *phase >= wanted).await.is_err();
        }
    }
}

impl Guard {
    fn new(busy: &Arc<Busy>) -> Self {
        busy.guards.fetch_add(1, Ordering::AcqRel);
        Self {
            busy: Arc::clone(busy),
        }
    }
}

impl Clone for Guard {
    fn clone(&self) -> Self {
        Self::new(&self.busy)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.busy.guards.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.busy.idle.notify_waiters();
        }
    }
}

impl Busy {
    async fn wait_idle(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            // Registered before the count is read, so that the last guard's notice cannot be missed.
            idle.as_mut().enable();
            if self.guards.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_with_its_last_guard() {
        let (drain, watch) = Drain::new();
        let guard = watch.guard();
        drain.start();
        watch.draining().await;
        assert!(watch.is_draining());
        let finish = drain.finish(Duration::from_secs(5));
        let (outcome, ()) = tokio::join!(finish, async { drop(guard) });
        assert_eq!(outcome, Outcome { forced: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_past_its_grace_says_how_many_it_cut() {
        let (drain, watch) = Drain::new();
        let guards = (watch.guard(), watch.guard());
        let outcome = drain.finish(Duration::from_secs(5)).await;
        assert_eq!(outcome, Outcome { forced: 2 });
        watch.forced().await;
        drop(guards);
    }
}
