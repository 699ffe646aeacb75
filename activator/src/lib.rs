//! Holds requests until a revision has capacity.
//!
//! A request of a revision passes the [`ActivatorLayer`]: it leases a replica at once if one has capacity, or is
//! parked in the order of arrival until one has. Parked requests count as load, so the autoscaler starts replicas;
//! what they waited for is written on the response, as a receipt.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use tidegate_activator::{ActivatorLayer, Registry, Revision, RevisionSettings, reporter::Reporter};
//! use tidegate_proxy::layers::Layers;
//! use tidegate_proxy::route::{Route, Split};
//!
//! let registry = Registry::new();
//! let revision = Revision::new(RevisionSettings {
//!     namespace: "default".to_owned(),
//!     name: "hello-00001".to_owned(),
//!     service: "hello".to_owned(),
//!     configuration: "hello".to_owned(),
//!     container_concurrency: 1,
//!     timeout: Duration::from_secs(300),
//! });
//! registry.insert(&revision);
//! let reporter = Reporter::new(Arc::clone(&registry), "activator", |revision: &Arc<Revision>, stat| {
//!     println!("{}: {stat:?}", revision.key());
//! });
//! let layers = Layers::new(ActivatorLayer::new(registry, reporter, ()));
//! let forward = Route::forward(Split::single("default/hello-00001", [].into()));
//! let route = Route { layers: Some(layers), ..forward };
//! # assert!(route.layers.is_some());
//! // Requests of this route wait until `revision.set_pods` is given a ready replica.
//! ```
//!
//! The modules stand in the order in which a request meets them; [`request`] tells its life top to bottom. Those from
//! [`program`] on are the activator as a program in a cluster, where [`wire`] tells the life of a request.

pub mod request;

pub mod registry;

pub mod throttle;

pub mod tracker;

pub mod slice;

pub mod capacity;

pub mod reporter;

pub mod receipt;

pub mod observe;

pub mod program;

pub mod wire;

pub mod measures;

pub mod directory;

pub mod fleet;

pub mod health;

pub mod link;

pub mod steering;

pub mod world;

pub mod backends;

pub mod certificates;

mod middleware;
mod parking;

pub mod limits;
pub mod names;

pub use middleware::{Middleware, MiddlewareService, ResponseFuture};
pub use registry::Registry;
pub use request::ActivatorLayer;
pub use throttle::{Lease, Pod, Refusal, Revision, RevisionSettings, Timeline};
pub use tracker::{Destinations, Tracker};
