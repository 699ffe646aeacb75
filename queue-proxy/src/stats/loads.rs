//! How is the load of one replica counted by several workers?

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_knative::stat::Stat;

use super::{Origin, RequestStats};

/// The load of a replica, counted by each worker for itself.
#[derive(Debug)]
pub struct Loads {
    pod_name: String,
    workers: Box<[Load]>,
    next: AtomicUsize,
}

/// What one worker counts.
#[derive(Clone, Debug)]
pub struct Load {
    // Taken by one worker for each of its requests, and by the reporter once a second: next to never contended.
    stats: Arc<Mutex<RequestStats>>,
}

/// A request that counts until it is dropped.
#[derive(Debug)]
pub struct Arrived {
    load: Load,
    origin: Origin,
}

impl Loads {
    /// For so many workers.
    #[must_use]
    pub fn new(pod_name: &str, workers: usize, now: Instant) -> Self {
        let load = || Load {
            stats: Arc::new(Mutex::new(RequestStats::new(pod_name, now))),
        };
        Self {
            pod_name: pod_name.to_owned(),
            workers: (0..workers.max(1)).map(|_| load()).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// The part of a worker that begins.
    pub fn of_next_worker(&self) -> Option<Load> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.workers.get(next % self.workers.len()).cloned()
    }

    /// What a replica reports that has counted nothing yet.
    #[must_use]
    pub fn nothing(&self) -> Stat {
        Stat {
            pod_name: self.pod_name.clone(),
            ..Stat::default()
        }
    }

    /// The report of all workers at the end of a `period`; what is counted begins anew.
    pub fn report(&self, now: Instant, period: Duration) -> Stat {
        let reports = self.workers.iter().map(|load| load.stats().report(now, period));
        reports
            .reduce(|sum, one| Stat {
                average_concurrent_requests: sum.average_concurrent_requests
                    + one.average_concurrent_requests,
                average_proxied_concurrent_requests: sum.average_proxied_concurrent_requests
                    + one.average_proxied_concurrent_requests,
                request_count: sum.request_count + one.request_count,
                proxied_request_count: sum.proxied_request_count + one.proxied_request_count,
                ..sum
            })
            .unwrap_or_else(|| self.nothing())
    }
}

impl Load {
    /// A request arrived.
    #[must_use]
    pub fn arrive(&self, origin: Origin) -> Arrived {
        self.stats().arrived(Instant::now(), origin);
        Arrived {
            load: self.clone(),
            origin,
        }
    }

    fn stats(&self) -> MutexGuard<'_, RequestStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        self.load.stats().ended(Instant::now(), self.origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qp_17_the_workers_report_together_under_the_name_of_the_pod() {
        let began = Instant::now();
        let loads = Loads::new("hello-00001-abc", 2, began);
        let workers: Vec<_> = (0..2).filter_map(|_| loads.of_next_worker()).collect();
        let held: Vec<_> = workers.iter().map(|load| load.arrive(Origin::Direct)).collect();
        let proxied = workers.first().map(|load| load.arrive(Origin::Activator));
        let second = Duration::from_secs(1);
        let stat = loads.report(began + second, second);
        assert_eq!(stat.pod_name, "hello-00001-abc");
        assert_eq!((stat.request_count, stat.proxied_request_count), (3.0, 1.0));
        drop((held, proxied));
        loads.report(began + second * 2, second);
        let idle = loads.report(began + second * 3, second);
        assert_eq!((idle.average_concurrent_requests, idle.request_count), (0.0, 0.0));
        assert_eq!(idle.process_uptime, 3.0);
    }
}
