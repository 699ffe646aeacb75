//! What does the autoscaler learn about the requests that come, wait and go here?
//!
//! The first request of a revision without load is reported at once: it starts the first replica. From then on the
//! mean of each [`REPORT_INTERVAL`] is reported, until a period without any load has been.

pub(crate) mod load;

use std::{fmt, sync::Arc, time::Instant};

use tidegate_knative::stat::Stat;
use tokio::time::{MissedTickBehavior, interval_at};

use crate::{limits::REPORT_INTERVAL, registry::Registry, reporter::load::Period, throttle::Revision};

/// Who hears about load. Called from request handling: it must neither block nor panic.
pub trait StatSink: Send + Sync {
    /// A report about `revision`.
    fn stat(&self, revision: &Arc<Revision>, stat: Stat);

    /// The reports of one period about all revisions that have, or just had, load.
    fn batch(&self, stats: Vec<(Arc<Revision>, Stat)>) {
        for (revision, stat) in stats {
            self.stat(&revision, stat);
        }
    }
}

impl<F: Fn(&Arc<Revision>, Stat) + Send + Sync> StatSink for F {
    fn stat(&self, revision: &Arc<Revision>, stat: Stat) {
        self(revision, stat);
    }
}

/// Reports the load of all revisions of a [`Registry`].
pub struct Reporter {
    registry: Arc<Registry>,
    pod_name: String,
    sink: Box<dyn StatSink>,
}

/// One request that counts as load, from its arrival until this is dropped.
#[derive(Debug)]
pub(crate) struct Arrival(Arc<Revision>);

impl Reporter {
    /// Reports to `sink`, under `pod_name`. Spawn [`run`](Self::run), or call [`tick`](Self::tick) once a second.
    #[must_use]
    pub fn new(
        registry: Arc<Registry>,
        pod_name: impl Into<String>,
        sink: impl StatSink + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            registry,
            pod_name: pod_name.into(),
            sink: Box::new(sink),
        })
    }

    /// Reports each [`REPORT_INTERVAL`], forever. Cancel-safe: a period that was not reported is part of the next.
    pub async fn run(&self) {
        let mut ticks = interval_at(tokio::time::Instant::now() + REPORT_INTERVAL, REPORT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            self.tick(now.into_std());
        }
    }

    /// Ends the period and reports it, for each revision that has, or just had, load.
    pub fn tick(&self, now: Instant) {
        let stats: Vec<_> = self
            .registry
            .revisions()
            .into_iter()
            .filter_map(|revision| {
                let period = revision.load().report(now)?;
                Some((revision, self.stat(period)))
            })
            .collect();
        if !stats.is_empty() {
            self.sink.batch(stats);
        }
    }

    pub(crate) fn arrive(&self, revision: &Arc<Revision>, now: Instant) -> Arrival {
        let poke = revision.load().arrive(now);
        let arrival = Arrival(Arc::clone(revision));
        if let Some(period) = poke {
            self.sink.stat(revision, self.stat(period));
        }
        arrival
    }

    fn stat(&self, period: Period) -> Stat {
        Stat {
            pod_name: self.pod_name.clone(),
            average_concurrent_requests: period.average,
            request_count: period.count,
            ..Stat::default()
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("pod_name", &self.pod_name)
            .finish_non_exhaustive()
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.0.load().depart(Instant::now());
    }
}

#[cfg(test)]
mod tests;
