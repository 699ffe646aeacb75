//! Does an upstream read, from what leaves the proxy, the requests that the proxy has read?
//!
//! Input: what a client sends on one connection, to a real [`Proxy`] over loopback sockets. Behind it, hyper reads what
//! arrives: its requests must be the first of those that our codec finds in the input, with the same methods, paths and
//! contents.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tidegate_proxy::Proxy;
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::config::http::{HalfClose, HttpSettings};
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::fuzzing::{Whole, requests};
use tidegate_proxy::listener::{Connections, Listener};
use tidegate_proxy::normalize::edge::EdgePolicy;
use tidegate_proxy::normalize::path;
use tidegate_proxy::process;
use tidegate_proxy::route::{Domain, Route, Split, VirtualHost};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const CLUSTER: &str = "app";
/// Nothing on the way waits for so long but a client that expects `100 Continue`, which has ended its input by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request as both sides see it.
type Meant = (Method, String, Vec<u8>);

/// Runs one input.
///
/// # Panics
/// When a property is broken.
pub fn run(data: &[u8]) {
    let settings = HttpSettings {
        half_close: HalfClose::Serve,
        ..HttpSettings::default()
    };
    let (read, _refused) = requests(&[data], &settings);
    let meant: Vec<Meant> = read.iter().map(meant).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let arrived = runtime.block_on(async {
        let exchanged = tokio::time::timeout(PATIENCE, exchange(data, settings)).await;
        exchanged.expect("the proxy ends what its client has ended")
    });
    assert_eq!(
        Some(arrived.as_slice()),
        meant.get(..arrived.len()),
        "the upstream reads something else"
    );
}

fn meant(whole: &Whole) -> Meant {
    let request = &whole.request;
    (
        request.method().clone(),
        target(request.uri()),
        request.body().clone(),
    )
}

/// The target as it is forwarded: a path without dot segments, and the query.
fn target(uri: &Uri) -> String {
    let resolved = path::resolve(uri.path()).ok().flatten();
    let path = resolved.as_deref().unwrap_or(uri.path());
    let path = if path.is_empty() { "/" } else { path };
    match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// Sends `data` through a proxy; what its upstream has read by the time the connection ends.
async fn exchange(data: &[u8], settings: HttpSettings) -> Vec<Meant> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let upstream = TcpListener::bind(any).await.expect("a free port");
    let address = upstream.local_addr().expect("a bound socket has an address");
    let (arrived, mut tasks) = (Arc::default(), JoinSet::new());
    tasks.spawn(record(upstream, Arc::clone(&arrived)));

    let (_drain, watch) = Drain::new();
    let proxy = Proxy::new(Handle::new(everything_to(address)), watch.clone());
    let listener = Listener::bind(
        any,
        NonZeroUsize::MIN,
        EdgePolicy::default(),
        Connections::default(),
    );
    let listener = listener.expect("a free port").speaking(settings);
    let front = listener.address();
    for acceptor in listener.into_acceptors() {
        let serving = acceptor.serve(proxy.clone());
        process::spawn("acceptor", watch.unguarded(), async move {
            serving.await.expect("a socket");
        });
    }
    let mut client = TcpStream::connect(front).await.expect("the proxy listens");
    let (mut reads, mut writes) = client.split();
    let send = async {
        // The proxy may have seen enough before all is sent.
        if writes.write_all(data).await.is_ok() {
            drop(writes.shutdown().await);
        }
    };
    let receive = async {
        let mut answers = Vec::new();
        drop(reads.read_to_end(&mut answers).await);
    };
    tokio::join!(send, receive);
    let arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
    arrived.clone()
}

fn everything_to(upstream: SocketAddr) -> Snapshot {
    let cluster = Cluster::new(ClusterSettings::new(CLUSTER));
    cluster.set_endpoints(vec![Arc::new(Endpoint::new(upstream))]);
    let route = Route::forward(Split::single(CLUSTER, [].into()));
    let host = VirtualHost::new("everything", Domain::parse("*"), [route]);
    Snapshot::new([host], [cluster])
}

/// Keeps what arrives whole.
async fn record(listener: TcpListener, arrived: Arc<Mutex<Vec<Meant>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let arrived = Arc::clone(&arrived);
        let service = service_fn(move |request: Request<Incoming>| {
            let arrived = Arc::clone(&arrived);
            async move {
                let (head, body) = request.into_parts();
                if let Ok(body) = body.collect().await {
                    let meant = (head.method, target(&head.uri), body.to_bytes().to_vec());
                    arrived.lock().unwrap_or_else(PoisonError::into_inner).push(meant);
                }
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
