//! The sidecar program over real sockets: what Knative's ingress, activator, autoscaler, kubelet and clients see of it.

#![expect(clippy::expect_used, reason = "a test fails where its stage cannot be set")]

mod concurrency;
mod ending;
mod headers;
mod health;
mod interop;
mod invocations;
mod request_log;
mod rig;
mod start;
mod stats;
mod timeouts;
mod tls;
mod traces;
