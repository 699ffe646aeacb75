//! The data plane as a library: from listeners to upstreams.
//!
//! The modules stand in the order in which a request meets them; [`request`] tells its life top to bottom.
//!
//! ```no_run
//! use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::listener::{Connections, Listener};
//! use tidegate_proxy::normalize::edge::EdgePolicy;
//! use tidegate_proxy::route::{Domain, Route, Split, VirtualHost};
//! use tidegate_proxy::{Proxy, process};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let app = Cluster::new(ClusterSettings::new("app"));
//! app.set_endpoints(vec![Endpoint::new("127.0.0.1:3000".parse::<std::net::SocketAddr>()?).into()]);
//! let route = Route::forward(Split::single("app", [].into()));
//! let host = VirtualHost::new("everything", [Domain::parse("*")?], [route]);
//! let config = Handle::new(Snapshot::new([host], [app]));
//!
//! let workers = process::default_workers();
//! let address = "127.0.0.1:8080".parse()?;
//! let listener = Listener::bind(address, workers, EdgePolicy::default(), Connections::default())?;
//! let acceptors: Vec<_> = listener.into_acceptors().map(|one| std::sync::Mutex::new(Some(one))).collect();
//! let acceptors = std::sync::Arc::new(acceptors);
//! let (_drain, watch) = Drain::new();
//! let workers = process::Workers::start(workers, move |index| {
//!     let acceptor = acceptors[index].lock().ok().and_then(|mut slot| slot.take());
//!     let (proxy, over) = (Proxy::new(config.clone(), watch.clone()), watch.forced());
//!     async move {
//!         if let Some(acceptor) = acceptor {
//!             acceptor.serve(proxy).await.expect("the socket fits this runtime");
//!         }
//!         // Connections live in the worker that accepted them: it stays until the drain is over.
//!         over.await;
//!     }
//! })?;
//! workers.join();
//! # Ok(()) }
//! ```

pub mod config;

pub mod listener;
pub mod proxy_protocol;
pub mod tls;
mod connection;
mod request;
pub mod normalize;
pub mod route;
pub mod filter;
pub mod layers;
pub mod upstream;
mod attempt;
pub mod cluster;
pub mod limit;
mod pool;
mod exchange;
mod upgrade;
mod respond;
pub mod body;
pub mod error;
pub mod observe;
pub mod overload;

pub mod admin;
pub mod drain;
pub mod process;
mod worker;

/// What meets untrusted bytes, for the fuzz targets. No part of the API: it changes without notice.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::connection::h1::whole::{Whole, requests};
    pub use crate::connection::h2::meter::{Excess, Meter};
}

pub use body::Body;
pub use error::Error;
pub use worker::Proxy;
