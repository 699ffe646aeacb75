//! How tasks and worker threads are started: the only place that spawns.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! use std::sync::Arc;
//! use tidegate_proxy::process::Workers;
//!
//! let served = Arc::new(AtomicUsize::new(0));
//! let seen = Arc::clone(&served);
//! // One thread and one runtime for each; here acceptors would be served until the drain is over.
//! let workers = Workers::start(NonZeroUsize::MIN.saturating_add(1), move |_index| {
//!     let served = Arc::clone(&served);
//!     async move { _ = served.fetch_add(1, Ordering::Relaxed) }
//! })?;
//! assert_eq!(workers.join(), 0, "no worker panicked");
//! assert_eq!(seen.load(Ordering::Relaxed), 2);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread;

use pin_project_lite::pin_project;
use tokio::runtime;
use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::clock;
use crate::drain::Guard;

mod quota;
mod way;

pub use way::{give_way, step_back};

/// Starts a task that has a name, an owner (whoever keeps the handle or the guard's drain) and a drain guard.
///
/// The guard is dropped when the task ends, however it ends.
pub fn spawn<F>(name: &'static str, guard: Guard, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let task = Task {
        future,
        guard: Some(guard),
    };
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
    tokio::spawn(task.instrument(tracing::trace_span!("task", name)))
}

pin_project! {
    /// A future and its guard. An async block would hold the future twice, and there is a task for each connection.
    struct Task<F> {
        #[pin]
        future: F,
        guard: Option<Guard>,
    }
}

impl<F: Future> Future for Task<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _turn = clock::turn();
        let this = self.project();
        let output = ready!(this.future.poll(cx));
        drop(this.guard.take());
        Poll::Ready(output)
    }
}

/// Starts a thread that has a name, for work that may block; its owner keeps the handle and joins it.
///
/// # Errors
/// When the system refuses a thread.
pub fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// How many workers carry traffic by default: one for each core that the process may use. A quota (cgroups of either version) counts
/// rounded up.
#[must_use]
pub fn default_workers() -> NonZeroUsize {
    quota::cores()
}

/// The threads that carry traffic: each a single-threaded runtime of its own.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<thread::JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads and runs on each the future that `make` returns there.
    ///
    /// A worker ends when its future does; what that future spawned ends with it.
    ///
    /// # Errors
    /// When the system refuses a thread or a runtime.
    pub fn start<M, F>(count: NonZeroUsize, make: M) -> io::Result<Self>
    where
        M: Fn(usize) -> F + Clone + Send + 'static,
        F: Future<Output = ()>,
    {
        let threads = (0..count.get()).map(|index| {
            let make = make.clone();
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || runtime.block_on(make(index)))
        });
        Ok(Self {
            threads: threads.collect::<io::Result<_>>()?,
        })
    }

    /// Waits until every worker has ended; says how many ended by a panic.
    #[must_use]
    pub fn join(self) -> usize {
        self.threads
            .into_iter()
            .filter_map(|thread| thread.join().err())
            .count()
    }
}
