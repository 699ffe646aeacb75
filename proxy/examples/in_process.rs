//! How does an axum app answer without a socket between it and the proxy? As the innermost layer of its route.
//!
//! ```console
//! $ cargo run -p tidegate-proxy --example in_process -- 127.0.0.1:3000
//! $ curl http://127.0.0.1:8080/app/hello/you   # from the app in this process
//! $ curl http://127.0.0.1:8080/                # from the service at 127.0.0.1:3000
//! ```
//!
//! The proxy checks the request, as every other, before the app sees it, and counts and drains it. What an app in the same
//! process cannot do is switch protocols: a WebSocket handler needs a socket to answer at.

#![expect(clippy::print_stderr, reason = "a program says what it does")]

use std::error::Error;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::layers::Layers;
use tidegate_proxy::listener::{Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::route::{Domain, Matcher, PathMatch, Route, Split, VirtualHost};
use tidegate_proxy::{Proxy, process};
use tower::layer::layer_fn;

/// Any app; its paths are those that clients ask for.
fn app() -> Router {
    Router::new()
        .route(
            "/app/hello/{name}",
            get(|Path(name): Path<String>| async move { format!("hello {name}\n") }),
        )
        .route(
            "/app/shout",
            post(|text: String| async move { text.to_uppercase() }),
        )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = std::env::args()
        .nth(1)
        .ok_or("usage: in_process SERVICE, such as 127.0.0.1:3000")?;
    let (address, drain) = start("127.0.0.1:8080".parse()?, service.parse()?)?;
    eprintln!("http://{address}");
    tokio::signal::ctrl_c().await?;
    drain.finish(Duration::from_secs(10)).await;
    Ok(())
}

/// Serves on all threads of this runtime, until the drain.
pub(crate) fn start(at: SocketAddr, service: SocketAddr) -> Result<(SocketAddr, Drain), Box<dyn Error>> {
    let app = app();
    let to_app = Route {
        matcher: Matcher {
            path: PathMatch::prefix("/app/"),
            ..Matcher::default()
        }
        .into(),
        // A layer that lets nothing through to the upstream below it.
        layers: Some(Layers::new(layer_fn(move |_upstream| app.clone()))),
        ..Route::forward(Split::single("app", [].into()))
    };
    let to_service = Route::forward(Split::single("service", [].into()));
    let host = VirtualHost::new("every host", [Domain::parse("*")?], [to_app, to_service]);
    // The app's cluster has no endpoint: its name is what metrics call the app.
    let clusters = ["app", "service"].map(|name| Cluster::new(ClusterSettings::new(name)));
    clusters[1].set_endpoints(vec![Endpoint::new(service).into()]);
    let config = Handle::new(Snapshot::new([host], clusters));

    let (drain, watch) = Drain::new();
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
