//! Statistics as Envoy names and writes them: collected when they are asked for, from what is counted where it happens.
//!
//! Nothing here is on the way of a request. [`Registry::collect`] reads the numbers of the proxy (per cluster, listener and
//! connection manager), of the program, and what the [`metrics`] facade was told; [`Collected`] writes them as text, JSON or
//! for Prometheus.

mod cluster;
mod discovery;
mod flat;
mod html;
mod http;
mod json;
mod limit;
mod listener;
mod prometheus;
mod quantiles;
mod query;
mod recorder;
mod registry;
mod revisions;
mod section;
mod server;
mod tcp;
mod text;

pub use discovery::Discovery;
pub(crate) use html::Escaped;
pub(crate) use query::pattern;
pub use query::{Buckets, Format, Query};
pub use recorder::Recorder;
pub use registry::{Collected, Registry, Rules};
pub(crate) use server::Memory;
pub use server::ServerFacts;
