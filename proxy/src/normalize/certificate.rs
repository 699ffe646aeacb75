//! What is an upstream told about its client's certificate (`X-Forwarded-Client-Cert`), and of whom is that believed?
//!
//! ```
//! use tidegate_proxy::config::http::HttpSettings;
//! use tidegate_proxy::normalize::certificate::{CertificateField, Details};
//!
//! // Nobody is believed; an upstream learns which URI the client has shown.
//! let uri = Details { uris: true, ..Details::default() };
//! let http = HttpSettings { client_certificate: CertificateField::Set(uri), ..HttpSettings::default() };
//! assert_ne!(http.client_certificate, CertificateField::default());
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::twins_of;
use crate::connection::Peer;
use crate::tls::certificate::{Facts, SubjectName};
use crate::tls::pin::sha256;

pub(super) const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// What becomes of `X-Forwarded-Client-Cert`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateField {
    /// It is a field like any other: it passes as it came, unless an
    /// [`EdgePolicy`](super::edge::EdgePolicy) takes it out.
    #[default]
    Pass,
    /// It passes if its client has shown a certificate, for a proxy in front that is known by its own.
    PassOfKnown,
    /// An element about the client's certificate is added to it; without such a certificate it is removed.
    Append(Details),
    /// The same, but what the client says itself is always removed.
    Set(Details),
}

/// What an element says beside the URIs of the certificate that this side has shown, and the client's certificate's hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The certificate, as PEM text with its special characters as URLs have them.
    pub certificate: bool,
    /// The same of all that the client has sent with it.
    pub chain: bool,
    /// Its subject.
    pub subject: bool,
    /// Its URIs.
    pub uris: bool,
    /// Its host names.
    pub hosts: bool,
}

impl CertificateField {
    /// What has to be said about clients that show a certificate, if anything.
    pub(crate) fn details(self) -> Option<Details> {
        match self {
            Self::Pass | Self::PassOfKnown => None,
            Self::Append(details) | Self::Set(details) => Some(details),
        }
    }

    /// Gives the field of a request the form that this says.
    pub(super) fn apply(self, headers: &mut HeaderMap, peer: &Peer) {
        if self == Self::Pass {
            return;
        }
        for twin in twins_of(headers, &X_FORWARDED_CLIENT_CERT) {
            headers.remove(twin);
        }
        let facts = peer.tls().filter(|facts| facts.certificate().is_some());
        let Some(facts) = facts else {
            headers.remove(X_FORWARDED_CLIENT_CERT);
            return;
        };
        let Some(own) = &facts.forwarded else {
            if self != Self::PassOfKnown {
                headers.remove(X_FORWARDED_CLIENT_CERT);
            }
            return;
        };
        let value = match self {
            Self::Append(_) => joined(headers, own),
            _ => None,
        };
        headers.insert(X_FORWARDED_CLIENT_CERT, value.unwrap_or_else(|| own.clone()));
    }
}

/// One line of all there are, ours last.
fn joined(headers: &HeaderMap, own: &HeaderValue) -> Option<HeaderValue> {
    let mut whole = Vec::new();
    for value in headers.get_all(X_FORWARDED_CLIENT_CERT) {
        whole.extend_from_slice(value.as_bytes());
        whole.push(b',');
    }
    if whole.is_empty() {
        return None;
    }
    whole.extend_from_slice(own.as_bytes());
    HeaderValue::from_bytes(&whole).ok()
}

/// The element about a client that has shown this chain, its own certificate first, to one who has shown `own`.
pub(crate) fn element(details: Details, chain: &[&[u8]], own: &[u8]) -> Option<HeaderValue> {
    let certificate = chain.first()?;
    let facts = Facts::read(certificate)?;
    let mut parts = Vec::new();
    if let Some(own) = Facts::read(own) {
        parts.extend(uris(&own).map(|uri| format!("By={}", quoted(uri))));
    }
    let hash = sha256(certificate).map(|byte| format!("{byte:02x}")).concat();
    parts.push(format!("Hash={hash}"));
    if details.certificate {
        parts.push(format!("Cert=\"{}\"", pem(certificate)));
    }
    if details.chain {
        let whole: String = chain.iter().map(|one| pem(one)).collect();
        parts.push(format!("Chain=\"{whole}\""));
    }
    if details.subject {
        // Quotes in it are escaped as they have to be here.
        parts.push(format!("Subject=\"{}\"", facts.subject));
    }
    if details.uris {
        let before = parts.len();
        parts.extend(uris(&facts).map(|uri| format!("URI={}", quoted(uri))));
        if parts.len() == before {
            // It says that there is none.
            parts.push("URI=".to_owned());
        }
    }
    if details.hosts {
        let hosts = facts.names.iter().filter_map(|name| match name {
            SubjectName::Dns(host) => Some(host),
            _ => None,
        });
        parts.extend(hosts.map(|host| format!("DNS={}", quoted(host))));
    }
    HeaderValue::try_from(parts.join(";")).ok()
}

