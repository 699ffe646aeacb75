//! An Envoy-compatible ingress.

pub mod admin;
pub mod bootstrap;
pub mod flags;
pub mod lifecycle;
pub mod limits;
pub mod stats;

pub use bootstrap::{Report, validate};
