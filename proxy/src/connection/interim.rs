//! Interim (1xx) responses on their way from an upstream to the client of one request.

use std::collections::VecDeque;
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
    queue: Mutex<Queue>,
    client: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Response<()>>,
    passed: usize,
    /// Whether the client waits for `100 Continue` before it sends its body (RFC 9110 §10.1.1).
    expects_continue: bool,
}

impl Interim {
    #[allow(dead_code, reason = "for the HTTP/1 codec of our own")]
    /// For a client that said whether it waits for `100 Continue`.
    pub(crate) fn expecting_continue(expects_continue: bool) -> Self {
        let interim = Self::default();
        interim.reset(expects_continue);
        interim
    }

    #[allow(dead_code, reason = "for the exchanges that pass interim responses on")]
    /// The sink of this request, if its client can take interim responses.
    pub(crate) fn of(request: &Request<Body>) -> Option<&Self> {
        request.extensions().get().or_else(|| request.body().interim())
    }

    /// Makes it ready for the next request of the same connection.
    pub(crate) fn reset(&self, expects_continue: bool) {
        let mut queue = self.queue();
        queue.waiting.clear();
        queue.passed = 0;
        queue.expects_continue = expects_continue;
    }

    /// Passes one on. Dropped are a `100` that nobody waits for (any longer), a `101`, which is no interim response
    /// here, and what exceeds [`limits::INTERIM_RESPONSES_MAX`] for one request.
    pub(crate) fn send(&self, response: Response<()>) {
        let mut queue = self.queue();
        let wanted = match response.status() {
            StatusCode::CONTINUE => std::mem::take(&mut queue.expects_continue),
            StatusCode::SWITCHING_PROTOCOLS => false,
            status => status.is_informational(),
        };
        if wanted && queue.passed < limits::INTERIM_RESPONSES_MAX {
            queue.passed += 1;
            queue.waiting.push_back(response);
            drop(queue);
            self.shared.client.wake();
        }
    }

    /// The next one for the client. Cancel-safe; only one task may wait for it.
    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Poll<Response<()>> {
        self.shared.client.register(cx.waker());
        match self.queue().waiting.pop_front() {
            Some(response) => Poll::Ready(response),
            None => Poll::Pending,
        }
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
        let sink = Interim::expecting_continue(true);
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
