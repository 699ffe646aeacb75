//! What happens to one revision from its first reported load to its replica count?

use std::time::Duration;

use tidegate_knative::autoscaling::{Aggregation, AutoscalerConfig, Metric, ScaleAnnotations};

use crate::limits::TICK;
use crate::{
    ActivatorPath, Activity, BurstCapacity, Decider, DeciderSpec, Decision, Observation, Reachability,
    ScaleFacts, Scaler, ScalerSpec, Time, Window, panic_window,
};

#[cfg(test)]
mod tests;

/// What a revision is scaled by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoadMetric {
    /// Requests at a time. The default.
    #[default]
    Concurrency,
    /// Requests that arrive per second.
    RequestsPerSecond,
}

/// The load of a revision over the last second, as its reporters saw it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Load {
    /// Mean number of requests at a time, those that wait included.
    pub concurrency: f64,
    /// Requests that arrived, per second.
    pub requests_per_second: f64,
}

/// Everything about the scaling of one revision that is configured.
#[derive(Debug, Clone, PartialEq)]
pub struct RevisionSpec {
    /// What it is scaled by. Read once, when the revision is made.
    pub metric: LoadMetric,
    /// How its windows are averaged. Read once, when the revision is made.
    pub aggregation: Aggregation,
    /// Length of the panic window.
    pub panic_window: Duration,
    /// How load becomes a desired count.
    pub decider: DeciderSpec,
    /// How a desired count becomes replicas.
    pub scaler: ScalerSpec,
}

impl RevisionSpec {
    /// What configuration and annotations say. A `container_concurrency` of 0 means no limit;
    /// `progress_deadline` is that of [`ScalerSpec::new`].
    pub fn new(
        config: &AutoscalerConfig,
        annotations: &ScaleAnnotations,
        container_concurrency: u32,
        progress_deadline: Duration,
    ) -> Self {
        let decider = DeciderSpec::new(config, annotations, container_concurrency);
        let panic_percentage = annotations
            .panic_window_percentage
            .unwrap_or(config.panic_window_percentage);
        Self {
            metric: match annotations.metric {
                Some(Metric::Rps) => LoadMetric::RequestsPerSecond,
                _ => LoadMetric::Concurrency,
            },
            aggregation: annotations.aggregation.unwrap_or_default(),
            panic_window: panic_window(decider.stable_window, panic_percentage),
            decider,
            scaler: ScalerSpec::new(config, annotations, progress_deadline),
        }
    }
}

/// What a tick came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tick {
    /// Replicas that should exist now: start or stop until so many do.
    pub replicas: u32,
    /// Whether the revision serves.
    pub activity: Activity,
    /// The latest decision; that of an earlier tick while there is no data.
    pub decision: Decision,
    /// Whether the decision differs from that before in a way that others should hear of
    /// ([`Decision::is_news_after`]).
    pub is_news: bool,
}

/// One revision under the autoscaler: its windows, its decider and its scaler.
///
/// A shell calls [`record`](Self::record) with every report of load (once per second of its clock; 0 while
/// nothing runs, for silence means "no data" and changes nothing), and [`tick`](Self::tick) whenever
/// [`next_wakeup`](Self::next_wakeup) has come.
#[derive(Debug, Clone)]
pub struct Revision {
    spec: RevisionSpec,
    stable: Window,
    panic: Window,
    decider: Decider,
    scaler: Scaler,
    reachability: Reachability,
    path: ActivatorPath,
    decision: Decision,
    next_wakeup: Time,
}

impl Revision {
    /// A new revision without replicas, reachable, with an activator in its path from `now` on. It wants its
    /// first tick at once.
    pub fn new(spec: RevisionSpec, now: Time) -> Self {
        Self {
            stable: Window::new(spec.decider.stable_window, spec.aggregation),
            panic: Window::new(spec.panic_window, spec.aggregation),
            decider: Decider::new(spec.decider.clone(), now, 0),
            decision: Decision::initial(&spec.decider, spec.scaler.initial_scale),
            scaler: Scaler::new(spec.scaler.clone(), now),
            reachability: Reachability::default(),
            path: ActivatorPath::Confirmed { since: now },
            next_wakeup: now,
            spec,
        }
    }

    /// Adds a report of the second that `at` lies in; several reports of a second add up.
    ///
    /// Load on a revision that last wanted no replica brings the next wake-up forward to `at`.
    pub fn record(&mut self, at: Time, load: Load) {
        let value = match self.spec.metric {
            LoadMetric::Concurrency => load.concurrency,
            LoadMetric::RequestsPerSecond => load.requests_per_second,
        };
        self.stable.record(at, value);
        self.panic.record(at, value);
        if load.concurrency > 0.0 && self.decision.desired.unwrap_or(0) == 0 {
            self.next_wakeup = self.next_wakeup.min(at);
        }
    }

    /// Decides anew and returns how many replicas should exist.
    pub fn tick(&mut self, now: Time, ready_pods: u32) -> Tick {
        let decision = self.decide(now, ready_pods);
        let is_news = decision.is_news_after(&self.decision);
        self.decision = decision;
        let scaled = self.scaler.reconcile(
            now,
            &ScaleFacts {
                desired: decision.desired,
                ready_pods,
                reachability: self.reachability,
                path: self.path,
            },
        );
        self.next_wakeup = now.plus(scaled.recheck_after.map_or(TICK, |recheck| recheck.min(TICK)));
        Tick {
            replicas: scaled.replicas,
            activity: self.scaler.activity(),
            decision,
            is_news,
        }
    }

    /// When the next tick is due. An earlier tick is harmless, but each may move by a full scale rate.
    pub fn next_wakeup(&self) -> Time {
        self.next_wakeup
    }

    /// Whether the revision reached its initial scale at least once.
    pub fn is_proven(&self) -> bool {
        self.scaler.is_proven()
    }

    /// Says whether a route leads here. Without one, minimum scale, retention, delay and the limit of shrinking
    /// do not hold.
    pub fn set_reachability(&mut self, reachability: Reachability) {
        self.reachability = reachability;
    }

    /// Says where requests go while the revision is inactive.
    pub fn set_activator_path(&mut self, path: ActivatorPath) {
        self.path = path;
    }

    /// Uses `spec` from the next tick on. Windows keep the newest seconds that fit.
    pub fn update(&mut self, now: Time, spec: RevisionSpec) {
        self.stable.resize(now, spec.decider.stable_window);
        self.panic.resize(now, spec.panic_window);
        self.decider.update(spec.decider.clone());
        self.scaler.update(spec.scaler.clone());
        self.spec = RevisionSpec {
            metric: self.spec.metric,
            aggregation: self.spec.aggregation,
            ..spec
        };
    }

    /// The decision of this moment, or the one before if there is no data. With an unlimited burst capacity
    /// nobody asks the replicas for their load, so silence means none.
    fn decide(&mut self, now: Time, ready_pods: u32) -> Decision {
        let is_silence_no_load = self.spec.decider.burst_capacity == BurstCapacity::Unlimited;
        if self.stable.is_empty(now) && !is_silence_no_load {
            return self.decision;
        }
        let seen = Observation {
            ready_pods,
            stable: self.stable.average(now),
            panic: self.panic.average(now),
            reachability: self.reachability,
        };
        self.decider.decide(now, &seen)
    }
}
