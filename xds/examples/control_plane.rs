//! How is Envoy, or `tidegate-ingress`, given Kourier-shaped configuration by hand? A control plane of a few lines.
//!
//! ```console
//! $ cargo run -p tidegate-xds --example control_plane -- 127.0.0.1:18000 127.0.0.1:9000 3
//! ```
//!
//! serves three Knative Services, whose one pod is at port 9000, to whoever connects to port 18000, and says who has what.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_proxy::drain::Drain;
use tidegate_testkit::kourier::{self, Ports, Service};
use tidegate_xds::resource::Kind;
use tidegate_xds::server::{Resource, Resources, Server};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How often it is looked whether a client has got further.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, pod, count] = arguments.as_slice() else {
        return Err(
            "usage: control_plane LISTEN POD SERVICES, as in 127.0.0.1:18000 127.0.0.1:9000 3".into(),
        );
    };
    let (listen, pod): (SocketAddr, SocketAddr) = (listen.parse()?, pod.parse()?);
    let services: Vec<Service> = (0..count.parse()?)
        .map(|number| Service::numbered(number, vec![pod]))
        .collect();
    for service in &services {
        writeln!(io::stdout(), "serving {}", service.external_host())?;
    }
    let (_publish, resources) = watch::channel(Arc::new(resources(&services)));
    let server = Server::new(resources);
    let (_drain, watch) = Drain::new();
    tokio::select! {
        () = server.serve(TcpListener::bind(listen).await?, watch) => {}
        failed = tell(&server) => failed?,
    }
    Ok(())
}

/// What Kourier would push for these services.
fn resources(services: &[Service]) -> Resources {
    let encoded = |resource: kourier::Resource| Resource::new(resource.name, resource.any.value);
    let push = kourier::push(services, Ports::default());
    Resources::default()
        .with(Kind::Cluster, push.clusters.into_iter().map(encoded))
        .with(Kind::Listener, push.listeners.into_iter().map(encoded))
        .with(Kind::Routes, push.routes.into_iter().map(encoded))
}

/// Says for each client which kinds it has taken, and why it refused one, whenever that changes.
async fn tell(server: &Server) -> io::Result<()> {
    let mut told = String::new();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let clients = server.clients();
        let kinds = clients.iter().flat_map(|client| &client.kinds);
        let lines: Vec<String> = kinds
            .map(|(kind, status)| match &status.error {
                None => format!("{kind:?}: {} sent", status.sent),
                Some(error) => format!("{kind:?}: refused: {error}"),
            })
            .collect();
        let now = lines.join(", ");
        if now != told {
            writeln!(io::stdout(), "{now}")?;
            told = now;
        }
    }
}
