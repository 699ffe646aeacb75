//! How does a test speak TLS, as a client and as a server?

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::wait::soon;

/// Connects to `address` and asks for `name` (SNI; an IP address sends none). What the handshake fails of is the result,
/// since it is often what a test is about.
///
/// # Errors
/// When a side does not agree to the handshake.
///
/// # Panics
/// When nobody listens at `address`, or the handshake hangs.
pub async fn connect(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> io::Result<client::TlsStream<TcpStream>> {
    let connected = soon("a connection", TcpStream::connect(address)).await;
    let stream = connected.unwrap_or_else(|error| panic!("connect to {address}: {error}"));
    stream
        .set_nodelay(true)
        .expect("a fresh socket takes TCP_NODELAY");
    over(stream, name, config).await
}

/// [`connect`] over a TCP connection that stands, such as one that has sent a PROXY header.
///
/// # Errors
/// As [`connect`].
///
/// # Panics
/// When `name` is neither a host name nor an address, or the handshake hangs.
pub async fn over(
    stream: TcpStream,
    name: &str,
    config: &Arc<ClientConfig>,
) -> io::Result<client::TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).expect("a host name or an address");
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
    soon("the TLS handshake", handshake).await
}

/// The server's side, for the script of a [`RawUpstream`](crate::upstream::RawUpstream): `accept(wire.into_stream(), …)`.
///
/// # Errors
/// When a side does not agree to the handshake.
///
/// # Panics
/// When the handshake hangs.
pub async fn accept(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
) -> io::Result<server::TlsStream<TcpStream>> {
    let handshake = TlsAcceptor::from(Arc::clone(config)).accept(stream);
    soon("the TLS handshake", handshake).await
}

/// What a server learned of its client from a handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// The name that the client asked for (SNI).
    pub name: Option<String>,
    /// The protocol agreed on by ALPN.
    pub alpn: Option<String>,
    /// The client's own certificate.
    pub certificate: Option<CertificateDer<'static>>,
}

impl Handshake {
    /// What the server's side of `stream` knows.
    #[must_use]
    pub fn of(stream: &server::TlsStream<TcpStream>) -> Self {
        let (_, session) = stream.get_ref();
        let certificates = session.peer_certificates().unwrap_or_default();
        Self {
            name: session.server_name().map(str::to_owned),
            alpn: session
                .alpn_protocol()
                .map(|name| String::from_utf8_lossy(name).into_owned()),
            certificate: certificates.first().map(|first| first.clone().into_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
