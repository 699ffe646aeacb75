//! Holds requests until a revision has capacity.
//!
//! A request of a revision leases a replica at once if one has capacity, or is
//! parked in the order of arrival until one has. Parked requests count as load, so the autoscaler starts replicas;
//! what they waited for is written on the response, as a receipt.

pub mod registry;

pub mod throttle;

pub mod reporter;

pub mod receipt;

pub mod observe;

mod parking;

pub mod limits;
pub mod names;

pub use registry::Registry;
pub use throttle::{Lease, Pod, Refusal, Revision, RevisionSettings, Timeline};
