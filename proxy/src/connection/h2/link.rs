//! What the two directions of one HTTP/2 stream know of each other.

use std::future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

/// Shared by a stream's request body, which whoever reads it carries away, and its response.
#[derive(Debug)]
pub(super) struct Link {
    began: Instant,
    /// When a byte moved last, in either direction, in milliseconds after the beginning.
    moved_ms: AtomicU64,
    /// Whether the head of the response has been sent.
    responding: AtomicBool,
    /// Whether the response has ended.
    answered: AtomicBool,
    body: AtomicWaker,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            moved_ms: AtomicU64::new(0),
            responding: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            body: AtomicWaker::new(),
        }
    }

    /// When the head of the request had come.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Notes that bytes have moved.
    pub(super) fn moved(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(now, Ordering::Relaxed);
    }

    /// When bytes have moved last.
    pub(super) fn last_moved(&self) -> Instant {
        self.began + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed))
    }

    /// Resolves when nothing has moved for so long; never without a limit. Cancel-safe.
    pub(super) async fn idle(&self, limit: Option<Duration>) {
        let Some(limit) = limit else {
            return future::pending().await;
        };
        loop {
            let end = self.last_moved() + limit;
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
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
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_idle_when_nothing_has_moved_for_the_whole_time() {
        let (link, limit) = (Link::new(), Duration::from_secs(10));
        let almost = Duration::from_secs(9);
        for _moved in 0..3 {
            let idle = tokio::time::timeout(almost, link.idle(Some(limit))).await;
            assert!(idle.is_err());
            link.moved();
        }
        let since = Instant::now();
        link.idle(Some(limit)).await;
        assert_eq!(since.elapsed().as_secs(), 10);
    }
}
