//! Which endpoint a client was served by before, as it says itself, and how it is told (Envoy's stateful session).
//!
//! What a client says is only ever compared with the endpoints that the cluster has: it cannot name another.
//!
//! ```
//! use std::time::SystemTime;
//! use http::{HeaderMap, HeaderName};
//! use tidegate_proxy::cluster::affinity::{Affinity, Carrier, Otherwise};
//! use tidegate_proxy::cluster::Endpoint;
//!
//! let carrier = Carrier::Header(HeaderName::from_static("x-session"));
//! let affinity = Affinity { carrier, otherwise: Otherwise::Another };
//! let served = Endpoint::new("10.0.0.1:80".parse::<std::net::SocketAddr>()?);
//! // The response tells the client; what the client says of it in its next request leads there again.
//! let (mut fields, now) = (HeaderMap::new(), SystemTime::now());
//! affinity.tell(None, &served, &mut fields, now);
//! assert_eq!(affinity.wanted("/", &fields, now).as_ref(), Some(served.address()));
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use prost::Message;

use super::{Address, Endpoint};
use crate::config::limits;

/// Keeps a client at the endpoint that served it first, as long as that one is healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// What carries the endpoint's address.
    pub carrier: Carrier,
    /// What happens when the endpoint is gone or unhealthy.
    pub otherwise: Otherwise,
}

/// What carries an endpoint's address, base64-encoded, between the client and the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A cookie.
    Cookie(AffinityCookie),
    /// A field of this name, in responses and, if the client copies it, in requests.
    Header(HeaderName),
}

/// The cookie that tells a client its endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AffinityCookie {
    /// Its name.
    pub name: Box<str>,
    /// The paths that it is for, as the upstream sees them; empty and `/` are all.
    pub path: Box<str>,
    /// For how long it is good; `None`: until the client ends its session.
    pub ttl: Option<Duration>,
}

/// What happens to a request whose endpoint is gone or unhealthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Otherwise {
    /// The balancer picks another.
    #[default]
    Another,
    /// It is answered 503.
    Unavailable,
}

/// What Envoy puts into the cookie (`envoy.Cookie`).
#[derive(Clone, PartialEq, Message)]
struct Token {
    #[prost(string, tag = "1")]
    address: String,
    /// In seconds of Unix time; 0 is never.
    #[prost(int64, tag = "2")]
    expires: i64,
}

impl Affinity {
    /// The endpoint that a request of `path` with these fields was served by before, as far as it says so.
    #[must_use]
    pub fn wanted(&self, path: &str, headers: &HeaderMap, now: SystemTime) -> Option<Address> {
        match &self.carrier {
            Carrier::Header(name) => {
                let text = decode(headers.get(name)?.as_bytes())?;
                address(std::str::from_utf8(&text).ok()?)
            }
            Carrier::Cookie(cookie) => {
                if !cookie.covers(path) {
                    return None;
                }
                let text = decode(value_of(headers, &cookie.name)?)?;
                read_token(&text, now)
            }
        }
    }

    /// Tells the client that `served` served it, where it does not know.
    pub fn tell(
        &self,
        wanted: Option<&Address>,
        served: &Endpoint,
        headers: &mut HeaderMap,
        now: SystemTime,
    ) {
        if wanted == Some(served.address()) {
            return;
        }
        let address = served.address().to_string();
        let (name, value) = match &self.carrier {
            Carrier::Header(name) => (name.clone(), STANDARD.encode(address)),
            Carrier::Cookie(cookie) => (SET_COOKIE, cookie.write(address, now)),
        };
        // Names and paths are configured, the rest is base64: a value that is none says nothing.
        if let Ok(value) = HeaderValue::try_from(value) {
            if name == SET_COOKIE {
                headers.append(name, value);
            } else {
                headers.insert(name, value);
            }
        }
    }
}

impl AffinityCookie {
    /// Whether requests of `path` have the cookie (RFC 6265 §5.1.4).
    fn covers(&self, path: &str) -> bool {
        match path.strip_prefix(&*self.path) {
            Some(rest) => {
                self.path.ends_with('/') || self.path.is_empty() || rest.is_empty() || rest.starts_with('/')
            }
            None => false,
        }
    }

    fn write(&self, address: String, now: SystemTime) -> String {
        let expires = self
            .ttl
            .map_or(0, |ttl| unix_seconds(now).saturating_add_unsigned(ttl.as_secs()));
        let token = STANDARD.encode(Token { address, expires }.encode_to_vec());
        let mut cookie = format!("{}=\"{token}\"", self.name);
        if let Some(ttl) = self.ttl {
            cookie.push_str(&format!("; Max-Age={}", ttl.as_secs()));
        }
        if !self.path.is_empty() {
            cookie.push_str(&format!("; Path={}", self.path));
        }
        cookie + "; HttpOnly"
    }
}

