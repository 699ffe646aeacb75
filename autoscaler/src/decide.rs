//! How many replicas does the load call for?
//!
//! One evaluation of the KPA: two averages in, a desired count out, with the memory that this needs: whether the
//! revision panics, the most replicas of this panic, and the decisions of the scale-down delay.

use std::time::Duration;

use tidegate_knative::autoscaling::{AutoscalerConfig, BURST_CAPACITY_UNLIMITED, ScaleAnnotations};

use crate::{DelayWindow, Target, Time};

#[cfg(test)]
mod tests;

/// How large a burst the replicas must be able to take before requests may bypass the activator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BurstCapacity {
    /// No replicas suffice: the activator stays in the path (`target-burst-capacity: -1`).
    Unlimited,
    /// So many requests at a time; with 0 the activator leaves as soon as there is a replica.
    Requests(f64),
}

impl From<f64> for BurstCapacity {
    fn from(value: f64) -> Self {
        if value <= BURST_CAPACITY_UNLIMITED {
            Self::Unlimited
        } else {
            Self::Requests(value.max(0.0))
        }
    }
}

/// Whether any route leads to a revision. One of which this is not known yet counts as reachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reachability {
    /// Some route may send it requests.
    #[default]
    Reachable,
    /// No route names it: nothing but requests that still run keeps its replicas.
    Unreachable,
}

/// What the decisions of one revision depend on. Fixed numbers of the configuration, no state.
#[derive(Debug, Clone, PartialEq)]
pub struct DeciderSpec {
    /// Load per replica.
    pub target: Target,
    /// What must remain free before requests bypass the activator.
    pub burst_capacity: BurstCapacity,
    /// The most by which one decision multiplies replicas; above 1.
    pub max_scale_up_rate: f64,
    /// The most by which one decision divides replicas; above 1.
    pub max_scale_down_rate: f64,
    /// Multiple of the ready replicas at which the panic window's demand begins a panic.
    pub panic_threshold: f64,
    /// How long a panic lasts after its last reason.
    pub stable_window: Duration,
    /// How long replicas stay after the demand for them; zero means not at all. Read once, when the decider is
    /// made, as Knative does.
    pub scale_down_delay: Duration,
    /// Replicas at least while there is any load; 0 and 1 mean no such minimum.
    pub activation_scale: u32,
}

impl DeciderSpec {
    /// What configuration and annotations say. A `container_concurrency` of 0 means no limit.
    pub fn new(
        config: &AutoscalerConfig,
        annotations: &ScaleAnnotations,
        container_concurrency: u32,
    ) -> Self {
        let burst_capacity = annotations
            .target_burst_capacity
            .unwrap_or(config.target_burst_capacity);
        let panic_percentage = annotations
            .panic_threshold_percentage
            .unwrap_or(config.panic_threshold_percentage);
        Self {
            target: Target::resolve(config, annotations, container_concurrency),
            burst_capacity: burst_capacity.into(),
            max_scale_up_rate: config.max_scale_up_rate,
            max_scale_down_rate: config.max_scale_down_rate,
            panic_threshold: panic_percentage / 100.0,
            stable_window: annotations.window.unwrap_or(config.stable_window),
            scale_down_delay: annotations.scale_down_delay.unwrap_or(config.scale_down_delay),
            activation_scale: annotations.activation_scale.unwrap_or(0),
        }
    }
}

/// What an evaluation sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Replicas that passed their probe. Rates treat none as one; the burst capacity does not.
    pub ready_pods: u32,
    /// Average of the metric over the stable window.
    pub stable: f64,
    /// Average of the metric over the panic window.
    pub panic: f64,
    /// Whether a route leads here.
    pub reachability: Reachability,
}

/// What an evaluation came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Replicas that the load calls for, before bounds; none until there was any data.
    pub desired: Option<u32>,
    /// Capacity left beyond the burst that must be possible; below 0 the activator belongs into the path.
    pub excess_burst_capacity: i32,
    /// Whether the revision panics: it grows by the panic window and does not shrink.
    pub is_panicking: bool,
}

