//! Whose certificates are believed: trust anchors, revocation lists, and which names are wanted.
//!
//! ```
//! use tidegate_proxy::tls::certificate::SubjectName;
//! use tidegate_proxy::tls::trust::{NameMatch, Trust};
//! use tidegate_testkit::certificates::Authority;
//!
//! // Certificates of this authority, but only those of one workload.
//! let workload = NameMatch::uri("spiffe://example/app");
//! assert!(workload.matches(&SubjectName::Uri("spiffe://example/app".into())));
//! assert!(!workload.matches(&SubjectName::Dns("app".into())));
//! let trust = Trust::in_pem(Authority::new("example").pem.as_bytes())?.with_names(vec![workload]);
//! assert_eq!(trust.names.len(), 1);
//! # Ok::<(), tidegate_proxy::tls::TlsError>(())
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use regex::Regex;
use rustls::RootCertStore;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;

use super::TlsError;
use super::certificate::{Facts, SubjectName};
use super::identity::certificates;
use super::pin::Pin;

/// Whom to believe. Clones share the trust anchors.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Absent where it does not matter who has signed.
    roots: Option<Arc<RootCertStore>>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
    /// Which certificates of a chain the lists are asked for. Default: all.
    pub revocation: Revocation,
    /// A peer needs a name that one of these matches; empty asks for no name beyond the signature.
    pub names: Vec<NameMatch>,
    /// A peer's own certificate has to be one of these; empty takes any.
    pub pins: Vec<Pin>,
}

/// Which certificates of a chain revocation lists are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Revocation {
    /// All of them.
    #[default]
    Chain,
    /// The peer's own.
    Own,
}

/// What a subject alternative name has to be like. Which kinds of name it looks at is part of it: a URI that is spelt like
/// a host name does not pass for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameMatch {
    /// The kind of name; `None` looks at all of them.
    pub kind: Option<NameKind>,
    /// What its text has to be like.
    pub text: TextMatch,
}

/// The kinds of subject alternative names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// Host names.
    Dns,
    /// URIs.
    Uri,
    /// Addresses, as text.
    Ip,
    /// Mail addresses.
    Email,
}

/// What a text has to be like. Host names are compared without case, everything else byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextMatch {
    /// Equal. A `*.` host name of a certificate matches every name one label below.
    Exact(Box<str>),
    /// Beginning with this.
    Prefix(Box<str>),
    /// Ending with this.
    Suffix(Box<str>),
    /// Holding this.
    Contains(Box<str>),
    /// Matched by this as a whole; host names in lower case.
    Regex(Pattern),
}

/// A regular expression for whole texts. Two are equal if they are written alike.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads the expression; it is anchored at both ends.
    ///
    /// # Errors
    /// When it is none, or too large.
    pub fn new(expression: &str) -> Result<Self, regex::Error> {
        Regex::new(&format!("^(?:{expression})$")).map(Self)
    }
}

/// Where distributions keep the certificates of authorities (as Go looks for them).
const SYSTEM_ANCHORS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl Trust {
    /// Believes what these certificates (PEM text) have signed.
    ///
    /// # Errors
    /// When there is none, or one of them cannot be used.
    pub fn in_pem(anchors: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for (index, certificate) in certificates("trust anchors", anchors)?.into_iter().enumerate() {
            roots.add(certificate).map_err(|error| TlsError::Certificate {
                what: "trust anchors",
                index,
                detail: error.to_string(),
            })?;
        }
        if roots.is_empty() {
            return Err(TlsError::NoTrustAnchor);
        }
        Ok(Self {
            roots: Some(Arc::new(roots)),
            ..Self::dangerously_in_anyone()
        })
    }

    /// Believes what the system's authorities have signed: those in the file that `SSL_CERT_FILE` names, else where Linux
    /// distributions keep them. What cannot be read among them is left out.
    ///
    /// # Errors
    /// When there are none.
    pub fn of_system() -> Result<Self, TlsError> {
        let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let usual = SYSTEM_ANCHORS.iter().map(PathBuf::from);
        let mut places = named.into_iter().chain(usual);
        let text = places.find_map(|place| std::fs::read(place).ok());
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates("trust anchors", &text.unwrap_or_default())?);
        if roots.is_empty() {
            return Err(TlsError::NoTrustAnchor);
        }
        Ok(Self {
            roots: Some(Arc::new(roots)),
            ..Self::dangerously_in_anyone()
        })
    }

    /// Believes whoever has signed, himself included. What names and pins ask for still has to be there; names prove nothing,
    /// as anybody can write them into a certificate of his own.
    #[must_use]
    pub fn dangerously_in_anyone() -> Self {
        Self {
            roots: None,
            revoked: Vec::new(),
            revocation: Revocation::default(),
            names: Vec::new(),
            pins: Vec::new(),
        }
    }

    /// Believes only who shows one of these certificates, or one with one of these keys; see [`Trust::pins`] to ask for that
    /// beside a signature.
    #[must_use]
    pub fn in_pinned(pins: Vec<Pin>) -> Self {
        Self {
            pins,
            ..Self::dangerously_in_anyone()
        }
    }

    /// Refuses what these lists (PEM text, `BEGIN X509 CRL`) revoke, and every certificate whose issuer has no list here.
    ///
    /// # Errors
    /// When there is none, or one cannot be read.
    pub fn with_revoked(mut self, lists: &[u8]) -> Result<Self, TlsError> {
        let lists = CertificateRevocationListDer::pem_slice_iter(lists).collect::<Result<Vec<_>, _>>();
        let lists = lists.map_err(|error| TlsError::RevocationList(error.to_string()))?;
        if lists.is_empty() {
            return Err(TlsError::RevocationList("there is none in the text".to_owned()));
        }
        self.revoked.extend(lists);
        Ok(self)
    }

    /// Asks for a name that one of `names` matches.
    #[must_use]
    pub fn with_names(self, names: Vec<NameMatch>) -> Self {
        Self { names, ..self }
    }

    pub(crate) fn roots(&self) -> Option<&Arc<RootCertStore>> {
        self.roots.as_ref()
    }

    /// Whether both believe the same.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let anchors = |trust: &Self| trust.roots.as_ref().map(|roots| roots.roots.clone());
        let same_roots = match (&self.roots, &other.roots) {
            (Some(one), Some(two)) if Arc::ptr_eq(one, two) => true,
            _ => anchors(self) == anchors(other),
        };
        same_roots
            && (&self.revoked, self.revocation) == (&other.revoked, other.revocation)
            && (&self.names, &self.pins) == (&other.names, &other.pins)
    }

    /// Whether a certificate is what is asked for beside its signature.
    pub(crate) fn accepts(&self, certificate: &[u8]) -> bool {
        self.has_name(certificate)
            && (self.pins.is_empty() || self.pins.iter().any(|pin| pin.is(certificate)))
    }

    pub(crate) fn revoked(&self) -> &[CertificateRevocationListDer<'static>] {
        &self.revoked
    }

    /// Whether a certificate has one of the names that are asked for.
    fn has_name(&self, certificate: &[u8]) -> bool {
        if self.names.is_empty() {
            return true;
        }
        let Some(facts) = Facts::read(certificate) else {
            return false;
        };
        let wanted = |name: &SubjectName| self.names.iter().any(|rule| rule.matches(name));
        facts.names.iter().any(wanted)
    }
}

