//! How does the proxy run as a tower service, in a server, a runtime and a stack of layers of your own?
//!
//! ```console
//! $ cargo run -p tidegate-proxy --example service -- 127.0.0.1:3000
//! $ curl -i http://127.0.0.1:8080/
//! ```

#![expect(
    clippy::print_stderr,
    reason = "a program that a person runs says what it does"
)]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tidegate_proxy::Proxy;
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::route::{Domain, Route, Split, VirtualHost};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::timeout::TimeoutLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let upstream = std::env::args()
        .nth(1)
        .ok_or("usage: service ADDRESS, such as 127.0.0.1:3000")?;
    let cluster = Cluster::new(ClusterSettings::new("app"));
    cluster.set_endpoints(vec![Arc::new(Endpoint::new(upstream.parse::<SocketAddr>()?))]);
    let host = VirtualHost::new(
        "everything",
        [Domain::parse("*")?],
        [Route::forward(Split::single("app", [].into()))],
    );
    // Kept for as long as the proxy shall work: dropping it cuts what runs.
    let (_drain, watch) = Drain::new();
    let proxy = Proxy::new(Handle::new(Snapshot::new([host], [cluster])), watch);
    let deadline = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(30));
    let service = ServiceBuilder::new().layer(deadline).service(proxy);

    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    eprintln!("http://{} -> {upstream}", listener.local_addr()?);
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        connections.spawn(async move {
            let answer = service_fn(|request| service.clone().oneshot(request));
            let served = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
            served.unwrap_or_else(|error| eprintln!("a connection ended: {error}"));
        });
    }
}
