//! Turns Knative objects into a plan of revisions and a routing snapshot.

pub mod plan;
mod desired;
mod configuration;
mod traffic;
mod reachability;
mod garbage;
pub mod targets;
pub mod hosts;
pub mod status;
pub mod conditions;
pub mod snapshot;

pub mod state;
pub mod observed;
pub mod settings;
pub mod name;
pub mod names;
pub mod limits;

pub use name::ObjectName;
pub use plan::{Input, Plan, plan};
pub use settings::{InvalidDomain, Settings};
pub use snapshot::Clusters;
pub use state::State;
