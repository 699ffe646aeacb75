//! When has the last request come, so that the sidecar may end?
//!
//! A pod that is deleted still gets requests for a while: whoever routes to it learns of it late. So the drain ends once no
//! request has come for the quiet period (Knative `pkg/network/handlers/drain.go`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Drains once for all who ask.
#[derive(Debug)]
pub struct Drainer {
    quiet: Duration,
    /// What requests look at.
    is_draining: AtomicBool,
    state: Mutex<State>,
    was_reset: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Serving,
    /// Until then no request must come.
    Draining(Instant),
    Drained,
}

impl Drainer {
    /// A drain that ends when no request has come for `quiet`.
    #[must_use]
    pub fn new(quiet: Duration) -> Arc<Self> {
        Arc::new(Self {
            quiet,
            is_draining: AtomicBool::new(false),
            state: Mutex::new(State::Serving),
            was_reset: Notify::new(),
        })
    }

    /// Whether probes are to fail.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// A request came that is no probe: the quiet period begins anew.
    pub fn request_came(&self) {
        if !self.is_draining() {
            return;
        }
        let mut state = self.state();
        if let State::Draining(until) = &mut *state {
            *until = Instant::now() + self.quiet;
        }
    }

    /// Begins to drain, and resolves when that is over: no request has come for the quiet period, or the drain was reset. Who
    /// asks later waits for the same end; once drained it is at once.
    pub async fn drain(&self) {
        self.begin();
        loop {
            let reset = self.was_reset.notified();
            tokio::pin!(reset);
            // Registered before the state is read, so that no reset is missed.
            reset.as_mut().enable();
            let Some(until) = self.look() else { return };
            if timeout_at(until, reset).await.is_ok() {
                return;
            }
        }
    }

    /// Ends a drain whose reason is gone: probes succeed again.
    pub fn reset(&self) {
        let mut state = self.state();
        *state = State::Serving;
        self.is_draining.store(false, Ordering::Release);
        drop(state);
        self.was_reset.notify_waiters();
    }

    fn begin(&self) {
        let mut state = self.state();
        if *state == State::Serving {
            *state = State::Draining(Instant::now() + self.quiet);
            self.is_draining.store(true, Ordering::Release);
        }
    }

    /// Until when to wait; none when there is nothing to wait for any more.
    fn look(&self) -> Option<Instant> {
        let mut state = self.state();
        match *state {
            State::Draining(until) if until > Instant::now() => Some(until),
            State::Draining(_) => {
                *state = State::Drained;
                None
            }
            State::Serving | State::Drained => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_secs(30);

    /// How many seconds a drain takes, beside what happens meanwhile.
    async fn took(drainer: &Drainer, meanwhile: impl Future<Output = ()>) -> u64 {
        let began = Instant::now();
        let drained = async {
            drainer.drain().await;
            began.elapsed().as_secs()
        };
        tokio::join!(drained, meanwhile).0
    }

    async fn after(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_when_no_request_has_come_for_a_while() {
        let drainer = Drainer::new(QUIET);
        assert!(!drainer.is_draining());
        drainer.request_came();
        let requests = async {
            for _ in 0..3 {
                after(20).await;
                assert!(drainer.is_draining());
                drainer.request_came();
            }
        };
        assert_eq!(took(&drainer, requests).await, 90);
        assert!(drainer.is_draining());
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_later_waits_for_the_same_end() {
        let drainer = Drainer::new(QUIET);
        let later = async {
            after(10).await;
            assert_eq!(took(&drainer, async {}).await, 20);
        };
        assert_eq!(took(&drainer, later).await, 30);
        assert_eq!(took(&drainer, async {}).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_lets_all_go_and_the_next_drain_is_a_whole_one() {
        let drainer = Drainer::new(QUIET);
        let reset = async {
            after(1).await;
            drainer.reset();
        };
        assert_eq!(took(&drainer, reset).await, 1);
        assert!(!drainer.is_draining());
        assert_eq!(took(&drainer, async {}).await, 30);
    }
}