fn uris(facts: &Facts) -> impl Iterator<Item = &str> {
    facts.names.iter().filter_map(|name| match name {
        SubjectName::Uri(uri) => Some(uri.as_str()),
        _ => None,
    })
}

/// A name that could be read as more than one part stands in quotes.
fn quoted(name: &str) -> String {
    if name.contains([',', ';', '"', '\\']) {
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        name.to_owned()
    }
}

/// A certificate as PEM text whose special characters are written as in URLs.
#[must_use]
pub fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = String::with_capacity(encoded.len() * 5 / 4 + 80);
    text.push_str("-----BEGIN%20CERTIFICATE-----%0A");
    for (at, character) in encoded.chars().enumerate() {
        if at > 0 && at % PEM_LINE == 0 {
            text.push_str("%0A");
        }
        match character {
            '+' => text.push_str("%2B"),
            '/' => text.push_str("%2F"),
            '=' => text.push_str("%3D"),
            character => text.push(character),
        }
    }
    text.push_str("%0A-----END%20CERTIFICATE-----%0A");
    text
}

const PEM_LINE: usize = 64;

#[cfg(test)]
mod tests {
    use tidegate_testkit::certificates::{Authority, Wanted};

    use super::*;

    const ALL: Details = Details {
        certificate: true,
        chain: true,
        subject: true,
        uris: true,
        hosts: true,
    };

    /// What is said of a client with this certificate to a server with that one.
    fn said(details: Details, client: &Wanted, server: &Wanted) -> String {
        let authority = Authority::new("tests");
        let (client, server) = (authority.issue(client), authority.issue(server));
        let chain: &[&[u8]] = &[&client.certificate(), &authority.certificate()];
        let said = element(details, chain, &server.certificate()).unwrap();
        let said = said.to_str().unwrap();
        let hash = sha256(&client.certificate()).map(|byte| format!("{byte:02x}"));
        let said = said.replace(&hash.concat(), "…");
        let said = said.replace(&pem(&client.certificate()), "<client>");
        said.replace(&pem(&authority.certificate()), "<authority>")
    }

    #[test]
    fn an_element_says_what_it_is_asked_for_in_envoy_s_order() {
        let client = Wanted {
            names: vec!["a.example".into(), "b.example".into()],
            uris: vec!["spiffe://a".into(), "spiffe://b".into()],
            ..Wanted::default()
        };
        let server = Wanted::uri("spiffe://server");
        assert_eq!(
            said(Details::default(), &client, &server),
            "By=spiffe://server;Hash=…"
        );
        let whole = said(ALL, &client, &server);
        let (before, rest) = whole.split_once("Subject=\"").unwrap();
        assert_eq!(
            before,
            "By=spiffe://server;Hash=…;Cert=\"<client>\";Chain=\"<client><authority>\";"
        );
        let (_subject, rest) = rest.split_once("\";").unwrap();
        assert_eq!(rest, "URI=spiffe://a;URI=spiffe://b;DNS=a.example;DNS=b.example");
        let names = Details {
            uris: true,
            ..Details::default()
        };
        let nameless = said(
            names,
            &Wanted::names(["a.example"]),
            &Wanted::names(["b.example"]),
        );
        assert_eq!(nameless, "Hash=…;URI=");
    }

    #[test]
    fn no_name_can_pass_for_more_than_one_part() {
        let check = |name: &str, expected: &str| assert_eq!(quoted(name), expected);
        check("spiffe://a/b?c=d", "spiffe://a/b?c=d");
        check("spiffe://a;By=b", "\"spiffe://a;By=b\"");
        check("a,b", "\"a,b\"");
        check("a\";\\", "\"a\\\";\\\\\"");
    }

    #[test]
    fn pem_has_lines_as_everywhere() {
        let text = pem(&[0xfb; 60]);
        let marks = [("%20", " "), ("%0A", "\n"), ("%2B", "+"), ("%2F", "/")];
        let unescape = |text: String, (from, to): (&str, &str)| text.replace(from, to);
        let plain = marks.into_iter().fold(text, unescape);
        let lines: Vec<&str> = plain.lines().collect();
        assert_eq!(lines[0], "-----BEGIN CERTIFICATE-----");
        assert_eq!((lines[1].len(), lines[2].len()), (64, 16));
        assert_eq!(lines[3], "-----END CERTIFICATE-----");
    }
}
