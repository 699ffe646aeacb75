//! What has happened so far, counted where it happens: for whoever shows it himself, in place of a recorder of metrics.
//!
//! A count is one relaxed increment of a number that no other worker writes, but for those few that a cluster's workers share;
//! nothing is looked up and nothing formatted. What has never been used takes a few words.
//!
//! ```
//! use http::Request;
//! use http_body_util::BodyExt;
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::cluster::{Cluster, ClusterSettings};
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::route::{Domain, Route, Split, VirtualHost};
//! use tidegate_proxy::{Body, Proxy};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let app = Cluster::new(ClusterSettings::new("app"));
//! let host = VirtualHost::new("all", [Domain::Any], [Route::forward(Split::single("app", [].into()))]);
//! let config = Handle::new(Snapshot::new([host], [app]));
//! let (_drain, watch) = Drain::new();
//! let request = Request::get("http://a.example/").body(Body::empty())?;
//! let response = Proxy::new(config.clone(), watch).oneshot(request).await?;
//! response.into_body().collect().await?;
//!
//! let snapshot = config.load();
//! let app = snapshot.clusters().next().ok_or("it is there")?;
//! // It has no endpoint: its clients see 503.
//! assert_eq!(app.counts().codes(), [(503, 1)]);
//! assert_eq!(app.counts().totals().none_healthy, 1);
//! # Ok(()) }
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::listener::ListenAddress;

pub mod cluster;
mod codes;
pub mod endpoint;
pub mod http;
pub mod listener;
pub mod relay;
mod striped;
pub mod times;

pub use cluster::ClusterCounts;
pub use http::HttpCounts;
pub use listener::ListenerCounts;
pub use relay::RelayCounts;
pub use times::Times;

/// Declares numbers that are counted up and the sums that are read of them.
macro_rules! numbers {
    ($(#[$doc:meta])* $cells:ident, $totals:ident { $($(#[$about:meta])* $field:ident,)+ }) => {
        #[derive(Debug, Default)]
        pub(crate) struct $cells { $(pub(crate) $field: std::sync::atomic::AtomicU64,)+ }

        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $totals { $($(#[$about])* pub $field: u64,)+ }

        impl std::ops::AddAssign for $totals {
            fn add_assign(&mut self, other: Self) {
                $(self.$field = self.$field.wrapping_add(other.$field);)+
            }
        }

        impl $cells {
            pub(crate) fn add_to(&self, totals: &mut $totals) {
                $(totals.$field = totals
                    .$field
                    .wrapping_add(self.$field.load(std::sync::atomic::Ordering::Relaxed));)+
            }
        }
    };
}
pub(crate) use numbers;

/// The books of the listeners that serve requests of one [`Handle`](crate::config::Handle), kept for as long as any of them,
/// or one of its connections, is there. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    listeners: Arc<Mutex<Vec<Arc<ListenerCounts>>>>,
}

impl Counts {
    /// The listeners that there are, those that are finishing their connections among them.
    #[must_use]
    pub fn listeners(&self) -> Vec<Arc<ListenerCounts>> {
        let mut listeners = self.lock();
        listeners.retain(|listener| Arc::strong_count(listener) > 1);
        listeners.clone()
    }

    /// The books for this address; a listener that takes the place of another goes on with its numbers.
    pub(crate) fn listener(&self, name: &Arc<str>, address: &ListenAddress) -> Arc<ListenerCounts> {
        let mut listeners = self.lock();
        listeners.retain(|listener| Arc::strong_count(listener) > 1 || listener.address() == address);
        let known = listeners
            .iter()
            .find(|listener| listener.address() == address && listener.name() == name);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let listener = Arc::new(ListenerCounts::new(Arc::clone(name), address.clone()));
        listeners.push(Arc::clone(&listener));
        listener
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<ListenerCounts>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one more.
pub(crate) fn one(count: &std::sync::atomic::AtomicU64) {
    count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}
