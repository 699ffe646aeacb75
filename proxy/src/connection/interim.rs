//! Interim (1xx) responses on their way from an upstream to the client of one request.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use http::{Request, Response, StatusCode};

use crate::body::Body;
use crate::config::limits;

/// Where an upstream's interim responses go. Clones are handles to the same client.
///
/// It travels with the request: with its body, and in its extensions where a layer may have replaced that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interim {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Whether something waits in the queue.
    busy: AtomicBool,
    /// Whether the client waits for `100 Continue` before it sends its body (RFC 9110 §10.1.1).
    expecting: AtomicBool,
    /// Whether the upstream has sent one.
    heard: AtomicBool,
    queue: Mutex<Queue>,
    client: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Response<()>>,
    passed: usize,
}

impl Interim {
    /// The sink of this request, if its client can take interim responses.
    pub(crate) fn of(request: &Request<Body>) -> Option<&Self> {
        request.extensions().get().or_else(|| request.body().interim())
    }

    /// Makes it ready for the next request of the same connection.
    ///
    /// Whoever still holds a handle to the last one can no longer reach the client.
    pub(crate) fn reset(&mut self, expects_continue: bool) {
        let shared = Shared {
            expecting: AtomicBool::new(expects_continue),
            ..Shared::default()
        };
        match Arc::get_mut(&mut self.shared) {
            Some(alone) => *alone = shared,
            None => self.shared = Arc::new(shared),
        }
    }

    /// Whether the client still waits for `100 Continue`.
    pub(crate) fn is_expecting(&self) -> bool {
        self.shared.expecting.load(Ordering::Acquire)
    }

    /// The client does not wait for `100 Continue` any more: it has begun to send.
    pub(crate) fn expect_nothing(&self) {
        self.shared.expecting.store(false, Ordering::Release);
    }

    /// Tells the client to send its body, if it waits for that.
    pub(crate) fn send_continue(&self) {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::CONTINUE;
        self.send(response);
    }

    /// Whether the upstream has sent an interim response, passed on or not.
    pub(crate) fn is_heard(&self) -> bool {
        self.shared.heard.load(Ordering::Acquire)
    }

    /// Passes one of the upstream's on.
    pub(crate) fn pass_on(&self, response: Response<()>) {
        self.shared.heard.store(true, Ordering::Release);
        self.send(response);
    }

    /// Passes one on. Dropped are a `100` that nobody waits for (any longer), a `101`, which is no interim response
    /// here, and what exceeds [`limits::INTERIM_RESPONSES_MAX`] for one request.
    pub(crate) fn send(&self, response: Response<()>) {
        let mut queue = self.queue();
        let wanted = match response.status() {
            StatusCode::CONTINUE => self.shared.expecting.swap(false, Ordering::AcqRel),
            StatusCode::SWITCHING_PROTOCOLS => false,
            status => status.is_informational(),
        };
        if wanted && queue.passed < limits::INTERIM_RESPONSES_MAX {
            queue.passed += 1;
            queue.waiting.push_back(response);
            self.shared.busy.store(true, Ordering::Release);
            drop(queue);
            self.shared.client.wake();
        }
    }

    /// The next one for the client. Cancel-safe; only one task may wait for it.
    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Poll<Response<()>> {
        self.shared.client.register(cx.waker());
        self.take_next().map_or(Poll::Pending, Poll::Ready)
    }

    /// The next one that is there. Takes no lock while there is none.
    pub(crate) fn take_next(&self) -> Option<Response<()>> {
        if !self.shared.busy.load(Ordering::Acquire) {
            return None;
        }
        let mut queue = self.queue();
        let next = queue.waiting.pop_front();
        self.shared
            .busy
            .store(!queue.waiting.is_empty(), Ordering::Release);
        next
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;

    use super::*;

    fn interim(status: u16) -> Response<()> {
        Response::builder().status(status).body(()).unwrap()
    }

    fn passed(sink: &Interim) -> Vec<u16> {
        let next = || poll_fn(|cx| sink.poll_next(cx)).now_or_never();
        std::iter::from_fn(next)
            .map(|response| response.status().as_u16())
            .collect()
    }

    #[test]
    fn a_continue_passes_once_and_only_to_who_waits_for_it() {
        let mut sink = Interim::default();
        sink.reset(true);
        [100, 103, 100]
            .into_iter()
            .for_each(|status| sink.send(interim(status)));
        assert_eq!(passed(&sink), [100, 103]);
        sink.reset(false);
        [100, 102, 101, 200]
            .into_iter()
            .for_each(|status| sink.send(interim(status)));
        assert_eq!(passed(&sink), [102]);
    }

    #[test]
    fn a_flood_is_cut() {
        let sink = Interim::default();
        for _ in 0..2 * limits::INTERIM_RESPONSES_MAX {
            sink.send(interim(103));
            passed(&sink);
        }
        assert_eq!(sink.queue().passed, limits::INTERIM_RESPONSES_MAX);
    }
}
