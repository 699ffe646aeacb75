//! What the two directions of one HTTP/2 stream know of each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use crate::clock;
use crate::config::limits;
use crate::connection::Patience;
use crate::connection::alarm::Alarm;
use crate::error::Kind;

/// Shared by a stream's request body, which whoever reads it carries away, and its response.
#[derive(Debug)]
pub(super) struct Link {
    began: Instant,
    /// When a byte moved last, in either direction, in milliseconds after the beginning.
    moved_ms: AtomicU64,
    /// Whether the head of the response has been sent.
    responding: AtomicBool,
    /// Whether somebody waits for more of the request.
    awaited: AtomicBool,
    /// Whether the response has ended.
    answered: AtomicBool,
    /// Whether it has lasted so long that its timers are worth their while.
    grown: AtomicBool,
    /// Who sends the response.
    task: AtomicWaker,
    body: AtomicWaker,
    patience: Patience,
}

impl Link {
    /// A stream of which nothing may move for `idle` at most, or for ever.
    pub(super) fn new(idle: Option<Duration>) -> Self {
        Self {
            began: clock::now(),
            moved_ms: AtomicU64::new(0),
            responding: AtomicBool::new(false),
            awaited: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            grown: AtomicBool::new(false),
            task: AtomicWaker::new(),
            body: AtomicWaker::new(),
            patience: Patience::new(idle),
        }
    }

    /// When the head of the request had come.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Notes that bytes have moved.
    pub(super) fn moved(&self) {
        let now = u64::try_from(clock::now().duration_since(self.began).as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(now, Ordering::Relaxed);
    }

    /// When bytes have moved last.
    pub(super) fn last_moved(&self) -> Instant {
        self.began + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed))
    }

    /// What its request knows of how long that may be.
    pub(super) fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Ready when nothing has moved for too long.
    pub(super) fn poll_idle(&self, cx: &mut Context<'_>, alarm: &mut Alarm) -> Poll<()> {
        self.poll_idle_since(cx, alarm, self.began)
    }

    /// Ends the request when nothing has moved for too long before its response, unless somebody waits for its body: he
    /// has a deadline for that, and says what is wrong. `since` is when that was last so.
    pub(super) fn poll_unanswered(&self, cx: &mut Context<'_>, alarm: &mut Alarm, since: &mut Instant) {
        while self.poll_idle_since(cx, alarm, *since).is_ready() {
            if !self.awaited.load(Ordering::Relaxed) {
                return self.patience.end(Kind::IdleTimeout, cx);
            }
            *since = clock::now();
        }
    }

    fn poll_idle_since(&self, cx: &mut Context<'_>, alarm: &mut Alarm, since: Instant) -> Poll<()> {
        let Some(limit) = self.patience.idle() else {
            return Poll::Pending;
        };
        let mut end = self.last_moved().max(since) + limit;
        while end > clock::now() {
            if self.is_young(end) {
                self.task.register(cx.waker());
                // It may have grown up meanwhile.
                if self.is_young(end) {
                    return Poll::Pending;
                }
            }
            ready!(alarm.poll(cx, end));
            let anew = self.last_moved().max(since) + limit;
            if anew <= end {
                break;
            }
            end = anew;
        }
        Poll::Ready(())
    }

    /// Whether nobody has to set a timer for `deadline` yet: whoever is registered here is woken in time.
    pub(super) fn is_young(&self, deadline: Instant) -> bool {
        !self.grown.load(Ordering::Acquire) && deadline >= self.began + limits::H2_STREAM_YOUTH * 4
    }

    /// Has both directions set the timers that they need.
    pub(super) fn grow_up(&self) {
        self.grown.store(true, Ordering::Release);
        self.task.wake();
        self.body.wake();
    }

    /// Notes whether somebody waits for more of the request.
    pub(super) fn awaits(&self, awaited: bool) {
        self.awaited.store(awaited, Ordering::Relaxed);
    }

    /// Notes that the response has begun, from when on it may be idle.
    pub(super) fn respond(&self) {
        self.moved();
        self.responding.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_responding(&self) -> bool {
        self.responding.load(Ordering::Relaxed)
    }

    /// Notes that the response has ended, and tells whoever waits for more of the request.
    pub(super) fn answer(&self) {
        self.answered.store(true, Ordering::Release);
        self.body.wake();
    }

    /// Whether the response has ended; whoever asks is woken when it does.
    pub(super) fn is_answered(&self, cx: &Context<'_>) -> bool {
        self.body.register(cx.waker());
        self.answered.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_young_stream_sets_no_timer() {
        let limit = limits::H2_STREAM_YOUTH * 4;
        let (link, mut alarm) = (Link::new(Some(limit)), Alarm::default());
        let since = Instant::now();
        // It is looked at when somebody else's timer fires, and not before.
        let idle = poll_fn(|cx| link.poll_idle(cx, &mut alarm));
        assert!(tokio::time::timeout(2 * limit, idle).await.is_ok());
        assert_eq!(since.elapsed().as_secs(), 2 * limit.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_idle_when_nothing_has_moved_for_the_whole_time() {
        let limit = Duration::from_secs(10);
        let (link, mut alarm) = (Link::new(Some(limit)), Alarm::default());
        link.grow_up();
        let mut idle = async || poll_fn(|cx| link.poll_idle(cx, &mut alarm)).await;
        let almost = Duration::from_secs(9);
        for _moved in 0..3 {
            let idle = tokio::time::timeout(almost, idle()).await;
            assert!(idle.is_err());
            link.moved();
        }
        let since = Instant::now();
        idle().await;
        assert_eq!(since.elapsed().as_secs(), 10);
    }
}
