//! How many replicas may a revision have now?
//!
//! Bounds the desired count, and lets a revision lose its last replica only in two phases: first it is inactive
//! (requests go through the activator), then, after the grace period, the replica goes.

use std::time::Duration;

use crate::limits::{ACTIVATION_SLACK, PROXIED_RECHECK};
use crate::{Reachability, Time};

mod spec;
#[cfg(test)]
mod tests;

pub use spec::{ScaleToZero, ScalerSpec};

/// Whether a revision serves (Knative's condition `Active`), and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Requests wait for its first replicas (`Unknown`).
    Activating {
        /// Since when.
        since: Time,
    },
    /// Enough replicas are ready (`True`).
    Active {
        /// Since when.
        since: Time,
    },
    /// It has nothing to do (`False`).
    Inactive {
        /// Since when.
        since: Time,
        /// Why.
        reason: InactiveReason,
    },
}

/// Why a revision is inactive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InactiveReason {
    /// The target is not receiving traffic.
    NoTraffic,
    /// The target could not be activated.
    TimedOut,
}

/// Where requests go while a revision is inactive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivatorPath {
    /// Requests are known to pass an activator.
    Confirmed {
        /// Since when they do.
        since: Time,
    },
    /// Not known: probe it, and ask again. Until then the last replica stays.
    Unconfirmed,
}

/// What a scaler is told at each reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleFacts {
    /// What the load calls for; none without data.
    pub desired: Option<u32>,
    /// Replicas that passed their probe.
    pub ready_pods: u32,
    /// Whether a route leads here.
    pub reachability: Reachability,
    /// Where requests go.
    pub path: ActivatorPath,
}

/// What came of a reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scaled {
    /// Replicas that should exist now.
    pub replicas: u32,
    /// The bounded wish, even where `replicas` do not follow yet; none if there is none.
    pub want: Option<u32>,
    /// When to reconcile again, even if nothing happens.
    pub recheck_after: Option<Duration>,
}

/// Holds the replica count of one revision and moves it within its bounds.
#[derive(Debug, Clone)]
pub struct Scaler {
    spec: ScalerSpec,
    replicas: u32,
    activity: Activity,
    /// The initial scale was reached once.
    is_proven: bool,
}

/// What becomes of a wish: `want` is reported, and made true if it is `Apply`.
enum Verdict {
    Apply {
        want: u32,
        recheck_after: Option<Duration>,
    },
    Hold {
        want: Option<u32>,
        recheck_after: Option<Duration>,
    },
}

impl Scaler {
    /// A new revision: activating, with its initial scale.
    pub fn new(spec: ScalerSpec, now: Time) -> Self {
        let replicas = spec.reachable_initial_scale();
        Self {
            spec,
            replicas,
            activity: Activity::Activating { since: now },
            is_proven: false,
        }
    }

    /// Uses `spec` from the next reconciliation on.
    pub fn update(&mut self, spec: ScalerSpec) {
        self.spec = spec;
    }

    /// Whether the revision serves.
    pub fn activity(&self) -> Activity {
        self.activity
    }

    /// Whether the revision reached its initial scale at least once.
    pub fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Brings replica count and activity up to date.
    pub fn reconcile(&mut self, now: Time, facts: &ScaleFacts) -> Scaled {
        let (want, recheck_after) = match self.verdict(now, facts) {
            Verdict::Apply { want, recheck_after } => {
                self.replicas = want;
                (Some(want), recheck_after)
            }
            Verdict::Hold { want, recheck_after } => (want, recheck_after),
        };
        self.update_activity(now, facts, want);
        Scaled {
            replicas: self.replicas,
            want,
            recheck_after,
        }
    }

    fn verdict(&self, now: Time, facts: &ScaleFacts) -> Verdict {
        let is_activating = matches!(self.activity, Activity::Activating { .. });
        if facts.desired.is_none() && !is_activating {
            return Verdict::Hold {
                want: None,
                recheck_after: None,
            };
        }
        match self.bounded(facts.desired.unwrap_or(0), facts.reachability) {
            0 => self.zero_verdict(now, facts),
            want => Verdict::Apply {
                want,
                recheck_after: None,
            },
        }
    }

