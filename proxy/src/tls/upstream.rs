//! TLS to endpoints: whom they are trusted by, which names they must have, who this side is.
//!
//! ```
//! # use tidegate_testkit::certificates::Authority;
//! use tidegate_proxy::tls::trust::Trust;
//! use tidegate_proxy::tls::upstream::{ClientTls, ClientTlsSettings, ServerName};
//!
//! # let pem = Authority::new("doc").pem;
//! let settings = ClientTlsSettings {
//!     server_name: ServerName::Literal("db.internal".into()),
//!     ..ClientTlsSettings::trusting(Trust::in_pem(pem.as_bytes())?)
//! };
//! let tls = ClientTls::new(settings)?;
//! # Ok::<(), tidegate_proxy::tls::TlsError>(())
//! ```

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::TlsError;
use super::identity::Identity;
use super::server::{TlsVersion, versions};
use super::suites::Offer;
use super::trust::Trust;
use crate::cluster::Address;
use crate::cluster::transport::Protocol;
use crate::config::limits;

mod verify;

/// Whose certificates are believed. [`ClientTlsSettings::trusting`] and
/// [`ClientTlsSettings::dangerously_trusting_anyone`] say which.
#[derive(Clone, Debug)]
pub struct Trusted(Option<Trust>);

/// Which name a handshake asks for (SNI, RFC 6066 §3); an IP address is checked, but not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServerName {
    /// The endpoint's IP address; a Unix domain socket is `localhost`.
    #[default]
    Address,
    /// This one.
    Literal(Box<str>),
    /// The host of the request that the connection is dialled for. Requests for other hosts get other connections.
    Host,
    /// The endpoint's own name, or its address where it has none. Endpoints of several names get connections of their own.
    Endpoint,
}

/// Whether a certificate has to name what the handshake asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NameCheck {
    /// It has to, unless the trust asks for names of its own ([`Trust::with_names`]): then those count alone, as in
    /// Envoy.
    #[default]
    Checked,
    /// It has to, and it has to have one of the trust's own names as well, where that asks for some.
    Both,
    /// To be trusted is enough, as where one authority signs for these endpoints only (Envoy without matchers).
    Unchecked,
}

/// How endpoints are spoken to over TLS.
#[derive(Clone, Debug)]
pub struct ClientTlsSettings {
    /// Whose certificates are believed.
    pub trust: Trusted,
    /// Which name is asked for. Default: the endpoint's address.
    pub server_name: ServerName,
    /// Whether a certificate has to have that name. Default: yes.
    pub name_check: NameCheck,
    /// What is shown to endpoints that ask for a certificate. Default: nothing.
    pub identity: Option<Identity>,
    /// The protocols to offer instead of those that [`Protocol`] implies. Default: none.
    pub alpn: Option<Vec<Vec<u8>>>,
    /// The lowest version. Default: 1.2.
    pub lowest: TlsVersion,
    /// The highest version. Default: 1.3.
    pub highest: TlsVersion,
    /// What is offered to encrypt and to agree on keys. Default: everything there is.
    pub offer: Offer,
    /// Of how many servers sessions are kept, so that a later handshake is shorter; 0 keeps none. Default:
    /// [`limits::UPSTREAM_TLS_SESSIONS`].
    pub sessions: usize,
}

impl ClientTlsSettings {
    /// The defaults; endpoints are believed as `trust` says.
    #[must_use]
    pub fn trusting(trust: Trust) -> Self {
        Self::with(Trusted(Some(trust)))
    }

    /// The defaults, and whoever answers is believed: the connection is encrypted, to somebody. For tests, and for
    /// endpoints that are known by other means.
    #[must_use]
    pub fn dangerously_trusting_anyone() -> Self {
        Self::with(Trusted(None))
    }

    fn with(trust: Trusted) -> Self {
        Self {
            trust,
            server_name: ServerName::default(),
            name_check: NameCheck::default(),
            identity: None,
            alpn: None,
            lowest: TlsVersion::Tls12,
            highest: TlsVersion::Tls13,
            offer: Offer::default(),
            sessions: limits::UPSTREAM_TLS_SESSIONS,
        }
    }

    /// What two settings have in common that are the same to every endpoint.
    fn content(&self) -> impl PartialEq + Hash + '_ {
        let shown = self.identity.as_ref();
        (
            (&self.server_name, self.name_check, &self.alpn),
            (self.lowest, self.highest, &self.offer, self.sessions),
            // The key is its certificate's, that was checked.
            shown.map(|identity| &identity.certified_key().cert),
            self.trust.0.is_none(),
        )
    }

    fn trusts_like(&self, other: &Self) -> bool {
        match (&self.trust.0, &other.trust.0) {
            (None, None) => true,
            (Some(one), Some(other)) => one.is_like(other),
            _ => false,
        }
    }
}

/// Settings that have been found good, ready for handshakes. Two are equal if their settings are.
#[derive(Clone)]
pub struct ClientTls(Arc<Ready>);

struct Ready {
    settings: ClientTlsSettings,
    // One for each protocol: they differ in what they offer by ALPN, and share their sessions.
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    auto: Arc<ClientConfig>,
    /// For connections that carry no HTTP, which few clusters have.
    bytes: OnceLock<Arc<ClientConfig>>,
}

