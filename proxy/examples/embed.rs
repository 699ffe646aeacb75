//! How does a program of your own put the proxy in front of a service?
//!
//! ```console
//! $ cargo run -p tidegate-proxy --example embed -- 127.0.0.1:3000
//! $ curl -i http://127.0.0.1:8080/
//! $ curl http://127.0.0.1:9901/metrics
//! ```
//!
//! Ctrl-C drains: what runs may finish, for ten seconds.

#![expect(
    clippy::print_stderr,
    reason = "a program that a person runs says what it does"
)]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{HeaderValue, SERVER};
use metrics_exporter_prometheus::PrometheusBuilder;
use tidegate_proxy::admin::{self, Admin, Readiness};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::{Drain, Watch};
use tidegate_proxy::layers::Layers;
use tidegate_proxy::listener::{Acceptor, Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::observe::metrics;
use tidegate_proxy::process::{self, Workers};
use tidegate_proxy::route::{Domain, Route, Split, VirtualHost};
use tidegate_proxy::{Proxy, config::limits};
use tower_http::set_header::SetResponseHeaderLayer;

const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9901);
const GRACE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let upstream = std::env::args()
        .nth(1)
        .ok_or("usage: embed ADDRESS, such as 127.0.0.1:3000")?;
    // Before anything counts: handles are made with the proxy.
    let page = PrometheusBuilder::new().install_recorder()?;
    metrics::describe();

    let (drain, watch) = Drain::new();
    let config = Handle::new(everything_to(upstream.parse()?)?);
    let workers = serve(&config, &watch)?;
    let readiness = Readiness::default();
    let admin = Admin::new(readiness.clone()).metrics(move || page.render());
    let control = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    control.block_on(async {
        process::spawn(
            "admin",
            watch.unguarded(),
            admin.serve(admin::bind(ADMIN)?, watch.clone()),
        );
        readiness.set_ready();
        eprintln!(
            "{HTTP} -> {upstream}, at most {} connections",
            limits::CONNECTIONS_MAX
        );
        // While this runs, `config.publish(…)` changes what the workers do, and `cluster.set_endpoints(…)` where to.
        tokio::signal::ctrl_c().await?;
        let outcome = drain.finish(GRACE).await;
        eprintln!("drained, {} connections had to be cut", outcome.forced);
        Ok::<(), Box<dyn Error>>(())
    })?;
    match workers.join() {
        0 => Ok(()),
        panicked => Err(format!("{panicked} workers ended by a panic").into()),
    }
}

/// One route, with one of tower's own layers on it.
fn everything_to(upstream: SocketAddr) -> Result<Snapshot, Box<dyn Error>> {
    let cluster = Cluster::new(ClusterSettings::new("app"));
    cluster.set_endpoints(vec![Arc::new(Endpoint::new(upstream))]);
    let name = SetResponseHeaderLayer::if_not_present(SERVER, HeaderValue::from_static("embedded"));
    let route = Route {
        layers: Some(Layers::new(name)),
        ..Route::forward(Split::single("app", [].into()))
    };
    let host = VirtualHost::new("everything", [Domain::parse("*")?], [route]);
    Ok(Snapshot::new([host], [cluster]))
}

/// A thread for each core, each with its own sockets, pools and stacks.
fn serve(config: &Handle, watch: &Watch) -> Result<Workers, Box<dyn Error>> {
    let count = process::default_workers();
    let listener = Listener::bind(HTTP, count, EdgePolicy::default(), Connections::default())?;
    let acceptors: Arc<Mutex<Vec<Acceptor>>> = Arc::new(Mutex::new(listener.into_acceptors().collect()));
    let (config, watch) = (config.clone(), watch.clone());
    let workers = Workers::start(count, move |_index| {
        let acceptor = acceptors.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let proxy = Proxy::new(config.clone(), watch.clone());
        let over = watch.forced();
        async move {
            if let Some(Err(error)) = async { Some(acceptor?.serve(proxy).await) }.await {
                eprintln!("a listener could not be used: {error}");
            }
            // The connections live in this thread: it stays until the last of them is done or cut.
            over.await;
        }
    })?;
    Ok(workers)
}
