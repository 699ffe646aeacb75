//! What stands between the data plane and one replica of a revision (Knative's queue-proxy).
//!
//! As a [`QueueProxyLayer`] it is a step of a route: it finds the [`Sidecar`] of the replica that a request was
//! given to, admits as many requests as the replica takes, edits headers, and keeps the revision's timeouts. The
//! modules stand in the order in which a request meets them; [`request`] tells its life top to bottom. [`probe`]
//! tells when a replica is ready, and [`stats`] what it carries.
//!
//! As a [`program`] it is the sidecar container of a pod, in the place of Knative's own: then [`wire`] tells the life of a
//! request, which is answered word for word as there.

pub mod request;

pub mod wire;

mod sidecar;

mod host;

mod forwarded;

pub mod probe;

pub mod readiness;

pub mod stats;

pub mod route_tag;

pub mod measures;

pub mod drainer;

pub mod in_flight;

pub mod program;

pub mod limits;

pub use request::{QueueProxy, QueueProxyLayer};
pub use sidecar::Sidecar;
pub use tidegate_proxy::layers::timeout::Timeouts;
