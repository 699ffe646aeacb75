//! Which bounds and periods does a revision's scale have?

use std::time::Duration;

use tidegate_knative::autoscaling::{AutoscalerConfig, ScaleAnnotations};

/// Bounds and periods of one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalerSpec {
    /// Replicas at least, while a route leads here.
    pub min_scale: u32,
    /// Replicas at most; 0 means no limit.
    pub max_scale: u32,
    /// Replicas to begin with, and to reach once before the revision counts as proven. Never above a
    /// `max_scale`.
    pub initial_scale: u32,
    /// What an idle revision does.
    pub scale_to_zero: ScaleToZero,
    /// How long a revision must have been active before it may be called idle.
    pub stable_window: Duration,
    /// How long a first replica may take to become ready.
    pub progress_deadline: Duration,
}

/// What becomes of the last replica of an idle revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleToZero {
    /// It stays (`enable-scale-to-zero: false`).
    Never,
    /// It goes.
    After {
        /// How long to wait, at most, for the activator to take over the path.
        grace: Duration,
        /// How long the last replica stays at least, while a route leads here.
        retention: Duration,
    },
}

impl ScalerSpec {
    /// What configuration and annotations say. `progress_deadline` is the revision's own
    /// (`serving.knative.dev/progress-deadline`) or that of the deployment configuration.
    pub fn new(
        config: &AutoscalerConfig,
        annotations: &ScaleAnnotations,
        progress_deadline: Duration,
    ) -> Self {
        let initial_scale = annotations
            .initial_scale
            .filter(|&scale| scale > 0 || config.allow_zero_initial_scale);
        let scale_to_zero = if config.enable_scale_to_zero {
            ScaleToZero::After {
                grace: config.scale_to_zero_grace_period,
                retention: annotations
                    .scale_to_zero_pod_retention_period
                    .unwrap_or(config.scale_to_zero_pod_retention_period),
            }
        } else {
            ScaleToZero::Never
        };
        Self {
            min_scale: annotations.min_scale.unwrap_or(config.min_scale),
            max_scale: annotations.max_scale.unwrap_or(config.max_scale),
            initial_scale: initial_scale.unwrap_or(config.initial_scale),
            scale_to_zero,
            stable_window: annotations.window.unwrap_or(config.stable_window),
            progress_deadline,
        }
    }

    /// `initial_scale`, capped: a first scale beyond the maximum would never be reached.
    pub(super) fn reachable_initial_scale(&self) -> u32 {
        if self.max_scale == 0 {
            self.initial_scale
        } else {
            self.initial_scale.min(self.max_scale)
        }
    }
}
