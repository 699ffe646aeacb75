//! How long may nothing of a request move, and how does its codec end it?

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::error::{Error, Kind};

/// What a codec and the request that it has handed on know of each other: the codec sees bytes move and has the clock,
/// the request knows its route, and is accounted for where it is answered.
#[derive(Debug)]
pub(crate) struct Patience {
    /// In nanoseconds; zero is no end.
    idle: AtomicU64,
    end: OnceLock<Kind>,
}

impl Patience {
    pub(crate) fn new(idle: Option<Duration>) -> Self {
        Self {
            idle: AtomicU64::new(nanos(idle.unwrap_or_default())),
            end: OnceLock::new(),
        }
    }

    /// How long nothing may move; none for ever.
    pub(crate) fn idle(&self) -> Option<Duration> {
        match self.idle.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Waits as long as the route says, not the listener; zero is for ever.
    pub(crate) fn follow(&self, idle: Duration) {
        self.idle.store(nanos(idle), Ordering::Relaxed);
    }

    /// Ends a request that is not answered yet. Whoever waits in [`Patience::heed`], in the task of `cx`, gives it up.
    pub(super) fn end(&self, kind: Kind, cx: &Context<'_>) {
        if self.end.set(kind).is_ok() {
            cx.waker().wake_by_ref();
        }
    }

    /// The output of `future`, or why the codec ended the request before. Cancel-safe if `future` is.
    pub(crate) fn heed<T>(
        &self,
        mut future: Pin<&mut impl Future<Output = Result<T, Error>>>,
    ) -> impl Future<Output = Result<T, Error>> {
        // No async fn, which would hold them twice.
        poll_fn(move |cx| match self.end.get() {
            Some(kind) => Poll::Ready(Err(Error::new(*kind))),
            None => future.as_mut().poll(cx),
        })
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
