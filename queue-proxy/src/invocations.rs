//! How long did the application take, and how many requests were there, for whoever scrapes that?
//!
//! As Knative measures it: without the wait for a place, without probes, by status (Knative `pkg/queue/request_metric.go`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::program::env::Identity;

mod prometheus;

/// The upper ends of the buckets, in seconds.
const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// What a replica's invocations took, counted by each worker for itself.
#[derive(Debug)]
pub struct Invocations {
    identity: Identity,
    workers: Box<[Tally]>,
    next: AtomicUsize,
    /// How many held or waited for a place when the last one was sent on; none where there is no limit, or was no request.
    depth: AtomicUsize,
}

/// No depth is this large.
const NO_DEPTH: usize = usize::MAX;

/// What one worker counts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    // Taken by one worker for each of its requests, and by who scrapes: next to never contended.
    by_status: Arc<Mutex<Vec<(u16, Histogram)>>>,
}

/// Durations of one status.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Histogram {
    /// How many fell into each bucket, and beyond the last.
    counts: [u64; BUCKETS.len() + 1],
    sum: Duration,
}

/// An invocation that is under way; counts when it is dropped.
#[derive(Debug)]
pub struct Invocation {
    tally: Tally,
    began: Instant,
    status: u16,
}

impl Invocations {
    /// Of the replica of `identity`, by so many workers.
    #[must_use]
    pub fn new(identity: &Identity, workers: usize) -> Arc<Self> {
        Arc::new(Self {
            identity: identity.clone(),
            workers: (0..workers.max(1)).map(|_| Tally::default()).collect(),
            next: AtomicUsize::new(0),
            depth: AtomicUsize::new(NO_DEPTH),
        })
    }

    /// The part of a worker that begins.
    pub fn of_next_worker(&self) -> Option<Tally> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.workers.get(next % self.workers.len()).cloned()
    }

    /// How many requests hold or wait for a place now.
    pub fn note_depth(&self, depth: usize) {
        self.depth.store(depth, Ordering::Relaxed);
    }

    /// All of it as Prometheus reads it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut all: Vec<(u16, Histogram)> = Vec::new();
        for tally in &self.workers {
            for (status, histogram) in &*tally.by_status() {
                of_status(&mut all, *status).add(histogram);
            }
        }
        all.sort_unstable_by_key(|(status, _)| *status);
        let depth = self.depth.load(Ordering::Relaxed);
        prometheus::text(&self.identity, &all, (depth != NO_DEPTH).then_some(depth))
    }
}

impl Tally {
    /// An invocation that begins. What never gets an answer counts as a timeout.
    #[must_use]
    pub fn begin(&self) -> Invocation {
        Invocation {
            tally: self.clone(),
            began: Instant::now(),
            status: 504,
        }
    }

    fn by_status(&self) -> MutexGuard<'_, Vec<(u16, Histogram)>> {
        self.by_status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Invocation {
    /// The application answered, or the sidecar in its place.
    pub fn answered(&mut self, status: u16) {
        self.status = status;
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        of_status(&mut self.tally.by_status(), self.status).record(took);
    }
}

/// The histogram of a status. There are few statuses, so they are looked through.
fn of_status(all: &mut Vec<(u16, Histogram)>, status: u16) -> &mut Histogram {
    let place = all.iter().position(|(of, _)| *of == status).unwrap_or_else(|| {
        all.push((status, Histogram::default()));
        all.len() - 1
    });
    #[expect(clippy::indexing_slicing, reason = "the place was found, or made just now")]
    &mut all[place].1
}

impl Histogram {
    fn record(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS
            .iter()
            .position(|end| seconds <= *end)
            .unwrap_or(BUCKETS.len());
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += took;
    }

    fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }
}
