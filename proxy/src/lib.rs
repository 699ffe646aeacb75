//! The data plane as a library: from listeners to upstreams.
//!
//! Several things make a gateway, and each is a value that a program holds:
//!
//! - a [`config::Snapshot`] of [virtual hosts](route::VirtualHost) and [clusters](cluster::Cluster), published in a
//!   [`config::Handle`] that every worker follows; requests under way keep what they matched;
//! - a [`Proxy`] for each worker, which is a [`tower::Service`], with pools of its own;
//! - [listeners](listener::Listener), whose acceptors hand connections to it: TLS, filter chains and the PROXY protocol are
//!   [settings](listener::ListenerSettings) of those;
//! - a [`drain::Drain`], by which the process, or one listener, stops in order.
//!
//! ```
//! use std::net::SocketAddr;
//! use std::sync::{Arc, Mutex};
//! use std::time::Duration;
//! use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::listener::{Connections, Listener};
//! use tidegate_proxy::normalize::edge::EdgePolicy;
//! use tidegate_proxy::process::{self, Workers};
//! use tidegate_proxy::route::{Domain, Route, Split, VirtualHost};
//! use tidegate_proxy::Proxy;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let app = Cluster::new(ClusterSettings::new("app"));
//! app.set_endpoints(vec![Endpoint::new("127.0.0.1:3000".parse::<SocketAddr>()?).into()]);
//! let route = Route::forward(Split::single("app", [].into()));
//! let host = VirtualHost::new("everything", [Domain::parse("*")?], [route]);
//! let config = Handle::new(Snapshot::new([host], [app]));
//!
//! // Port 0 is any free one.
//! let (address, count) = ("127.0.0.1:0".parse()?, process::default_workers());
//! let listener = Listener::bind(address, count, EdgePolicy::default(), Connections::default())?;
//! let acceptors: Arc<[_]> = listener.into_acceptors().map(|one| Mutex::new(Some(one))).collect();
//! let (drain, watch) = Drain::new();
//! let workers = Workers::start(count, move |index| {
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
//!
//! // A program of yours waits here for its signal; then what runs may finish, for ten seconds.
//! let control = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! let outcome = control.block_on(drain.finish(Duration::from_secs(10)));
//! assert_eq!((outcome.forced, workers.join()), (0, 0));
//! # Ok(()) }
//! ```
//!
//! The modules stand in the order in which a request meets them; `request.rs` in the sources tells its life top to bottom.
//! Every bound and default is in [`config::limits`], what each error means in [`error`], what is counted in
//! [`observe::metrics`].
//!
//! Everything waits on tokio and nothing on a runtime of this crate: [`process::Workers`] is one way to run it, a server and a
//! multi-threaded runtime of your own another. Metrics go to the recorder of the `metrics` crate, logs to `tracing`.
//!
//! # Features
//!
//! Both are on by default.
//!
//! - `compression`: the filter `filter::Compression`, for gzip, brotli and zstd.
//! - `dns`: endpoints that have a name ([`cluster::Discovery`]) are looked up at the name servers, again as their records
//!   expire; without it as the system does, every [`config::limits::DNS_REFRESH`].

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
mod mirror;
mod detour;
mod upgrade;
pub mod relay;
mod respond;
pub mod body;
pub mod error;
pub mod observe;
pub mod overload;

pub mod rehearsal;

pub mod admin;
pub mod drain;
pub mod process;
mod clock;
mod hash;
mod worker;

/// What the README shows compiles, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// What meets untrusted bytes, for the fuzz targets. No part of the API: it changes without notice.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::connection::h1::whole::{Whole, requests};
    pub use crate::connection::h2::meter::{Excess, Meter};
    pub use crate::exchange::h1::whole::{WholeAnswer, answer};
}

pub use body::Body;
pub use error::Error;
pub use worker::Proxy;
