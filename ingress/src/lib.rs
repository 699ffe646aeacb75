//! An Envoy-compatible ingress.

pub mod lifecycle;
