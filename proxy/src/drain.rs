//! How a process stops: first gracefully, then by force, and who is still busy.
//!
//! ```
//! use std::time::Duration;
//! use tidegate_proxy::drain::{Drain, Outcome};
//! use tidegate_proxy::process;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let (drain, watch) = Drain::new();
//! let draining = watch.draining();
//! // Something that may finish: its guard keeps the graceful phase open.
//! process::spawn("work", watch.guard(), draining);
//! assert_eq!(drain.busy(), 1);
//! assert_eq!(drain.finish(Duration::from_secs(10)).await, Outcome { forced: 0 });
//! assert!(watch.is_forced());
//! # }
//! ```

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use crate::config::limits;

mod fade;

pub use fade::Fade;
use fade::Fading;

/// A step of the stop. A process that just runs has reached none: 0.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Phase {
    Draining = 1,
    Forced = 2,
}

/// Starts and finishes the stop; held by whoever owns the process. Dropping it cuts everything at once.
#[derive(Debug)]
pub struct Drain {
    signal: Arc<Signal>,
    busy: Arc<Busy>,
}

/// Sees the stop coming; cheap to clone.
#[derive(Clone, Debug)]
pub struct Watch {
    signal: Arc<Signal>,
    busy: Arc<Busy>,
}

/// Keeps the graceful phase open until it and all its clones are dropped: one for each piece of work that may
/// finish. A clone is for a task that does a part of that work; it counts with its original, as one.
#[derive(Clone, Debug)]
pub struct Guard(#[expect(dead_code, reason = "held for its destructor")] Arc<Token>);

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many guards were still held when the deadline passed (a connection, with its requests or its tunnel,
    /// is one); 0 after a clean drain.
    pub forced: usize,
}

impl Drain {
    /// A running process, and the watch that its tasks get.
    #[must_use]
    pub fn new() -> (Self, Watch) {
        let signal = Arc::new(Signal::default());
        let busy = Arc::new(Busy::default());
        let watch = Watch {
            signal: Arc::clone(&signal),
            busy: Arc::clone(&busy),
        };
        (Self { signal, busy }, watch)
    }

    /// Begins the graceful phase: nothing new is accepted, what runs may finish.
    pub fn start(&self) {
        self.signal.advance(Phase::Draining);
    }

    /// Parts with clients by and by, before the graceful phase; in place of what was said before.
    pub fn fade(&self, fade: Fade) {
        self.signal.fading.set(fade);
    }

    /// How many guards are held now.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.busy.guards.load(Ordering::Acquire)
    }

    /// Waits until every guard is gone, at most for `grace`; after that everything is cut.
    pub async fn finish(self, grace: Duration) -> Outcome {
        self.end(grace).await
    }

    /// Ends the drain: what still runs is cut.
    pub(crate) fn cut(&self) {
        self.signal.advance(Phase::Forced);
    }

    /// Resolves when no guard is held. Cancel-safe.
    pub async fn idle(&self) {
        self.busy.wait_idle().await;
    }

    /// [`Drain::finish`] for an owner that shares the drain. Cancelled, the drain has begun and is not forced.
    pub(crate) async fn end(&self, grace: Duration) -> Outcome {
        self.start();
        let forced = match tokio::time::timeout(grace, self.busy.wait_idle()).await {
            Ok(()) => 0,
            Err(_elapsed) => self.busy(),
        };
        self.signal.advance(Phase::Forced);
        Outcome { forced }
    }

    /// Parts with clients as `fade` says for `grace`, or until nothing is busy; then stops what is left, which has the time
    /// for its last words.
    pub(crate) async fn fade_out(&self, fade: Fade, grace: Duration) -> Outcome {
        self.fade(fade);
        // Whether all have gone, or not in time, the rest is the same.
        _ = tokio::time::timeout(grace, self.busy.wait_idle()).await;
        self.end(limits::LAST_WORDS_TIMEOUT).await
    }
}

impl Drop for Drain {
    /// When the owner is gone nobody waits for what still runs.
    fn drop(&mut self) {
        self.signal.advance(Phase::Forced);
    }
}

