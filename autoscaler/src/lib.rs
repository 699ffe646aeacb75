//! The Knative pod autoscaler (KPA): from the load of a revision to the number of its replicas.
//!
//! Pure and synchronous: no I/O, no task, no clock. A shell reports load and passes the time in; the same calls
//! give the same answers. Read [`Revision`] first; the modules stand in the order in which a number passes them.
//!
//! ```
//! use std::time::Duration;
//! use tidegate_autoscaler::{Load, Revision, RevisionSpec, Time};
//! use tidegate_knative::autoscaling::{AutoscalerConfig, ScaleAnnotations};
//!
//! let config = AutoscalerConfig::from_pairs([("allow-zero-initial-scale", "true"), ("initial-scale", "0")]).unwrap();
//! let deadline = Duration::from_secs(600);
//! let spec = RevisionSpec::new(&config, &ScaleAnnotations::default(), 0, deadline);
//! let mut revision = Revision::new(spec, Time::from_secs(10));
//! assert_eq!(revision.tick(Time::from_secs(10), 0).replicas, 0);
//!
//! revision.record(Time::from_secs(11), Load { concurrency: 1.0, requests_per_second: 1.0 });
//! assert_eq!(revision.next_wakeup(), Time::from_secs(11), "the first request does not wait for the next tick");
//! assert_eq!(revision.tick(Time::from_secs(11), 0).replicas, 1);
//! ```

pub mod limits;
mod time;

mod window;

mod target;

mod delay;

mod decide;

mod scale;

mod revision;

pub use decide::{BurstCapacity, Decider, DeciderSpec, Decision, Observation, Reachability};
pub use delay::DelayWindow;
pub use revision::{Load, LoadMetric, Revision, RevisionSpec, Tick};
pub use scale::{
    ActivatorPath, Activity, InactiveReason, ScaleFacts, ScaleToZero, Scaled, Scaler, ScalerSpec,
};
pub use target::Target;
pub use time::Time;
pub use window::{Window, panic_window};
