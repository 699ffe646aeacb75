//! An xDS server: gives clients resources, in state of the world and delta, aggregated and kind by kind.
//!
//! What to give is published whole ([`Resources`]); each stream of a client is a pure state machine that follows it. Encoded
//! bytes are shared by all clients.
//!
//! ```
//! use std::sync::Arc;
//! use tidegate_proxy::drain::Drain;
//! use tidegate_xds::resource::Kind;
//! use tidegate_xds::server::{Resource, Resources, Server};
//! use tokio::net::TcpListener;
//! use tokio::sync::watch;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let (publish, resources) = watch::channel(Arc::new(Resources::default()));
//! let server = Server::new(resources);
//! let (drain, watch) = Drain::new();
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let serving = server.serve(listener, watch);
//! // Every client is told of it, unless it has the same already.
//! let cluster = Resource::new("app", "an encoded cluster");
//! publish.send_modify(|now| *now = Arc::new(now.with(Kind::Cluster, [cluster])));
//! assert!(server.clients().is_empty());
//! drain.start();
//! serving.await;
//! # Ok(()) }
//! ```

use std::fmt;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Node;
use tokio::sync::watch;

mod body;
mod clients;
mod message;
mod method;
mod resources;
mod serve;
mod stream;

pub use clients::{Client, KindStatus};
pub use resources::{Reference, Resource, Resources};
pub use stream::Protocol;

/// Who a client says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKey {
    /// `node.id`.
    pub id: Box<str>,
    /// `node.cluster`.
    pub cluster: Box<str>,
}

/// Which resources a client gets; `None` ends its stream with `NOT_FOUND`.
type Selector = dyn Fn(&NodeKey) -> Option<watch::Receiver<Arc<Resources>>> + Send + Sync;

/// An xDS server. Who is connected to it: [`Server::clients`].
pub struct Server {
    selector: Box<Selector>,
    clients: Arc<clients::Clients>,
}

impl Server {
    /// A server that gives all clients the same.
    #[must_use]
    pub fn new(resources: watch::Receiver<Arc<Resources>>) -> Arc<Self> {
        Self::by_node(move |_| Some(resources.clone()))
    }

    /// A server that gives groups of clients what `selector` has for each, `None` for who gets nothing. It is asked once for
    /// each stream.
    #[must_use]
    pub fn by_node(
        selector: impl Fn(&NodeKey) -> Option<watch::Receiver<Arc<Resources>>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            selector: Box::new(selector),
            clients: Arc::default(),
        })
    }

    /// The streams that are open now.
    #[must_use]
    pub fn clients(&self) -> Vec<Client> {
        self.clients.all()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}

impl NodeKey {
    fn of(node: Option<&Node>) -> Self {
        let node = node.map(|node| (node.id.as_str(), node.cluster.as_str()));
        let (id, cluster) = node.unwrap_or_default();
        Self {
            id: id.into(),
            cluster: cluster.into(),
        }
    }
}