impl ClientTls {
    /// Checks everything, once.
    ///
    /// # Errors
    /// When something of the settings cannot be used; the error names it.
    pub fn new(settings: ClientTlsSettings) -> Result<Self, TlsError> {
        if let ServerName::Literal(name) = &settings.server_name {
            parse_name(name)?;
        }
        let mut names = settings.alpn.iter().flatten();
        if !names.all(|name| (1..=255).contains(&name.len())) {
            return Err(TlsError::AlpnName);
        }
        let config = config(&settings)?;
        let offering = |offers: &[&str]| {
            let mut config = config.clone();
            let usual = || offers.iter().map(|offer| offer.as_bytes().to_vec()).collect();
            config.alpn_protocols = settings.alpn.clone().unwrap_or_else(usual);
            Arc::new(config)
        };
        Ok(Self(Arc::new(Ready {
            http1: offering(&[HTTP1]),
            http2: offering(&[HTTP2]),
            auto: offering(&[HTTP2, HTTP1]),
            bytes: OnceLock::new(),
            settings,
        })))
    }

    /// What it was made of.
    #[must_use]
    pub fn settings(&self) -> &ClientTlsSettings {
        &self.0.settings
    }

    /// Speaks TLS over `stream` with the server of this name or address, which has to have it where names are checked.
    ///
    /// # Errors
    /// When the name is none, or the handshake fails. Who calls bounds the time.
    pub async fn handshake<S>(&self, name: &str, protocol: Protocol, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = parse_name(name.trim_matches(['[', ']'])).map_err(io::Error::other)?;
        let connector = TlsConnector::from(self.config(Some(protocol)));
        connector.connect(name, stream).await
    }

    /// How to speak to an endpoint of this protocol; none is what is no HTTP.
    pub(crate) fn config(&self, protocol: Option<Protocol>) -> Arc<ClientConfig> {
        let config = match protocol {
            Some(Protocol::Http1) => &self.0.http1,
            Some(Protocol::Http2) => &self.0.http2,
            Some(Protocol::Auto) => &self.0.auto,
            None => self.0.bytes.get_or_init(|| {
                let mut config = ClientConfig::clone(&self.0.http1);
                config.alpn_protocols = self.0.settings.alpn.clone().unwrap_or_default();
                Arc::new(config)
            }),
        };
        Arc::clone(config)
    }

    /// The name to ask an endpoint at `address` for, on behalf of a request for `host`.
    pub(crate) fn server_name(
        &self,
        address: &Address,
        host: Option<&str>,
    ) -> Result<pki_types::ServerName<'static>, TlsError> {
        match (&self.0.settings.server_name, host, address) {
            (ServerName::Literal(name), _, _) => parse_name(name),
            (ServerName::Host | ServerName::Endpoint, Some(host), _) => {
                parse_name(host.trim_matches(['[', ']']))
            }
            (_, _, Address::Tcp(address)) => Ok(address.ip().to_canonical().into()),
            (_, _, Address::Unix(_)) => parse_name(NAMELESS),
        }
    }
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (&self.0.settings, &other.0.settings);
        Arc::ptr_eq(&self.0, &other.0) || one.content() == two.content() && one.trusts_like(two)
    }
}

impl Eq for ClientTls {}

impl Hash for ClientTls {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.settings.content().hash(state);
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("server_name", &self.0.settings.server_name)
            .finish_non_exhaustive()
    }
}

/// Names of protocols in ALPN (RFC 9113 §3.1, RFC 7301 §6).
pub(crate) const HTTP2: &str = "h2";
const HTTP1: &str = "http/1.1";
/// Stands in the handshake's place for a name where there is none; what is on a Unix domain socket is local.
const NAMELESS: &str = "localhost";

fn parse_name(name: &str) -> Result<pki_types::ServerName<'static>, TlsError> {
    pki_types::ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
}

fn config(settings: &ClientTlsSettings) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(settings.offer.provider())
        .with_protocol_versions(versions(settings.lowest, settings.highest)?)
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verify::verifier(settings)?);
    let mut config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = CertifiedKey::clone(identity.certified_key());
            let shown: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(key));
            builder.with_client_cert_resolver(shown)
        }
    };
    config.resumption = match settings.sessions {
        0 => Resumption::disabled(),
        sessions => Resumption::in_memory_sessions(sessions),
    };
    Ok(config)
}

/// What a failed handshake was about, in words that give nothing away to a client.
pub(crate) fn describe(error: &io::Error) -> &'static str {
    use rustls::{CertificateError, Error};
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    match cause {
        None => "the upstream ended the TLS handshake",
        Some(Error::InvalidCertificate(fault)) => match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the upstream's certificate has expired"
            }
            CertificateError::UnknownIssuer => "the upstream's certificate is signed by nobody trusted",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the upstream's certificate has none of the expected names"
            }
            _ => "the upstream's certificate is not valid",
        },
        Some(Error::InvalidMessage(_)) => "the upstream does not speak TLS",
        Some(Error::AlertReceived(_)) => "the upstream refused the TLS handshake",
        Some(_) => "the TLS handshake with the upstream failed",
    }
}

#[cfg(test)]
mod tests;
