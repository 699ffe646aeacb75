//! An Envoy-compatible ingress.
fn main() {}
