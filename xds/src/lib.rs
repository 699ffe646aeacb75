//! Envoy's xDS v3: a client that keeps a proxy configured, a server that configures Envoy and us.
//!
//! A change travels top-down: bytes -> [`session`] (pure) -> [`translate`] (pure) -> [`store`] (warming) -> the proxy's
//! [`Handle`](tidegate_proxy::config::Handle).

pub mod client;
pub mod encode;
pub mod limits;
mod regular_file;
pub mod resource;
pub mod server;
pub mod session;
pub mod store;
pub mod text;
pub mod translate;
pub mod wire;
