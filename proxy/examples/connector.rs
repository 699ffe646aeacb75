//! How upstreams are reached by means of one's own: here an application in the same process, over memory.
//!
//! ```console
//! $ cargo run -p tidegate-proxy --example connector
//! http://127.0.0.1:8080
//! $ curl http://127.0.0.1:8080/anything
//! hello from memory
//! ```
//!
//! Another connector would dial through a SOCKS proxy, a tunnel or a test's faulty network: anything that is a tower
//! service from an address to bytes both ways. Pools, TLS, HTTP/2 and the rest stay as they are.

#![expect(clippy::print_stderr, reason = "a program says what it does")]

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tidegate_proxy::cluster::transport::Connector;
use tidegate_proxy::cluster::{Address, Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::{Drain, Watch};
use tidegate_proxy::listener::{Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::route::{Domain, Route, Split, VirtualHost};
use tidegate_proxy::{Proxy, process};
use tokio::io::DuplexStream;

const BUFFER_BYTES: usize = 16 * 1024;

/// Connects to `app` without a socket, whatever the address is.
fn in_memory(app: Router, watch: Watch) -> Connector {
    Connector::new(tower::service_fn(move |_address: Address| {
        let (ours, theirs) = tokio::io::duplex(BUFFER_BYTES);
        let service = TowerToHyperService::new(app.clone());
        process::spawn("app", watch.unguarded(), async move {
            let serving = hyper::server::conn::http1::Builder::new();
            // What a connection ends of, its other end reports too.
            drop(serving.serve_connection(TokioIo::new(theirs), service).await);
        });
        std::future::ready(Ok::<DuplexStream, Infallible>(ours))
    }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (address, drain) = start("127.0.0.1:8080".parse()?)?;
    eprintln!("http://{address}");
    tokio::signal::ctrl_c().await?;
    drain.finish(Duration::from_secs(10)).await;
    Ok(())
}

/// Serves on all threads of this runtime, until the drain.
pub(crate) fn start(at: SocketAddr) -> Result<(SocketAddr, Drain), Box<dyn Error>> {
    let (drain, watch) = Drain::new();
    let app = Router::new().fallback(any(|| async { "hello from memory\n" }));
    let mut settings = ClusterSettings::new("app");
    settings.transport.connector = Some(in_memory(app, watch.clone()));
    let cluster = Cluster::new(settings);
    // The connector does not look at it; balancing and health do.
    let somewhere = SocketAddr::from(([127, 0, 0, 1], 1));
    cluster.set_endpoints(vec![Endpoint::new(somewhere).into()]);
    let everything = Route::forward(Split::single("app", [].into()));
    let host = VirtualHost::new("every host", [Domain::parse("*")?], [everything]);
    let config = Handle::new(Snapshot::new([host], [cluster]));

    let listener = Listener::bind(
        at,
        NonZeroUsize::MIN,
        EdgePolicy::default(),
        Connections::default(),
    )?;
    let address = listener.address();
    for acceptor in listener.into_acceptors() {
        let proxy = Proxy::new(config.clone(), watch.clone());
        process::spawn("acceptor", watch.unguarded(), acceptor.serve(proxy));
    }
    Ok((address, drain))
}
