//! What comes before HTTP on a new connection: whose it is (PROXY protocol), which filter chain takes it, TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::server::{Acceptor, ClientHello};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use tokio_rustls::LazyConfigAcceptor;

use super::detect::Protocol;
use super::peer::{Peer, TlsFacts};
use super::socket::Socket;
use super::stream::{Presence, Stream};
use crate::config::limits;
use crate::listener::chain::{Arrival, Chain, Needs, Transport};
use crate::listener::settings::ProxyProtocol;
use crate::listener::{Accepted, Shared};
use crate::observe::metrics;
use crate::proxy_protocol::{self, Addresses, Parse};

/// A connection on which HTTP can begin. In a box on its way there: the task of a connection would have room for it all the time.
pub(super) struct Established {
    /// In a box too, as what tells the protocol holds it as well as what speaks it.
    pub(super) socket: Box<Socket>,
    pub(super) presence: Presence,
    pub(super) peer: Peer,
    /// What ALPN has agreed on; none where the first bytes have to tell.
    pub(super) protocol: Option<Protocol>,
}

/// Why a connection is closed before HTTP begins.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    ProxyHeader(#[from] proxy_protocol::Malformed),
    #[error("there is no PROXY header")]
    NoProxyHeader,
    #[error("no filter chain matches")]
    NoChain,
    #[error("the filter chain holds as many connections as it may")]
    ChainFull,
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("the client took too long")]
    Timeout,
    #[error(transparent)]
    Lost(#[from] io::Error),
}

impl Refusal {
    /// The `reason` in metrics; none where the client itself has left.
    pub(super) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::ProxyHeader(_) | Self::NoProxyHeader => Some(metrics::REFUSED_PROXY_HEADER),
            Self::NoChain => Some(metrics::REFUSED_NO_CHAIN),
            Self::ChainFull => Some(metrics::REFUSED_CHAIN_FULL),
            Self::Tls(_) => Some(metrics::REFUSED_TLS),
            Self::Timeout => Some(metrics::REFUSED_TIMEOUT),
            Self::Lost(_) => None,
        }
    }
}

/// The ends of a connection, as far as they are known.
#[derive(Clone, Copy)]
struct Ends {
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
    /// Where it comes from, whatever a PROXY header says.
    direct: Option<SocketAddr>,
}

impl Ends {
    fn replaced_by(self, addresses: Option<Addresses>) -> Self {
        match addresses {
            Some(Addresses { source, destination }) => Self {
                remote: Some(source),
                local: Some(destination),
                ..self
            },
            None => self,
        }
    }

    fn peer(self, chain: &Arc<Chain>, shared: &Arc<Shared>) -> Peer {
        Peer::of(Arc::clone(chain))
            .with_addresses(self.remote, self.local)
            .by_listener(Arc::clone(shared))
    }
}

/// Whether HTTP begins with the first byte, for all connections of the listener.
pub(super) fn is_immediate(shared: &Shared) -> bool {
    shared.intake().proxy_protocol == ProxyProtocol::Off && shared.chains.load().needs() == Needs::Nothing
}

/// HTTP begins with the first byte: nothing to wait for.
pub(super) fn at_once(accepted: Accepted) -> Result<Box<Established>, Refusal> {
    let (ends, shared) = (Ends::of(&accepted), accepted.shared);
    plain(accepted.stream, ends, &shared)
}