impl NameMatch {
    /// Exactly this host name.
    pub fn dns(name: impl Into<Box<str>>) -> Self {
        Self {
            kind: Some(NameKind::Dns),
            text: TextMatch::Exact(name.into()),
        }
    }

    /// Exactly this URI.
    pub fn uri(uri: impl Into<Box<str>>) -> Self {
        Self {
            kind: Some(NameKind::Uri),
            text: TextMatch::Exact(uri.into()),
        }
    }

    /// Whether a name is as it has to be.
    #[must_use]
    pub fn matches(&self, name: &SubjectName) -> bool {
        let (kind, text) = match name {
            SubjectName::Dns(host) => (NameKind::Dns, host.to_ascii_lowercase()),
            SubjectName::Uri(uri) => (NameKind::Uri, uri.clone()),
            SubjectName::Ip(address) => (NameKind::Ip, address.to_string()),
            SubjectName::Email(address) => (NameKind::Email, address.clone()),
        };
        if self.kind.is_some_and(|wanted| wanted != kind) {
            return false;
        }
        let lower = |rule: &str| match kind {
            NameKind::Dns => rule.to_ascii_lowercase(),
            _ => rule.to_owned(),
        };
        match &self.text {
            TextMatch::Exact(rule) => {
                let rule = lower(rule);
                rule == text || kind == NameKind::Dns && one_label_below(&rule, &text)
            }
            TextMatch::Prefix(rule) => text.starts_with(&lower(rule)),
            TextMatch::Suffix(rule) => text.ends_with(&lower(rule)),
            TextMatch::Contains(rule) => text.contains(&lower(rule)),
            TextMatch::Regex(pattern) => pattern.0.is_match(&text),
        }
    }
}

/// Whether `pattern` is `*.` and `host` has exactly one label more than what follows (RFC 6125 §6.4.3).
pub(crate) fn one_label_below(host: &str, pattern: &str) -> bool {
    let Some(parent) = pattern.strip_prefix("*.") else {
        return false;
    };
    host.split_once('.')
        .is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: &NameMatch, name: &SubjectName, expected: bool) {
        assert_eq!(rule.matches(name), expected, "{rule:?} {name}");
    }

    #[test]
    fn a_name_matches_by_kind_and_text() {
        let dns = |name: &str| SubjectName::Dns(name.into());
        check(&NameMatch::dns("A.example"), &dns("a.Example"), true);
        check(&NameMatch::dns("a.b.example"), &dns("*.b.example"), true);
        check(&NameMatch::dns("b.example"), &dns("*.b.example"), false);
        check(&NameMatch::dns("x.a.b.example"), &dns("*.b.example"), false);
        check(
            &NameMatch::dns("a.example"),
            &SubjectName::Uri("a.example".into()),
            false,
        );
        let text = |text| NameMatch { kind: None, text };
        let spiffe = SubjectName::Uri("spiffe://one/ns/a".into());
        check(&text(TextMatch::Prefix("spiffe://one/".into())), &spiffe, true);
        check(&text(TextMatch::Prefix("spiffe://ONE/".into())), &spiffe, false);
        check(&text(TextMatch::Suffix("/a".into())), &spiffe, true);
        check(&text(TextMatch::Contains("/ns/".into())), &spiffe, true);
        let pattern = Pattern::new("spiffe://[a-z]+/ns/a|x").unwrap();
        check(&text(TextMatch::Regex(pattern)), &spiffe, true);
        check(
            &text(TextMatch::Regex(Pattern::new("/ns/a").unwrap())),
            &spiffe,
            false,
        );
        let ip = SubjectName::Ip("::1".parse().unwrap());
        check(&text(TextMatch::Exact("::1".into())), &ip, true);
    }
}
