//! An Envoy-compatible ingress.

pub mod activation;
pub mod admin;
pub mod bootstrap;
pub mod diff;
pub mod discovery;
mod drain;
pub mod edge;
pub mod explain;
pub mod flags;
mod keeper;
pub mod lifecycle;
pub mod limits;
pub mod listeners;
pub mod logging;
mod operators;
pub mod page;
pub mod resources;
pub mod serve;
pub mod snapshot_file;
pub mod start;
pub mod stats;
mod traces;
pub mod workers;
mod world;

pub use bootstrap::{Report, validate};