    fn bounded(&self, desired: u32, reachability: Reachability) -> u32 {
        let mut least = self.min_scale(reachability);
        if !self.is_proven && reachability == Reachability::Reachable && self.spec.initial_scale > 1 {
            least = least.max(self.spec.reachable_initial_scale());
        }
        let most = if self.spec.max_scale == 0 {
            u32::MAX
        } else {
            self.spec.max_scale
        };
        desired.max(least).min(most.max(least))
    }

    /// The gate before zero.
    fn zero_verdict(&self, now: Time, facts: &ScaleFacts) -> Verdict {
        let ScaleToZero::After { grace, retention } = self.spec.scale_to_zero else {
            return Verdict::Apply {
                want: 1,
                recheck_after: None,
            };
        };
        match self.activity {
            Activity::Activating { since } => {
                let patience = self.spec.progress_deadline.saturating_add(ACTIVATION_SLACK);
                match remaining(patience, now.since(since)) {
                    None => Verdict::Apply {
                        want: 0,
                        recheck_after: None,
                    },
                    left => Verdict::Hold {
                        want: None,
                        recheck_after: left,
                    },
                }
            }
            Activity::Active { since } => match remaining(self.spec.stable_window, now.since(since)) {
                None => {
                    let is_proxied = matches!(facts.path, ActivatorPath::Confirmed { .. });
                    let recheck_after = is_proxied.then_some(PROXIED_RECHECK);
                    Verdict::Hold {
                        want: Some(0),
                        recheck_after,
                    }
                }
                left => Verdict::Apply {
                    want: 1,
                    recheck_after: left,
                },
            },
            Activity::Inactive { since, .. } => {
                let retention = match facts.reachability {
                    Reachability::Reachable => retention,
                    Reachability::Unreachable => Duration::ZERO,
                };
                last_replica_verdict(now, since, facts.path, grace, retention)
            }
        }
    }

    /// Knative's condition `Active`, from what is ready and what is wanted.
    fn update_activity(&mut self, now: Time, facts: &ScaleFacts, want: Option<u32>) {
        let min_scale = self.min_scale(facts.reachability);
        let floor = if self.is_proven {
            1
        } else {
            self.spec.reachable_initial_scale()
        };
        let enough = min_scale.max(floor);
        let is_ready = facts.ready_pods >= enough;
        self.is_proven |= is_ready;

        let is_inactive = matches!(self.activity, Activity::Inactive { .. });
        let is_activating = matches!(self.activity, Activity::Activating { .. });
        let since = |is_same: bool, before: Time| if is_same { before } else { now };
        let before = self.since();
        self.activity = if want == Some(0) || enough == 0 || (is_inactive && want.is_none()) {
            let reason = match is_activating && enough > 0 {
                true => InactiveReason::TimedOut,
                false => InactiveReason::NoTraffic,
            };
            Activity::Inactive {
                since: since(is_inactive, before),
                reason,
            }
        } else if is_ready {
            let is_active = matches!(self.activity, Activity::Active { .. });
            Activity::Active {
                since: since(is_active, before),
            }
        } else {
            Activity::Activating {
                since: since(is_activating, before),
            }
        };
    }

    fn min_scale(&self, reachability: Reachability) -> u32 {
        match reachability {
            Reachability::Reachable => self.spec.min_scale,
            Reachability::Unreachable => 0,
        }
    }

    fn since(&self) -> Time {
        match self.activity {
            Activity::Activating { since }
            | Activity::Active { since }
            | Activity::Inactive { since, .. } => since,
        }
    }
}

/// May the last replica of a revision go that is inactive since `since`?
fn last_replica_verdict(
    now: Time,
    since: Time,
    path: ActivatorPath,
    grace: Duration,
    retention: Duration,
) -> Verdict {
    let ActivatorPath::Confirmed { since: proxied_since } = path else {
        return Verdict::Hold {
            want: Some(0),
            recheck_after: None,
        };
    };
    let idle = now.since(since);
    if idle >= grace.max(retention) {
        return Verdict::Apply {
            want: 0,
            recheck_after: None,
        };
    }
    let left = remaining(retention, idle).or(remaining(grace, now.since(proxied_since)));
    match left {
        None => Verdict::Apply {
            want: 0,
            recheck_after: None,
        },
        left => Verdict::Hold {
            want: Some(0),
            recheck_after: left,
        },
    }
}

/// What is left of `period`; none once it is over.
fn remaining(period: Duration, elapsed: Duration) -> Option<Duration> {
    period.checked_sub(elapsed).filter(|left| !left.is_zero())
}
