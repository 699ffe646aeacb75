//! Test tools: what do tests of every crate start, send, script and wait for?
//!
//! Development only: nothing but tests, benches and fuzz targets may depend on this crate. Its functions panic where a
//! library would return an error, with a message that says what was waited for and what had been seen until then.

#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a test tool reports by panicking: the test fails there, with its message"
)]

pub mod audit;
pub mod body;
pub mod certificates;
pub mod client;
#[cfg(feature = "xds")]
pub mod control_plane;
pub mod envoy;
pub mod frames;
pub mod gate;
#[cfg(feature = "knative")]
pub mod knative;
#[cfg(feature = "xds")]
pub mod kourier;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod peers;
pub mod ports;
pub mod program;
pub mod tls;
pub mod upstream;
pub mod wait;
pub mod websocket;
pub mod wire;

/// Whatever went wrong in a scripted body or handler.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
