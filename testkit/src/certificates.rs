//! Which certificates do tests use? Made on the spot by an authority of the test's own, so that none can expire in a tree.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, RsaKeySize, SanType, date_time_ymd,
};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// What kind of key a certificate has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// ECDSA on P-256: what tests use unless the kind matters, since it is quick to make.
    #[default]
    EcdsaP256,
    /// RSA with 2048 bits; making one takes a tenth of a second and more.
    Rsa2048,
}

/// What a certificate shall say.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Host names (`*.` included) and IP addresses.
    pub names: Vec<String>,
    /// URIs, such as `spiffe://cluster.example/ns/a/sa/b`.
    pub uris: Vec<String>,
    /// The kind of its key.
    pub key: Key,
    /// Whether its last day has passed.
    pub expired: bool,
}

impl Wanted {
    /// A certificate for these names.
    pub fn names<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// A certificate for one URI and no name: what a mesh's workload has.
    pub fn uri(uri: impl Into<String>) -> Self {
        Self {
            uris: vec![uri.into()],
            ..Self::default()
        }
    }
}

/// A certificate with its key, good for a server as for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    /// The certificate as PEM text.
    pub certificate_pem: String,
    /// Its private key as PEM text (PKCS #8).
    pub key_pem: String,
}

impl Identity {
    /// The certificate, as a peer sees it.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// The chain that is sent: the certificate alone, since the authority itself signed it.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate()]
    }

    /// The private key.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }
}

/// A certificate authority that nobody but the test trusts.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    /// Its certificate as PEM text: what a `--cacert` takes.
    pub pem: String,
}

impl Authority {
    /// A new one, whose subject is `name`: two of the same name still do not trust each other's certificates.
    ///
    /// ```
    /// use tidegate_testkit::certificates::{Authority, Wanted};
    ///
    /// let authority = Authority::new("tests");
    /// let server = authority.issue(&Wanted::names(["a.example"]));
    /// assert!(server.certificate_pem.starts_with("-----BEGIN CERTIFICATE-----"));
    /// let client = authority.client_config(&["h2", "http/1.1"], None);
    /// assert_eq!(client.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    /// ```
    ///
    /// # Panics
    /// When the system has no randomness.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = parameters.self_signed(&key).expect("an authority signs itself");
        Self {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(parameters, key),
        }
    }

    /// Signs a certificate with a key of its own.
    ///
    /// # Panics
    /// When a name or URI fits no certificate.
    #[must_use]
    pub fn issue(&self, wanted: &Wanted) -> Identity {
        let mut parameters =
            CertificateParams::new(wanted.names.clone()).expect("names and addresses fit a certificate");
        let uris = wanted.uris.iter().map(|uri| {
            let uri = uri.as_str().try_into().expect("a URI is ASCII");
            SanType::URI(uri)
        });
        parameters.subject_alt_names.extend(uris);
        if let Some(first) = wanted.names.first() {
            parameters.distinguished_name.push(DnType::CommonName, first);
        }
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        if wanted.expired {
            (parameters.not_before, parameters.not_after) =
                (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 12, 31));
        }
        let key = match wanted.key {
            Key::EcdsaP256 => KeyPair::generate(),
            Key::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
        };
        let key = key.expect("a key can be made");
        let certificate = parameters
            .signed_by(&key, &self.issuer)
            .expect("the authority signs");
        Identity {
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// [`Authority::issue`] for one name, with the usual key.
    #[must_use]
    pub fn server(&self, name: &str) -> Identity {
        self.issue(&Wanted::names([name]))
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// Trust in this authority and nobody else.
    ///
    /// # Panics
    /// Never: its own certificate is well formed.
    #[must_use]
    pub fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.certificate())
            .expect("an authority's certificate is well formed");
        Arc::new(roots)
    }

    /// A client that trusts this authority, offers these protocols by ALPN (none: no extension), and shows `identity` to
    /// servers that ask for one. Every connection makes a full handshake: nothing is resumed.
    ///
    /// # Panics
    /// When the key of `identity` is not its certificate's.
    #[must_use]
    pub fn client_config(&self, alpn: &[&str], identity: Option<&Identity>) -> ClientConfig {
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots(), provider());
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has TLS 1.2 and 1.3")
            .with_webpki_verifier(verifier.build().expect("there is a root"));
        let mut config = match identity {
            Some(identity) => builder
                .with_client_auth_cert(identity.chain(), identity.key())
                .expect("the key is the certificate's"),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols(alpn);
        config.resumption = rustls::client::Resumption::disabled();
        config
    }

    /// A server that shows `identity`, speaks these protocols by ALPN, and takes only clients with a certificate of
    /// `clients`, if there is one.
    ///
    /// # Panics
    /// When the key of `identity` is not its certificate's.
    #[must_use]
    pub fn server_config(identity: &Identity, alpn: &[&str], clients: Option<&Self>) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has TLS 1.2 and 1.3");
        let builder = match clients {
            Some(authority) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(authority.roots(), provider());
                builder.with_client_cert_verifier(verifier.build().expect("there is a root"))
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(identity.chain(), identity.key())
            .expect("the key is the certificate's");
        config.alpn_protocols = protocols(alpn);
        config
    }
}

/// The one provider of the workspace; named each time, so that tests need no process-wide default.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn protocols(alpn: &[&str]) -> Vec<Vec<u8>> {
    alpn.iter().map(|name| name.as_bytes().to_vec()).collect()
}
