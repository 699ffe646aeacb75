//! How small is a gateway? Two services behind one port, told apart by path; Ctrl-C lets what runs finish.
//!
//! ```console
//! $ cargo run -p tidegate-proxy --example gateway -- 127.0.0.1:3000 127.0.0.1:4000
//! $ curl http://127.0.0.1:8080/            # from the first
//! $ curl http://127.0.0.1:8080/api/users   # from the second
//! ```

#![expect(clippy::print_stderr, reason = "a program says what it does")]

use std::{error::Error, net::SocketAddr, num::NonZeroUsize, time::Duration};

use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::listener::{Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::route::{Domain, PathMatch, Route, Split, VirtualHost};
use tidegate_proxy::{Proxy, process};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let services: Vec<SocketAddr> = std::env::args().skip(1).flat_map(|word| word.parse()).collect();
    let services = services
        .try_into()
        .map_err(|_| "usage: gateway SITE API, addresses such as 127.0.0.1:3000")?;
    let (address, drain) = start("127.0.0.1:8080".parse()?, services)?;
    eprintln!("http://{address}");
    tokio::signal::ctrl_c().await?;
    drain.finish(Duration::from_secs(10)).await;
    Ok(())
}

/// Serves on all threads of this runtime, until the drain.
pub(crate) fn start(at: SocketAddr, to: [SocketAddr; 2]) -> Result<(SocketAddr, Drain), Box<dyn Error>> {
    let clusters = [("site", to[0]), ("api", to[1])].map(|(name, address)| {
        let cluster = Cluster::new(ClusterSettings::new(name));
        cluster.set_endpoints(vec![Endpoint::new(address).into()]);
        cluster
    });
    let [mut to_api, to_site] = ["api", "site"].map(|name| Route::forward(Split::single(name, [].into())));
    to_api.matcher.path = PathMatch::prefix("/api/");
    let host = VirtualHost::new("every host", [Domain::parse("*")?], [to_api, to_site]);
    let (drain, watch) = Drain::new();
    let proxy = Proxy::new(Handle::new(Snapshot::new([host], clusters)), watch.clone());
    let (one, edge) = (NonZeroUsize::MIN, EdgePolicy::default());
    let listener = Listener::bind(at, one, edge, Connections::default())?;
    let address = listener.address();
    for acceptor in listener.into_acceptors() {
        process::spawn("acceptor", watch.unguarded(), acceptor.serve(proxy.clone()));
    }
    Ok((address, drain))
}