impl Decision {
    /// The decision before there was any data, for a revision that begins with `initial_scale` replicas.
    pub fn initial(spec: &DeciderSpec, initial_scale: u32) -> Self {
        let capacity = f64::from(initial_scale) * spec.target.total;
        let excess_burst_capacity = match spec.burst_capacity {
            BurstCapacity::Requests(burst) if burst > 0.0 => (capacity - burst) as i32,
            fixed => excess_burst_capacity(fixed, 0.0, 0.0),
        };
        Self {
            desired: None,
            excess_burst_capacity,
            is_panicking: false,
        }
    }

    /// Whether somebody should hear of this decision after `earlier`: the desired count is another, or the
    /// activator's place changed (the excess capacity's sign, where 0 counts as positive).
    pub fn is_news_after(&self, earlier: &Self) -> bool {
        let has_capacity = |decision: &Self| decision.excess_burst_capacity >= 0;
        self.desired != earlier.desired || has_capacity(self) != has_capacity(earlier)
    }
}

/// Decides for one revision, again and again.
#[derive(Debug, Clone)]
pub struct Decider {
    spec: DeciderSpec,
    panic_since: Option<Time>,
    panic_pods_max: u32,
    delay: Option<DelayWindow>,
}

impl Decider {
    /// A decider without history. If more than one replica is ready already, it begins in panic: until its
    /// windows have filled it only grows, so that a restart does not shrink a busy revision.
    pub fn new(spec: DeciderSpec, now: Time, ready_pods: u32) -> Self {
        let delay = (!spec.scale_down_delay.is_zero()).then(|| DelayWindow::new(spec.scale_down_delay));
        Self {
            spec,
            panic_since: (ready_pods > 1).then_some(now),
            panic_pods_max: ready_pods,
            delay,
        }
    }

    /// Uses `spec` from the next evaluation on; a panic goes on, and the scale-down delay stays as it was.
    pub fn update(&mut self, spec: DeciderSpec) {
        self.spec = spec;
    }

    /// Evaluates once. Each call may grow and shrink by the configured rates, so call it once per
    /// [`crate::limits::TICK`] (and once more for the first request at zero).
    pub fn decide(&mut self, now: Time, seen: &Observation) -> Decision {
        let pods = f64::from(seen.ready_pods.max(1));
        let by_stable = (seen.stable / self.spec.target.aimed).ceil();
        let by_panic = (seen.panic / self.spec.target.aimed).ceil();

        self.update_panic(now, by_panic / pods >= self.spec.panic_threshold);

        let mut desired = self.within_rates(by_stable, pods, seen.reachability);
        if self.panic_since.is_some() {
            desired = desired.max(self.within_rates(by_panic, pods, seen.reachability));
            self.panic_pods_max = self.panic_pods_max.max(desired);
            desired = self.panic_pods_max;
        }
        if let (Reachability::Reachable, Some(delay)) = (seen.reachability, &mut self.delay) {
            desired = delay.record(now, desired);
        }

        let capacity = f64::from(seen.ready_pods) * self.spec.target.total;
        Decision {
            desired: Some(desired),
            excess_burst_capacity: excess_burst_capacity(self.spec.burst_capacity, capacity, seen.panic),
            is_panicking: self.panic_since.is_some(),
        }
    }

    fn update_panic(&mut self, now: Time, is_over_threshold: bool) {
        if is_over_threshold {
            self.panic_since = Some(now);
        } else if self
            .panic_since
            .is_some_and(|since| since.plus(self.spec.stable_window) < now)
        {
            self.panic_since = None;
            self.panic_pods_max = 0;
        }
    }

    /// `wanted` replicas, as far as one decision may move from `pods`. The activation scale may go beyond it.
    fn within_rates(&self, wanted: f64, pods: f64, reachability: Reachability) -> u32 {
        let most = (self.spec.max_scale_up_rate * pods).ceil();
        let least = match reachability {
            Reachability::Reachable => (pods / self.spec.max_scale_down_rate).floor(),
            Reachability::Unreachable => 0.0,
        };
        let desired = wanted.max(least).min(most) as u32;
        if wanted > 0.0 && self.spec.activation_scale > 1 {
            desired.max(self.spec.activation_scale)
        } else {
            desired
        }
    }
}

fn excess_burst_capacity(burst: BurstCapacity, capacity: f64, load: f64) -> i32 {
    match burst {
        BurstCapacity::Unlimited => -1,
        BurstCapacity::Requests(burst) if burst > 0.0 => (capacity - burst - load).floor() as i32,
        BurstCapacity::Requests(_) => 0,
    }
}