impl Watch {
    /// Resolves when the graceful phase begins, or has begun.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + Unpin + use<> {
        self.reached(Phase::Draining)
    }

    /// Resolves when the drain is over: whatever still runs has to be cut.
    pub fn forced(&self) -> impl Future<Output = ()> + Send + Unpin + use<> {
        self.reached(Phase::Forced)
    }

    /// Whether the stop has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.signal.reached(Phase::Draining)
    }

    /// Whether the stop is over and what still runs is being cut.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.signal.reached(Phase::Forced)
    }

    /// Whether a response that goes out now is to be its connection's last: the stop has begun, or a [`Fade`] has come so far,
    /// of this drain or of one that it is a part of.
    #[must_use]
    pub fn lets_go(&self) -> bool {
        self.signal.lets_go()
    }

    /// Counts one more piece of work until the guard is dropped.
    #[must_use]
    pub fn guard(&self) -> Guard {
        Guard::new(&self.busy)
    }

    /// A guard that keeps nothing open: for what may be cut when everybody else has finished.
    #[must_use]
    pub fn unguarded(&self) -> Guard {
        Guard::new(&Arc::default())
    }

    /// Makes `part` a part of this drain: it begins and ends with it at the latest, and what is busy there is busy
    /// here. To be called before the part is used; what has been adopted stays with whom it has.
    pub(crate) fn adopt(&self, part: &Self) {
        if part.busy.whole.set(Arc::clone(&self.busy)).is_ok() {
            self.lead(part);
        }
    }

    /// [`Watch::adopt`] for a part whose own work is counted here anyway.
    pub(crate) fn lead(&self, part: &Self) {
        if part.signal.whole.set(Arc::clone(&self.signal)).is_ok() {
            let mut waiting = self.signal.waiting();
            waiting.parts.retain(|part| part.strong_count() > 0);
            waiting.parts.push(Arc::downgrade(&part.signal));
            drop(waiting);
            // A phase that began in between has passed the part by; the lock orders its store before this look.
            for phase in [Phase::Draining, Phase::Forced] {
                if self.signal.reached(phase) {
                    part.signal.advance(phase);
                }
            }
        }
    }

    fn reached(&self, wanted: Phase) -> Reached {
        Reached {
            signal: Arc::clone(&self.signal),
            wanted,
            registered: None,
        }
    }
}

impl Guard {
    fn new(busy: &Arc<Busy>) -> Self {
        let whole = busy.whole.get().cloned();
        for counted in [Some(busy), whole.as_ref()].into_iter().flatten() {
            counted.guards.fetch_add(1, Ordering::AcqRel);
        }
        Self(Arc::new(Token {
            busy: Arc::clone(busy),
            whole,
        }))
    }
}

/// What a [`Guard`] and its clones share.
#[derive(Debug)]
struct Token {
    busy: Arc<Busy>,
    whole: Option<Arc<Busy>>,
}

impl Drop for Token {
    fn drop(&mut self) {
        for busy in [Some(&self.busy), self.whole.as_ref()].into_iter().flatten() {
            if busy.guards.fetch_sub(1, Ordering::AcqRel) == 1 {
                busy.idle.notify_waiters();
            }
        }
    }
}

