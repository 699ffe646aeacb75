//! An Envoy-compatible ingress.

pub mod flags;
pub mod lifecycle;
pub mod limits;
