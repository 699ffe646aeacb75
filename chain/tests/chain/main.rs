//! The programs behind each other, as a cluster runs them: ingress, activator, sidecar, application.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod access_log;
mod alone;
mod app;
mod certificates;
mod clients;
mod cluster;
mod killing;
mod ledger;
mod pods;
mod programs;
mod rolling;
mod stage;
mod streams;
mod together;
