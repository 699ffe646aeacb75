//! An Envoy-compatible ingress.
