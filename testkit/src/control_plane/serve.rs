//! How does the scripted control plane take connections, and which service does a path name?

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::stream::iter as stream_iter;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use super::Shared;
use super::model::{self, DeltaStream, SotwStream};
use super::stream::{self, Variant};
use crate::tls;

/// The connections there are, and what may befall them.
#[derive(Debug, Default)]
pub(super) struct Connections {
    cut: Notify,
    frozen: Notify,
    count: AtomicUsize,
    streams: AtomicUsize,
}

impl Connections {
    pub(super) fn cut(&self) {
        self.cut.notify_one();
    }

    pub(super) fn freeze(&self) {
        self.frozen.notify_waiters();
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// The number of a new stream.
    pub(super) fn stream(&self) -> usize {
        self.streams.fetch_add(1, Ordering::Relaxed)
    }
}

pub(super) async fn accept(listener: TcpListener, tls: Option<Arc<ServerConfig>>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    shared.connections.count.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(connection(stream, tls.clone(), Arc::clone(&shared)));
                }
            }
            () = shared.connections.cut.notified() => connections.abort_all(),
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<Arc<ServerConfig>>, shared: Arc<Shared>) {
    let nodelay = stream.set_nodelay(true);
    nodelay.expect("a fresh socket takes TCP_NODELAY");
    match tls {
        None => talk(stream, shared).await,
        Some(config) => {
            // A handshake that fails shows at the client's end.
            if let Ok(stream) = tls::accept(stream, &config).await {
                talk(stream, shared).await;
            }
        }
    }
}

async fn talk<S>(stream: S, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(request, shared).await) }
    });
    let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        // What is never polled again does nothing again, and keeps its socket.
        () = shared.connections.frozen.notified() => std::future::pending().await,
        // A client that breaks off is part of many tests.
        ended = &mut serving => drop(ended),
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let Some((url, is_delta)) = service(&path) else {
        return Status::unimplemented(path).into_http();
    };
    if is_delta {
        converse::<DeltaStream>(request, shared, path, url).await
    } else {
        converse::<SotwStream>(request, shared, path, url).await
    }
}

async fn converse<V: Variant>(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    path: String,
    url: Option<&'static str>,
) -> Response<Body> {
    let conversation = tower::service_fn(move |requests: tonic::Request<Streaming<V::Request>>| {
        let mut responses = stream::serve::<V>(Arc::clone(&shared), path.clone(), url, requests.into_inner());
        async move {
            // As servers in Go do: no head before the first message.
            let first = stream_iter(responses.next().await);
            Ok::<_, Status>(tonic::Response::new(first.chain(responses)))
        }
    });
    let mut grpc = Grpc::new(ProstCodec::<V::Response, V::Request>::default());
    grpc.streaming(conversation, request).await
}

/// The type that a method is about, none for all, and whether it is incremental.
fn service(path: &str) -> Option<(Option<&'static str>, bool)> {
    let (url, is_delta) = match path.strip_prefix("/envoy.service.")? {
        "discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources" => (None, false),
        "discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources" => (None, true),
        "cluster.v3.ClusterDiscoveryService/StreamClusters" => (Some(model::CLUSTER), false),
        "cluster.v3.ClusterDiscoveryService/DeltaClusters" => (Some(model::CLUSTER), true),
        "endpoint.v3.EndpointDiscoveryService/StreamEndpoints" => (Some(model::ENDPOINTS), false),
        "endpoint.v3.EndpointDiscoveryService/DeltaEndpoints" => (Some(model::ENDPOINTS), true),
        "secret.v3.SecretDiscoveryService/StreamSecrets" => (Some(model::SECRET), false),
        "secret.v3.SecretDiscoveryService/DeltaSecrets" => (Some(model::SECRET), true),
        "listener.v3.ListenerDiscoveryService/StreamListeners" => (Some(model::LISTENER), false),
        "listener.v3.ListenerDiscoveryService/DeltaListeners" => (Some(model::LISTENER), true),
        "route.v3.RouteDiscoveryService/StreamRoutes" => (Some(model::ROUTES), false),
        "route.v3.RouteDiscoveryService/DeltaRoutes" => (Some(model::ROUTES), true),
        "runtime.v3.RuntimeDiscoveryService/StreamRuntime" => (Some(model::RUNTIME), false),
        "runtime.v3.RuntimeDiscoveryService/DeltaRuntime" => (Some(model::RUNTIME), true),
        _ => return None,
    };
    Some((url, is_delta))
}
