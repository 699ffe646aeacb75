//! Where does the program listen, and which threads serve what comes?

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use tidegate_proxy::{
    Proxy,
    config::{Handle, http::HttpSettings},
    drain::Watch,
    listener::{
        Acceptor, Connections, Listener, ListenerSettings,
        chain::{FilterChain, FilterChains},
        settings::{IpVersions, Keepalive, TcpSettings},
    },
    process::Workers,
};

use crate::{
    limits::{CLIENT_KEEPALIVE, CLIENT_KEEPALIVE_PROBES, SIDE_CONNECTIONS_MAX},
    program::StartError,
    wire,
};

/// Listens on each port of every address. All speak HTTP/1.1 and HTTP/2.
pub(super) fn open(
    ports: &[u16],
    workers: NonZeroUsize,
    http: &HttpSettings,
) -> Result<Vec<Listener>, StartError> {
    let plain = || Ok(FilterChains::one(FilterChain::plain(http.clone()))?);
    ports
        .iter()
        .map(|port| everywhere(*port, workers, Connections::default(), plain))
        .collect()
}

/// Listens where the route table of this name answers, on one address or on every one.
pub(super) fn beside(
    table: &str,
    (host, port): (Option<IpAddr>, u16),
    workers: NonZeroUsize,
) -> Result<Listener, StartError> {
    let http = HttpSettings {
        route_table: table.into(),
        ..wire::http_settings()
    };
    let chains = || Ok(FilterChains::one(FilterChain::plain(http.clone()))?);
    let connections = Connections::at_most(SIDE_CONNECTIONS_MAX);
    let Some(host) = host else {
        return everywhere(port, workers, connections, chains);
    };
    let settings = ListenerSettings {
        connections,
        ..ListenerSettings::new(table, SocketAddr::new(host, port), chains()?)
    };
    Ok(Listener::open(settings, workers)?)
}

/// Listens on a port of every address, of both versions of IP where the machine has both.
pub(super) fn everywhere(
    port: u16,
    workers: NonZeroUsize,
    connections: Connections,
    chains: impl Fn() -> Result<FilterChains, StartError>,
) -> Result<Listener, StartError> {
    let open = |address: SocketAddr| {
        let settings = ListenerSettings {
            versions: IpVersions::Both,
            connections: connections.clone(),
            tcp: TcpSettings {
                keepalive: Some(Keepalive {
                    idle: CLIENT_KEEPALIVE,
                    interval: CLIENT_KEEPALIVE,
                    probes: CLIENT_KEEPALIVE_PROBES,
                }),
                ..TcpSettings::default()
            },
            ..ListenerSettings::new(port.to_string(), address, chains()?)
        };
        Ok(Listener::open(settings, workers)?)
    };
    match open(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        // A machine without IPv6.
        Err(StartError::Bind(error)) if error.source.kind() != io::ErrorKind::AddrInUse => {
            open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
        opened => opened,
    }
}

/// Starts the workers: each with a proxy of its own, and its part of each listener.
pub(super) fn serve(
    listeners: Vec<Listener>,
    workers: NonZeroUsize,
    config: &Handle,
    watch: &Watch,
) -> io::Result<Workers> {
    let mut seats: Vec<Vec<Acceptor>> = (0..workers.get()).map(|_| Vec::new()).collect();
    for listener in listeners {
        for (seat, acceptor) in seats.iter_mut().zip(listener.into_acceptors()) {
            seat.push(acceptor);
        }
    }
    let seats = Arc::new(Mutex::new(seats));
    let (config, watch) = (config.clone(), watch.clone());
    Workers::start(workers, move |_index| {
        let acceptors = seats.lock().unwrap_or_else(PoisonError::into_inner).pop();
        work(acceptors.unwrap_or_default(), config.clone(), watch.clone())
    })
}

/// One worker: accepts on its sockets, and stays until the last of its requests is done or cut.
async fn work(acceptors: Vec<Acceptor>, config: Handle, watch: Watch) {
    let proxy = Proxy::new(config, watch.clone());
    let forced = watch.forced();
    let serving = acceptors
        .into_iter()
        .map(|acceptor| acceptor.serve(proxy.clone()));
    for served in futures_util::future::join_all(serving).await {
        if let Err(error) = served {
            tracing::error!(%error, "a listener could not be used");
        }
    }
    forced.await;
}