/// Waits until `deadline` for all that has to come first. Boxed by its caller: few connections are in it, for a short time.
pub(super) async fn establish(accepted: Accepted, deadline: Instant) -> Result<Box<Established>, Refusal> {
    let (mut ends, shared) = (Ends::of(&accepted), accepted.shared);
    let mut stream = accepted.stream;
    let established = async {
        let header = shared.intake().proxy_protocol;
        if header != ProxyProtocol::Off {
            ends = ends.replaced_by(proxy_header(&mut stream, header).await?);
        }
        // Copied out: the chains are not to be held while a client takes its time.
        let needs = shared.chains.load().needs();
        match needs {
            Needs::Nothing => plain(stream, ends, &shared),
            Needs::ClientHello => tls(stream, ends, &shared).await,
            Needs::FirstByte | Needs::Unread => {
                if !begins_with_tls(&mut stream).await? {
                    plain(stream, ends, &shared)
                } else if needs == Needs::Unread {
                    passed_on(stream, ends, &shared).await
                } else {
                    tls(stream, ends, &shared).await
                }
            }
        }
    };
    let established = tokio::time::timeout_at(deadline, established).await;
    established.unwrap_or(Err(Refusal::Timeout))
}

impl Ends {
    fn of(accepted: &Accepted) -> Self {
        Self {
            remote: accepted.remote,
            local: accepted.local,
            direct: accepted.remote,
        }
    }
}

/// Reads the PROXY header; what came with it is read again by whoever is next.
async fn proxy_header(stream: &mut Stream, wanted: ProxyProtocol) -> Result<Option<Addresses>, Refusal> {
    let mut bytes = Vec::with_capacity(PROXY_HEADER_USUAL_BYTES);
    loop {
        let parsed = match proxy_protocol::parse(&bytes)? {
            Parse::Complete(header, length) => (header.addresses, length),
            Parse::Absent if wanted == ProxyProtocol::Optional => (None, 0),
            Parse::Absent => return Err(Refusal::NoProxyHeader),
            Parse::Incomplete => {
                let mut more = (&mut *stream).take(limits::PROXY_HEADER_BYTES_MAX as u64);
                if more.read_buf(&mut bytes).await? == 0 {
                    return Err(Refusal::Lost(io::ErrorKind::UnexpectedEof.into()));
                }
                continue;
            }
        };
        let (addresses, length) = parsed;
        stream.unread(bytes.split_off(length));
        return Ok(addresses);
    }
}

/// No text protocol begins with the byte that a TLS handshake record does (RFC 8446 §5.1).
async fn begins_with_tls(stream: &mut Stream) -> io::Result<bool> {
    let mut first = [0];
    stream.read_exact(&mut first).await?;
    stream.unread(first.to_vec());
    Ok(first == [HANDSHAKE_RECORD])
}

fn plain(stream: Stream, ends: Ends, shared: &Arc<Shared>) -> Result<Box<Established>, Refusal> {
    let chains = shared.chains.load();
    let chain = chains.select(&Arrival {
        destination: ends.local,
        source: ends.remote,
        direct: ends.direct.map(|direct| direct.ip()),
        transport: Transport::Raw,
        server_name: None,
        application_protocols: &[],
    });
    // A chain that speaks TLS would only find out the hard way.
    let chain = chain
        .filter(|chain| chain.tls.is_none())
        .ok_or(Refusal::NoChain)?;
    Ok(Box::new(Established {
        presence: stream.presence(),
        socket: Box::new(Socket::plain(stream)),
        peer: ends.peer(chain, shared),
        protocol: None,
    }))
}