/// The value of the first cookie of this name.
fn value_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let fields = headers.get_all(COOKIE).iter();
    let mut pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let value = pair
            .trim_ascii()
            .strip_prefix(name.as_bytes())?
            .strip_prefix(b"=")?;
        let bare = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""));
        Some(bare.unwrap_or(value))
    })
}

fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    (encoded.len() <= limits::AFFINITY_TOKEN_BYTES_MAX)
        .then(|| STANDARD.decode(encoded).ok())
        .flatten()
}

/// Reads what [`AffinityCookie::write`] wrote, or a bare address.
fn read_token(text: &[u8], now: SystemTime) -> Option<Address> {
    if let Some(address) = std::str::from_utf8(text).ok().and_then(address) {
        return Some(address);
    }
    let token = Token::decode(text).ok()?;
    let expired = token.expires != 0 && token.expires < unix_seconds(now);
    if expired { None } else { address(&token.address) }
}

fn address(text: &str) -> Option<Address> {
    match text.strip_prefix("unix:") {
        Some(path) => Some(Address::Unix(Arc::from(Path::new(path)))),
        None => text.parse::<SocketAddr>().ok().map(Address::Tcp),
    }
}

fn unix_seconds(now: SystemTime) -> i64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(path: &str, ttl: Option<u64>) -> Affinity {
        let cookie = AffinityCookie {
            name: "at".into(),
            path: path.into(),
            ttl: ttl.map(Duration::from_secs),
        };
        Affinity {
            carrier: Carrier::Cookie(cookie),
            otherwise: Otherwise::Another,
        }
    }

    fn endpoint() -> Endpoint {
        Endpoint::new(SocketAddr::from(([10, 0, 0, 1], 80)))
    }

    /// What a client sends that was told `response`.
    fn sent_back(response: &HeaderMap) -> HeaderMap {
        let told = response[SET_COOKIE].to_str().unwrap();
        let pair = told.split(';').next().unwrap();
        HeaderMap::from_iter([(
            COOKIE,
            HeaderValue::try_from(format!("a=b; {pair}; c=d")).unwrap(),
        )])
    }

    #[test]
    fn a_client_is_told_once_and_recognised_until_the_cookie_is_old() {
        let (affinity, now, mut told) = (cookie("/app", Some(60)), SystemTime::now(), HeaderMap::new());
        affinity.tell(None, &endpoint(), &mut told, now);
        let text = told[SET_COOKIE].to_str().unwrap();
        assert!(text.ends_with("; Max-Age=60; Path=/app; HttpOnly"), "{text}");
        let request = sent_back(&told);
        let wanted = affinity.wanted("/app/x", &request, now);
        assert_eq!(wanted.as_ref(), Some(endpoint().address()));
        assert_eq!(affinity.wanted("/application", &request, now), None);
        assert_eq!(
            affinity.wanted("/app", &request, now + Duration::from_secs(62)),
            None
        );
        let mut again = HeaderMap::new();
        affinity.tell(wanted.as_ref(), &endpoint(), &mut again, now);
        assert!(again.is_empty());
    }

    #[test]
    fn a_header_carries_it_too() {
        let (name, mut headers) = (HeaderName::from_static("x-at"), HeaderMap::new());
        let affinity = Affinity {
            carrier: Carrier::Header(name),
            otherwise: Otherwise::Another,
        };
        affinity.tell(None, &endpoint(), &mut headers, SystemTime::now());
        assert_eq!(headers["x-at"], STANDARD.encode("10.0.0.1:80"));
        let wanted = affinity.wanted("/", &headers, SystemTime::now());
        assert_eq!(wanted.as_ref(), Some(endpoint().address()));
    }

    #[test]
    fn what_is_no_address_says_nothing() {
        let long = format!("at={}", "A".repeat(limits::AFFINITY_TOKEN_BYTES_MAX + 4));
        for text in [
            "",
            "at",
            "at=",
            "at=%%",
            "at=AAAA",
            "att=MTAuMC4wLjE6ODA=",
            "at=\"",
            &long,
        ] {
            let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(text).unwrap())]);
            let wanted = cookie("", None).wanted("/", &headers, SystemTime::now());
            assert_eq!(wanted, None, "{text}");
        }
        let bare = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("at=MTAuMC4wLjE6ODA="))]);
        assert!(cookie("/", None).wanted("/", &bare, SystemTime::now()).is_some());
    }
}