#[derive(Debug, Default)]
struct Busy {
    guards: AtomicUsize,
    idle: Notify,
    /// Who adopted this drain, and waits for its guards too.
    whole: OnceLock<Arc<Self>>,
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

/// The phase, and who wants to hear of the next one.
///
/// Every connection waits for it beside its work, and is polled with each step of that work. So a poll costs one
/// load and no lock: only the first one registers its waker, which stays until the future is dropped.
#[derive(Debug, Default)]
struct Signal {
    phase: AtomicU8,
    waiting: Mutex<Waiting>,
    fading: Fading,
    /// Whose part this is.
    whole: OnceLock<Arc<Self>>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    wakers: HashMap<u64, Waker>,
    parts: Vec<Weak<Signal>>,
}

impl Waiting {
    fn new_key(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Signal {
    fn reached(&self, wanted: Phase) -> bool {
        self.phase.load(Ordering::Acquire) >= wanted as u8
    }

    fn lets_go(&self) -> bool {
        let fades = self.reached(Phase::Draining) || self.fading.takes(fastrand::f64);
        fades || self.whole.get().is_some_and(|whole| whole.lets_go())
    }

    fn advance(&self, to: Phase) {
        if self.phase.fetch_max(to as u8, Ordering::AcqRel) < to as u8 {
            let waiting = self.waiting();
            let wakers: Vec<Waker> = waiting.wakers.values().cloned().collect();
            let parts: Vec<_> = waiting.parts.iter().filter_map(Weak::upgrade).collect();
            drop(waiting);
            wakers.into_iter().for_each(Waker::wake);
            parts.into_iter().for_each(|part| part.advance(to));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resolves when a phase has begun.
#[derive(Debug)]
struct Reached {
    signal: Arc<Signal>,
    wanted: Phase,
    registered: Option<(u64, Waker)>,
}

impl Future for Reached {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.signal.reached(this.wanted) {
            return Poll::Ready(());
        }
        if this
            .registered
            .as_ref()
            .is_some_and(|(_, waker)| waker.will_wake(cx.waker()))
        {
            return Poll::Pending;
        }
        this.register(cx.waker());
        // A phase that began in between has woken all but us; the lock orders its store before this look.
        if this.signal.reached(this.wanted) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Reached {
    fn register(&mut self, waker: &Waker) {
        let mut waiting = self.signal.waiting();
        let key = match self.registered.take() {
            Some((key, _outdated)) => key,
            None => waiting.new_key(),
        };
        waiting.wakers.insert(key, waker.clone());
        drop(waiting);
        self.registered = Some((key, waker.clone()));
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        if let Some((key, _)) = self.registered {
            self.signal.waiting().wakers.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;

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

    #[test]
    fn a_guard_counts_with_its_clones_as_one() {
        let (drain, watch) = Drain::new();
        let guard = watch.guard();
        let clone = guard.clone();
        let _apart = watch.unguarded();
        assert_eq!(drain.busy(), 1);
        drop(guard);
        assert_eq!(drain.busy(), 1);
        drop(clone);
        assert_eq!(drain.busy(), 0);
    }

    #[tokio::test]
    async fn everybody_hears_of_each_phase_and_only_of_theirs() {
        let (drain, watch) = Drain::new();
        let draining = join_all((0..100).map(|_| watch.draining()));
        let mut forced = std::pin::pin!(join_all((0..100).map(|_| watch.forced())));
        assert!(forced.as_mut().now_or_never().is_none());
        let ((), _) = tokio::join!(async { drain.start() }, draining);
        assert!(forced.as_mut().now_or_never().is_none());
        let (_, ()) = tokio::join!(forced, async { drop(drain) });
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_ends_with_the_whole_or_alone_and_the_whole_waits_for_it() {
        let ((drain, watch), (part, of_part)) = (Drain::new(), Drain::new());
        let ((_other, of_other), (late, of_late)) = (Drain::new(), Drain::new());
        watch.adopt(&of_part);
        watch.adopt(&of_other);
        let guards = [of_part.guard(), of_other.guard(), watch.guard()];
        assert_eq!((drain.busy(), part.busy()), (3, 1));
        assert_eq!(part.end(Duration::ZERO).await, Outcome { forced: 1 });
        assert!(!of_other.is_draining() && !watch.is_draining());
        drain.start();
        of_other.draining().await;
        drop(guards);
        assert_eq!(drain.finish(Duration::ZERO).await, Outcome { forced: 0 });
        watch.adopt(&of_late);
        of_late.forced().await;
        drop(late);
    }

    #[test]
    fn a_part_lets_go_with_the_whole_and_alone() {
        let ((whole, of_whole), (part, of_part)) = (Drain::new(), Drain::new());
        of_whole.lead(&of_part);
        whole.fade(Fade::Now);
        assert!(of_part.lets_go() && of_whole.lets_go());
        whole.fade(Fade::None);
        assert!(!of_part.lets_go());
        part.fade(Fade::Now);
        assert!(of_part.lets_go() && !of_whole.lets_go());
    }

    #[tokio::test]
    async fn who_waits_can_move_to_another_task_and_leaves_nothing_behind() {
        let (drain, watch) = Drain::new();
        let mut draining = watch.draining();
        for _ in 0..3 {
            assert!((&mut draining).now_or_never().is_none());
        }
        assert_eq!(watch.signal.waiting().wakers.len(), 1);
        tokio::join!(draining, async { drain.start() });
        assert!(watch.signal.waiting().wakers.is_empty());
    }
}
