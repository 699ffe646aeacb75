//! Who sent the requests of one connection?

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use rustls::{ProtocolVersion, ServerConnection};

use crate::config::http::HttpSettings;
use crate::drain::Watch;
use crate::listener::chain::Chain;
use crate::listener::{Place, Shared};
use crate::normalize::certificate::{self, Details};
use crate::observe::counts::{HttpCounts, http::OpenHttp};
use crate::proxy_protocol::Addresses;
use crate::relay::Relay;
use crate::upstream::Client;

/// What the requests of one connection know about who sent them. There is one for each connection, also an idle one: what
/// few have is boxed, what few ask for is made when they do.
pub(crate) struct Peer {
    id: u64,
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
    ip_text: Option<HeaderValue>,
    chain: Arc<Chain>,
    tls: Option<Box<TlsFacts>>,
    listener: Option<Arc<Shared>>,
}

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// It is not.
    Http,
    /// It is, by TLS.
    Https,
}

/// What a TLS handshake told of a client.
#[derive(Debug)]
pub(crate) struct TlsFacts {
    /// The name that it asked for (SNI), in lower case.
    pub(crate) server_name: Option<Box<str>>,
    /// The protocol agreed on by ALPN.
    pub(crate) alpn: Option<Box<[u8]>>,
    /// What it speaks.
    pub(crate) version: Option<ProtocolVersion>,
    /// What upstreams are told about its certificate, where they are.
    pub(crate) forwarded: Option<HeaderValue>,
    /// The certificate that the client showed, verified; in DER.
    certificate: Option<Box<[u8]>>,
}

impl Peer {
    /// Nobody in particular: a request that an embedder calls the proxy with.
    pub(crate) fn unknown() -> Self {
        Self::of(Arc::new(Chain::nobody()))
    }

    /// A client that came in by this chain.
    pub(crate) fn of(chain: Arc<Chain>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            remote: None,
            local: None,
            ip_text: None,
            chain,
            tls: None,
            listener: None,
        }
    }

    /// A client at this address.
    #[cfg(test)]
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self::unknown().with_addresses(Some(address), None)
    }

    pub(crate) fn with_addresses(self, remote: Option<SocketAddr>, local: Option<SocketAddr>) -> Self {
        let ip = remote.map(|remote| remote.ip().to_canonical().to_string());
        Self {
            remote,
            local,
            ip_text: ip.and_then(|ip| HeaderValue::try_from(ip).ok()),
            ..self
        }
    }

    pub(crate) fn with_tls(self, facts: TlsFacts) -> Self {
        Self {
            tls: Some(Box::new(facts)),
            ..self
        }
    }

    pub(super) fn by_listener(self, listener: Arc<Shared>) -> Self {
        Self {
            listener: Some(listener),
            ..self
        }
    }

    /// A number that no other connection of the process has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The client's address for `X-Forwarded-For`, made once for the connection.
    pub(crate) fn ip_text(&self) -> Option<&HeaderValue> {
        self.ip_text.as_ref()
    }

    /// What layers are told of it.
    pub(crate) fn client(&self) -> Client {
        Client {
            address: self.remote,
            is_tls: self.tls.is_some(),
        }
    }

    /// The client's address: its own, or the one that a PROXY header gave. None for a unix socket.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// Both ends of its connection, if they are known.
    pub(crate) fn addresses(&self) -> Option<Addresses> {
        Some(Addresses {
            source: self.remote?,
            destination: self.local?,
        })
    }

    /// Where the client connected to, as far as it is known.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// The scheme of the URLs that its clients see.
    pub(crate) fn scheme(&self) -> Scheme {
        match self.tls {
            Some(_) => Scheme::Https,
            None => Scheme::Http,
        }
    }

    /// How the filter chain that it came in by speaks HTTP.
    pub(crate) fn http(&self) -> &Arc<HttpSettings> {
        &self.chain.http
    }

    /// Where its bytes go, if they are no HTTP.
    pub(crate) fn relay(&self) -> Option<Arc<Relay>> {
        self.chain.relay.clone()
    }

    /// Its place among the connections of its filter chain, where those have a bound; fails where there is none left.
    pub(super) fn place(&self) -> Result<Option<Place>, ()> {
        match &self.chain.limit {
            Some(limit) => limit.try_admit().map(Some).ok_or(()),
            None => Ok(None),
        }
    }

    /// What its filter chain has counted.
    pub(crate) fn counts(&self) -> &Arc<HttpCounts> {
        self.chain.counts()
    }

    /// Counts its connection until that is dropped.
    pub(super) fn open(&self, http2: bool) -> OpenHttp {
        self.counts().connection(http2, self.tls.is_some())
    }

    /// What its TLS handshake told; none on a connection without TLS.
    pub(crate) fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_deref()
    }

    /// The drain of the filter chain that it came in by, which begins with its listener's and the process's at the latest.
    pub(crate) fn drain(&self) -> Option<&Watch> {
        self.listener.as_ref().map(|_| self.chain.watch())
    }

    /// Whether a request for `host` has come to the wrong place: its filter chain answers for certain hosts, and this is
    /// none of them (RFC 9110 §7.4, §15.5.20).
    pub(crate) fn is_misdirected(&self, host: &str) -> bool {
        let Some(hosts) = &self.chain.hosts else {
            return false;
        };
        !hosts.cover(host)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("remote", &self.remote)
            .field("chain", &self.chain.name)
            .finish_non_exhaustive()
    }
}

impl TlsFacts {
    /// Of a handshake that told nothing.
    pub(crate) fn nothing() -> Self {
        Self {
            server_name: None,
            alpn: None,
            version: None,
            forwarded: None,
            certificate: None,
        }
    }

    pub(super) fn of(session: &ServerConnection) -> Self {
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        Self {
            server_name: session.server_name().map(|name| name.to_ascii_lowercase().into()),
            alpn: session.alpn_protocol().map(Into::into),
            version: session.protocol_version(),
            forwarded: None,
            certificate: certificate.map(|certificate| certificate.as_ref().into()),
        }
    }

    /// The same, with what upstreams are told about the certificate, to whom `own` was shown.
    pub(super) fn with_forwarded(self, details: Details, session: &ServerConnection, own: &[u8]) -> Self {
        let chain = session.peer_certificates().unwrap_or_default();
        let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
        Self {
            forwarded: certificate::element(details, &chain, own),
            ..self
        }
    }

    /// The client's own certificate, in DER.
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }
}
