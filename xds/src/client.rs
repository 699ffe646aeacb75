//! The I/O around a [`Session`](crate::session): streams to control planes, files that are watched, and what they deliver.
//!
//! ```
//! use std::sync::Arc;
//! use tidegate_proxy::cluster::{Cluster, ClusterSettings};
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::upstream::Direct;
//! use tidegate_proxy::Proxy;
//! use tidegate_xds::client::{Client, Status, Streams, Wanted};
//! use tidegate_xds::session::Settings;
//! use tidegate_xds::wire::Node;
//! use tokio::sync::{mpsc, watch};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let control_plane = Cluster::new(ClusterSettings::new("xds_cluster"));
//! let (_drain, drained) = Drain::new();
//! let proxy = Proxy::new(Handle::new(Snapshot::default()), drained);
//! let service = Direct::new(&proxy, control_plane);
//! let client = Client::new(service, "xds_cluster", Settings::new(Node::default()), Arc::new(Status::default()));
//! let (wanted, names) = watch::channel(Wanted::new());
//! let (deliveries, _store) = mpsc::channel(1);
//! let running = client.run(Streams::Aggregated, names, deliveries);
//! drop(wanted);
//! running.await;
//! # }
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};
use tonic::body::Body;
use tonic::client::GrpcService;

use crate::limits;
use crate::resource::{Kind, Update, Verdict};
pub use crate::session::Status;
use crate::session::{Session, Settings, Variant};

mod driver;
pub mod file;
mod link;
mod messages;

use driver::Driver;
use link::Caller;

/// An update on its way to the [`store`](crate::store), which says what became of it; that may take a while, and the stream goes
/// on with other kinds meanwhile. Of a kind there is one at a time: the next comes after the verdict, with all that has come
/// meanwhile. Dropped without an answer it counts as held: neither ACK nor NACK, and its content comes again with the next.
#[derive(Debug)]
pub struct Delivery {
    /// What is new.
    pub update: Update,
    /// Takes the verdict.
    pub verdict: oneshot::Sender<Verdict>,
}

/// Which names are subscribed to, the union of all who need them; followed by streams through a
/// [`watch`]. Of wildcard kinds it has the empty set where all are wanted, and no entry where none is.
pub type Wanted = BTreeMap<Kind, BTreeSet<Arc<str>>>;

/// How many streams there are to a control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// One for all kinds (`ads`).
    Aggregated,
    /// One for each kind (Contour); those of a kind share one, where Envoy opens one for each cluster's endpoints.
    PerKind,
}

/// Asks one control plane for what is wanted, again and again, for as long as somebody wants it.
#[derive(Debug)]
pub struct Client<S> {
    service: S,
    authority: String,
    settings: Settings,
    status: Arc<Status>,
    late: watch::Sender<BTreeSet<Kind>>,
    /// Fields that each stream's request has beside its own (`initial_metadata`). Default: none.
    pub metadata: http::HeaderMap,
    /// How large a response may be. Default: [`limits::RESPONSE_BYTES_MAX`].
    pub response_bytes_max: usize,
}

impl<S> Client<S>
where
    S: GrpcService<Body, ResponseBody: Send + 'static, Future: Send> + Clone + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error: Into<tonic::codegen::StdError>,
{
    /// A client that opens its streams through `service`, such as a [`Direct`](tidegate_proxy::upstream::Direct), where
    /// connections have deadlines and PINGs. Requests are for `authority`: Envoy says the name of the cluster.
    pub fn new(service: S, authority: &str, settings: Settings, status: Arc<Status>) -> Self {
        Self {
            service,
            authority: authority.to_owned(),
            settings,
            status,
            late: watch::Sender::default(),
            metadata: http::HeaderMap::new(),
            response_bytes_max: limits::RESPONSE_BYTES_MAX,
        }
    }

    /// The kinds whose first resources have not come in time: whoever waits for them need not any more.
    #[must_use]
    pub fn late(&self) -> watch::Receiver<BTreeSet<Kind>> {
        self.late.subscribe()
    }

    /// Runs until nobody wants or takes anything any more: the other end of `wanted` or `deliveries` is gone. A control plane
    /// that is down, slow, silent or wrong ends nothing.
    pub async fn run(
        self,
        streams: Streams,
        wanted: watch::Receiver<Wanted>,
        deliveries: mpsc::Sender<Delivery>,
    ) {
        let kinds = &self.settings.kinds;
        let groups: Vec<BTreeSet<Kind>> = match streams {
            Streams::Aggregated => vec![kinds.clone()],
            Streams::PerKind => kinds.iter().map(|&kind| [kind].into()).collect(),
        };
        let late = Arc::new(self.late);
        let drivers = groups.into_iter().map(|kinds| {
            let path = path(streams, &kinds, self.settings.variant);
            let caller = Caller {
                service: self.service.clone(),
                uri: link::method(&self.authority, path),
                metadata: self.metadata.clone(),
                bytes_max: self.response_bytes_max,
            };
            let mut settings = self.settings.clone();
            settings.kinds = kinds;
            let session = Session::new(settings, Arc::clone(&self.status), std::time::Instant::now());
            Driver {
                caller,
                session,
                status: Arc::clone(&self.status),
                late: Arc::clone(&late),
                wanted: wanted.clone(),
                deliveries: deliveries.clone(),
            }
            .run()
        });
        join_all(drivers).await;
    }
}

/// The method that streams these kinds.
fn path(streams: Streams, kinds: &BTreeSet<Kind>, variant: Variant) -> &'static str {
    let (whole, delta) = match (streams, kinds.first()) {
        (Streams::Aggregated, _) | (Streams::PerKind, None) => (
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
        ),
        (Streams::PerKind, Some(kind)) => match kind {
            Kind::Cluster => (
                "/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters",
                "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters",
            ),
            Kind::Endpoints => (
                "/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints",
                "/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints",
            ),
            Kind::Secret => (
                "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
                "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
            ),
            Kind::Listener => (
                "/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners",
                "/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners",
            ),
            Kind::Routes => (
                "/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes",
                "/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes",
            ),
            Kind::Runtime => (
                "/envoy.service.runtime.v3.RuntimeDiscoveryService/StreamRuntime",
                "/envoy.service.runtime.v3.RuntimeDiscoveryService/DeltaRuntime",
            ),
        },
    };
    match variant {
        Variant::StateOfTheWorld => whole,
        Variant::Delta => delta,
    }
}
