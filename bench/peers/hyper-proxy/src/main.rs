//! What anybody would write first: hyper's server, hyper-util's pooled client, tokio's multi-thread run-time with one worker.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header, uri};
use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use peer_plan::{Edit, Plan};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Body = Either<Incoming, Empty<Bytes>>;

struct Gateway {
    known: HashSet<String>,
    edits: Vec<Edit>,
    client: Client<HttpConnector, Incoming>,
    h2_client: Client<HttpConnector, Incoming>,
}

/// One listening port.
#[derive(Clone)]
struct Port {
    gateway: Arc<Gateway>,
    backend: uri::Authority,
    h2: bool,
    scheme: HeaderValue,
    tls: Option<TlsAcceptor>,
}

fn main() -> anyhow::Result<()> {
    let plan = Plan::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(serve(plan))
}

async fn serve(plan: Plan) -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let builder = || Client::builder(TokioExecutor::new());
    let gateway = Arc::new(Gateway {
        known: plan.known()?,
        edits: plan.edits.clone(),
        client: builder().build(connector.clone()),
        h2_client: builder().http2_only(true).build(connector),
    });
    let plain = Port {
        gateway,
        backend: plan.backend.to_string().parse()?,
        h2: false,
        scheme: HeaderValue::from_static("http"),
        tls: None,
    };
    let grpc = Port {
        backend: plan.grpc_backend.to_string().parse()?,
        h2: true,
        ..plain.clone()
    };
    let tls = Port {
        scheme: HeaderValue::from_static("https"),
        tls: Some(acceptor(&plan)?),
        ..plain.clone()
    };
    let ports = [
        (plan.h1, plain.clone()),
        (plan.h2, plain),
        (plan.grpc, grpc),
        (plan.tls, tls),
    ];
    let mut accepting = Vec::new();
    for (address, port) in ports {
        accepting.push(tokio::spawn(accept(TcpListener::bind(address).await?, port)));
    }
    for task in accepting {
        task.await??;
    }
    Ok(())
}

fn acceptor(plan: &Plan) -> anyhow::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(&plan.certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&plan.key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("certificate and key")?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, port: Port) -> std::io::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        tokio::spawn(connection(stream, peer, port.clone()));
    }
}

/// What goes wrong with one client is that client's.
async fn connection(stream: TcpStream, peer: SocketAddr, port: Port) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    match port.tls.clone() {
        Some(acceptor) => exchange(acceptor.accept(stream).await.ok()?, peer, port).await,
        None => exchange(stream, peer, port).await,
    }
}

async fn exchange<S>(stream: S, peer: SocketAddr, port: Port) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let port = Arc::new(port);
    let service = service_fn(move |request| {
        let port = Arc::clone(&port);
        async move { Ok::<_, Infallible>(answer(&port, peer, request).await) }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    let serving = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
    serving.await.ok()
}

async fn answer(port: &Port, peer: SocketAddr, mut request: Request<Incoming>) -> Response<Body> {
    let gateway = &port.gateway;
    let authority = request.uri().authority().map(ToString::to_string);
    let field = request.headers().get(header::HOST);
    let host = authority.or_else(|| field?.to_str().ok().map(str::to_owned));
    let Some(host) = host.filter(|host| gateway.known.contains(host)) else {
        return empty(StatusCode::NOT_FOUND);
    };
    for edit in &gateway.edits {
        request
            .headers_mut()
            .insert(edit.name.clone(), edit.value.clone());
    }
    if let Ok(client) = peer.ip().to_string().parse() {
        request.headers_mut().insert("x-forwarded-for", client);
    }
    if let Ok(host) = host.parse() {
        request.headers_mut().insert(header::HOST, host);
    }
    request
        .headers_mut()
        .insert("x-forwarded-proto", port.scheme.clone());
    if let Ok(id) = peer_plan::request_id() {
        request.headers_mut().insert("x-request-id", id);
    }
    request.headers_mut().remove(header::CONNECTION);
    let uri = Uri::builder()
        .scheme(uri::Scheme::HTTP)
        .authority(port.backend.clone())
        .path_and_query(request.uri().path_and_query().map_or("/", |path| path.as_str()));
    let Ok(uri) = uri.build() else {
        return empty(StatusCode::BAD_REQUEST);
    };
    *request.uri_mut() = uri;
    let client = if port.h2 {
        *request.version_mut() = http::Version::HTTP_2;
        &gateway.h2_client
    } else {
        *request.version_mut() = http::Version::HTTP_11;
        &gateway.client
    };
    match client.request(request).await {
        Ok(response) => response.map(Either::Left),
        Err(_) => empty(StatusCode::BAD_GATEWAY),
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = status;
    response
}
