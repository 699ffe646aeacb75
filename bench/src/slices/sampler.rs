//! How much of the pods' time is idle while requests wait? Looked at again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use tidegate_activator::Revision;

use super::pods::Pod;

/// The mean pause between two looks. Each is another one: looks in step with timers would always, or never, fall into the moment
/// between two requests.
const BETWEEN_LOOKS_US: u64 = 1_000;

/// An activator's requests, and its pods.
pub(super) struct Slice {
    /// Where requests wait; none where they wait at their pods.
    pub(super) revision: Option<Arc<Revision>>,
    pub(super) pods: Vec<Arc<Pod>>,
}

/// Pod time while requests waited.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Idle {
    all: Duration,
    idle: Duration,
}

impl Idle {
    fn add(&mut self, pods: &[Arc<Pod>], lasted: Duration) {
        let idle = pods.iter().filter(|pod| pod.is_idle()).count();
        self.all += lasted * u32::try_from(pods.len()).unwrap_or(u32::MAX);
        self.idle += lasted * u32::try_from(idle).unwrap_or(u32::MAX);
    }

    pub(super) fn pod_seconds(&self) -> f64 {
        self.all.as_secs_f64()
    }

    pub(super) fn idle_seconds(&self) -> f64 {
        self.idle.as_secs_f64()
    }

    /// Which part of it was idle.
    pub(super) fn share(&self) -> f64 {
        if self.all.is_zero() {
            return 0.0;
        }
        self.idle_seconds() / self.pod_seconds()
    }
}

/// Looks until it is told to stop: over each slice by itself, and over all pods. Blocks its thread.
pub(super) fn run(slices: &[Slice], pods: &[Arc<Pod>], stop: &AtomicBool) -> (Idle, Idle) {
    let (mut own, mut all) = (Idle::default(), Idle::default());
    let mut before = Instant::now();
    while !stop.load(SeqCst) {
        let pause = BETWEEN_LOOKS_US / 2 + fastrand::u64(..BETWEEN_LOOKS_US);
        thread::park_timeout(Duration::from_micros(pause));
        let now = Instant::now();
        let lasted = now - std::mem::replace(&mut before, now);
        let mut anybody = pods.iter().any(|pod| pod.queued() > 0);
        for slice in slices {
            if slice
                .revision
                .as_ref()
                .is_some_and(|revision| revision.parked() > 0)
            {
                anybody = true;
                own.add(&slice.pods, lasted);
            }
        }
        if anybody {
            all.add(pods, lasted);
        }
    }
    (own, all)
}
