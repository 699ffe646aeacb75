//! What stands around Knative's data plane in tests, and what of it is known byte for byte?

pub mod api;
pub mod autoscaler;
pub mod vectors;
