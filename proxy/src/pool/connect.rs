//! How a new upstream connection comes to be: dialled, introduced by a PROXY header, wrapped in TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::key::Key;
use super::stream::Stream;
use crate::cluster::transport::{Duplex, Protocol, ProxyHeader, TransportSettings};
use crate::cluster::{Address, Cluster, Endpoint};
use crate::error::{Error, Kind};
use crate::proxy_protocol;
use crate::tls::upstream::{self as tls, ClientTls};

/// What a connection speaks, once that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    Http1,
    Http2,
}

/// Until when a connection has to be usable.
pub(super) fn deadline(key: &Key) -> Instant {
    Instant::now() + key.transport.settings().connect_timeout
}

/// Dials for `key`, at most until `deadline`.
pub(super) async fn dial(cluster: &Cluster, key: &Key, deadline: Instant) -> Result<(Stream, Spoken), Error> {
    cluster.metrics().connects.increment(1);
    let dialled = match tokio::time::timeout_at(deadline, reach(key)).await {
        Ok(dialled) => dialled,
        Err(elapsed) => Err(Error::new(Kind::ConnectTimeout).with_source(elapsed)),
    };
    dialled.inspect_err(|error| failed(cluster, error))
}

/// A connection of its own for a check of `endpoint`; no pool sees it, nor do the counts. The caller sets the deadline.
pub(crate) async fn apart(
    cluster: &Cluster,
    endpoint: &Endpoint,
) -> Result<(impl AsyncRead + AsyncWrite + Send + Unpin + use<>, Spoken), Error> {
    reach(&Key::apart(cluster, endpoint)).await
}

/// Counts a connection that did not come to be.
pub(super) fn failed(cluster: &Cluster, error: &Error) {
    cluster.metrics().connect_failures.increment(1);
    cluster.counts().connect_failed(error);
    if error.kind() == Kind::UpstreamTls {
        cluster.metrics().tls_failures.increment(1);
    }
}

/// Dials for bytes that are no HTTP: what TLS offers by ALPN is what the cluster says, and else nothing.
pub(super) async fn dial_bytes(cluster: &Cluster, key: &Key, deadline: Instant) -> Result<Stream, Error> {
    cluster.metrics().connects.increment(1);
    let dialled = match tokio::time::timeout_at(deadline, open(key, None)).await {
        Ok(dialled) => dialled,
        Err(elapsed) => Err(Error::new(Kind::ConnectTimeout).with_source(elapsed)),
    };
    let (stream, _agreed) = dialled.inspect_err(|error| failed(cluster, error))?;
    Ok(stream)
}

async fn reach(key: &Key) -> Result<(Stream, Spoken), Error> {
    let protocol = key.transport.protocol();
    let (stream, agreed) = open(key, Some(protocol)).await?;
    let spoken = match protocol {
        Protocol::Http1 => Spoken::Http1,
        Protocol::Http2 => Spoken::Http2,
        Protocol::Auto => agreed.unwrap_or(Spoken::Http1),
    };
    Ok((stream, spoken))
}

/// A connection for `key` that offers what goes with `protocol`; and what was agreed on, where TLS tells.
async fn open(key: &Key, protocol: Option<Protocol>) -> Result<(Stream, Option<Spoken>), Error> {
    let settings = key.transport.settings();
    let refused = |error: io::Error| Error::new(Kind::ConnectFailed).with_source(error);
    let mut stream = match (&settings.connector, &key.address) {
        (Some(connector), address) => match connector.connect(address.clone()).await {
            Ok(stream) => Stream::Other(stream),
            Err(error) => return Err(Error::new(Kind::ConnectFailed).with_source(error)),
        },
        (None, Address::Tcp(_)) => Stream::Tcp(tcp(settings, &key.address).await.map_err(refused)?),
        (None, Address::Unix(path)) => {
            Stream::Other(Box::new(UnixStream::connect(path).await.map_err(refused)?))
        }
    };
    if let Some(version) = settings.proxy_header {
        let header = match version {
            ProxyHeader::V1 => proxy_protocol::encode_v1(key.client()),
            ProxyHeader::V2 => proxy_protocol::encode_v2(key.client()),
        };
        stream.write_all(&header).await.map_err(refused)?;
    }
    let Some(tls) = &settings.tls else {
        return Ok((stream, None));
    };
    let config = tls.config(protocol);
    // The detour through a trait object is taken after TLS; before it there is none.
    match stream {
        Stream::Tcp(stream) => secure(stream, key, (tls, config)).await,
        Stream::Other(stream) => secure(stream, key, (tls, config)).await,
        shared @ Stream::Shared(_) => secure(Box::new(shared) as Box<dyn Duplex>, key, (tls, config)).await,
    }
}

async fn tcp(settings: &TransportSettings, address: &Address) -> io::Result<TcpStream> {
    let Address::Tcp(address) = address else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let stream = match &settings.redial {
        None => knock(settings.source, *address).await?,
        Some(redial) => redial.run(|| knock(settings.source, *address)).await?,
    };
    stream.set_nodelay(true)?;
    if let Some(keepalive) = settings.tcp_keepalive {
        let probes = TcpKeepalive::new()
            .with_time(keepalive.time)
            .with_interval(keepalive.interval)
            .with_retries(keepalive.probes);
        SockRef::from(&stream).set_tcp_keepalive(&probes)?;
    }
    Ok(stream)
}

async fn knock(source: Option<SocketAddr>, address: SocketAddr) -> io::Result<TcpStream> {
    let Some(source) = source else {
        return TcpStream::connect(address).await;
    };
    let socket = if source.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.bind(source)?;
    socket.connect(address).await
}

async fn secure<S>(
    stream: S,
    key: &Key,
    (tls, config): (&ClientTls, Arc<ClientConfig>),
) -> Result<(Stream, Option<Spoken>), Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let name = tls
        .server_name(&key.address, key.host())
        .map_err(|error| Error::new(Kind::UpstreamTls).with_source(error))?;
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| {
            Error::new(Kind::UpstreamTls)
                .with_detail(tls::describe(&error))
                .with_source(error)
        })?;
    let agreed = chose_http2(&stream).then_some(Spoken::Http2);
    Ok((Stream::Other(Box::new(stream)), agreed))
}

fn chose_http2<S>(stream: &TlsStream<S>) -> bool {
    let (_, session) = stream.get_ref();
    session.alpn_protocol() == Some(tls::HTTP2.as_bytes())
}