/// TLS whose ClientHello is looked at and left where it is: for a chain that passes it on, or for one that speaks TLS after all.
async fn passed_on(
    mut stream: Stream,
    ends: Ends,
    shared: &Arc<Shared>,
) -> Result<Box<Established>, Refusal> {
    let (mut bytes, mut acceptor) = (Vec::with_capacity(CLIENT_HELLO_USUAL_BYTES), Acceptor::default());
    let hello = loop {
        let seen = bytes.len();
        let room = limits::CLIENT_HELLO_BYTES_MAX.saturating_sub(seen);
        let mut more = (&mut stream).take(room as u64);
        if more.read_buf(&mut bytes).await? == 0 {
            return Err(Refusal::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut new = bytes.get(seen..).unwrap_or_default();
        while !new.is_empty() {
            acceptor.read_tls(&mut new).map_err(Refusal::Tls)?;
        }
        let hello = acceptor.accept();
        let hello =
            hello.map_err(|(error, _)| Refusal::Tls(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        if let Some(hello) = hello {
            break hello;
        }
    };
    let (chain, server_name) = {
        let hello = hello.client_hello();
        let chain = chain_of(&hello, ends, shared)?;
        (chain, hello.server_name().map(str::to_ascii_lowercase))
    };
    stream.unread(bytes);
    if chain.tls.is_some() {
        return tls(stream, ends, shared).await;
    }
    if chain.relay.is_none() {
        return Err(Refusal::NoChain);
    }
    let mut facts = TlsFacts::nothing();
    facts.server_name = server_name.map(Into::into);
    Ok(Box::new(Established {
        presence: stream.presence(),
        socket: Box::new(Socket::plain(stream)),
        peer: ends.peer(&chain, shared).with_tls(facts),
        protocol: None,
    }))
}

async fn tls(stream: Stream, ends: Ends, shared: &Arc<Shared>) -> Result<Box<Established>, Refusal> {
    let presence = stream.presence();
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await;
    let hello = hello.map_err(lost_or_tls)?;
    let chain = chain_of(&hello.client_hello(), ends, shared)?;
    let tls = chain.tls.as_ref().ok_or(Refusal::NoChain)?;
    let details = chain.http.client_certificate.details();
    let own = details.and_then(|_| tls.shown_to(&hello.client_hello()));
    // From here on it costs memory and time: who has not sent a ClientHello takes nobody's place.
    let permit = shared.connections.handshakes().acquire().await;
    let handshake = hello.into_stream_with(Arc::clone(tls.config()), |session| {
        session.set_buffer_limit(Some(limits::TLS_SEND_BUFFER_BYTES));
    });
    let stream = Box::new(handshake.await.map_err(lost_or_tls)?);
    drop(permit);
    let mut facts = TlsFacts::of(stream.get_ref().1);
    if let Some(details) = details {
        let own = own.as_deref().unwrap_or_default();
        facts = facts.with_forwarded(details, stream.get_ref().1, own);
    }
    shared.metrics.handshake(facts.version);
    shared
        .counts()
        .handshake(facts.version, facts.certificate().is_some());
    let protocol = match facts.alpn.as_deref() {
        Some(b"h2") => Some(Protocol::Http2),
        Some(b"http/1.1" | b"http/1.0") => Some(Protocol::Http1),
        _ => None,
    };
    Ok(Box::new(Established {
        presence,
        socket: Box::new(Socket::tls(stream)),
        peer: ends.peer(&chain, shared).with_tls(facts),
        protocol,
    }))
}

fn chain_of(hello: &ClientHello<'_>, ends: Ends, shared: &Shared) -> Result<Arc<Chain>, Refusal> {
    let protocols: Vec<&[u8]> = hello.alpn().into_iter().flatten().collect();
    let name = hello.server_name().map(str::to_ascii_lowercase);
    let chains = shared.chains.load();
    let chain = chains.select(&Arrival {
        destination: ends.local,
        source: ends.remote,
        direct: ends.direct.map(|direct| direct.ip()),
        transport: Transport::Tls,
        server_name: name.as_deref(),
        application_protocols: &protocols,
    });
    chain.map(Arc::clone).ok_or(Refusal::NoChain)
}

fn lost_or_tls(error: io::Error) -> Refusal {
    match error.kind() {
        // What rustls says.
        io::ErrorKind::InvalidData | io::ErrorKind::Other => Refusal::Tls(error),
        _ => Refusal::Lost(error),
    }
}

const HANDSHAKE_RECORD: u8 = 22;
/// Enough for most.
const CLIENT_HELLO_USUAL_BYTES: usize = 2048;
/// Enough for every header without extensions.
const PROXY_HEADER_USUAL_BYTES: usize = 256;
