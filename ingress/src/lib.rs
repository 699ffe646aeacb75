//! An Envoy-compatible ingress.

pub mod bootstrap;
pub mod flags;
pub mod lifecycle;
pub mod limits;

pub use bootstrap::{Report, validate};
pub mod stats;
