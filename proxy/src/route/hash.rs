//! What of a request decides which endpoint it goes to, where a cluster balances by hash.
//!
//! ```
//! use std::time::Duration;
//! use tidegate_proxy::route::{AffinityCookie, Forward, HashPolicy, Split};
//!
//! // Who brings the cookie goes where its value leads, who does not gets one. `chat` balances by ring hash or maglev.
//! let cookie = AffinityCookie::set_here("chat-server", Some("/"), Duration::from_secs(3600))?;
//! let mut forward = Forward::split(Split::single("chat", [].into()));
//! forward.hash = vec![HashPolicy::cookie(cookie).terminal(), HashPolicy::client_address()];
//! assert!(AffinityCookie::of_application("no cookie").is_err());
//! # Ok::<(), tidegate_proxy::route::InvalidField>(())
//! ```

use std::time::Duration;

use http::Request;
use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use xxhash_rust::xxh64::xxh64;

use super::matcher::parameter;
use super::{InvalidField, Substitution};
use crate::config::limits;

/// One part of a request's hash. The parts that a request has are combined in order, so no two cancel each other out.
#[derive(Clone, Debug)]
pub struct HashPolicy {
    source: Source,
    then: Then,
}

#[derive(Clone, Debug)]
enum Source {
    Header(HeaderName, Option<Box<Substitution>>),
    Cookie(AffinityCookie),
    Query(Box<str>),
    ClientAddress,
}

/// What follows a part that a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Continue,
    Stop,
}

/// A cookie whose value keeps a client at its endpoint.
#[derive(Clone, Debug)]
pub struct AffinityCookie {
    name: Box<str>,
    /// What follows the value where this proxy sets the cookie; without it, it sets none.
    attributes: Option<Box<str>>,
}

/// What hash policies made of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hashed {
    /// The hash, if the request has any part of it.
    pub(crate) hash: Option<u64>,
    /// A cookie for the client, so that its next request has the same hash.
    pub(crate) set_cookie: Option<HeaderValue>,
}

impl HashPolicy {
    /// By the values of a field.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        Self::of(Source::Header(name, None))
    }

    /// By what a regular expression makes of the values of a field.
    ///
    /// # Errors
    /// As [`Substitution::new`].
    pub fn header_rewritten(
        name: HeaderName,
        pattern: &str,
        replacement: &str,
    ) -> Result<Self, InvalidField> {
        let substitution = Substitution::new("hash header rewrite", pattern, replacement)?;
        Ok(Self::of(Source::Header(name, Some(Box::new(substitution)))))
    }

    /// By the value of a cookie.
    #[must_use]
    pub fn cookie(cookie: AffinityCookie) -> Self {
        Self::of(Source::Cookie(cookie))
    }

    /// By the first value of a query parameter.
    #[must_use]
    pub fn query(name: impl Into<Box<str>>) -> Self {
        Self::of(Source::Query(name.into()))
    }

    /// By the client's IP address.
    #[must_use]
    pub fn client_address() -> Self {
        Self::of(Source::ClientAddress)
    }

    /// The same, and where a request has a hash by then, the policies behind it do not count.
    #[must_use]
    pub fn terminal(self) -> Self {
        Self {
            then: Then::Stop,
            ..self
        }
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            then: Then::Continue,
        }
    }
}

impl AffinityCookie {
    /// A cookie that the application sets.
    ///
    /// # Errors
    /// When the name is no cookie name (RFC 6265 §4.1.1).
    pub fn of_application(name: &str) -> Result<Self, InvalidField> {
        let valid = HeaderName::from_bytes(name.as_bytes()).is_ok();
        if !valid {
            let why = "a cookie's name has only the characters of a token";
            return Err(InvalidField::new("cookie name", name, why));
        }
        Ok(Self {
            name: name.into(),
            attributes: None,
        })
    }

    /// A cookie that this proxy sets where a client has none: for `path` and for so long; with a duration of zero for
    /// the client's session. It is `HttpOnly`.
    ///
    /// # Errors
    /// As [`AffinityCookie::of_application`], and when no cookie can have the path.
    pub fn set_here(name: &str, path: Option<&str>, lifetime: Duration) -> Result<Self, InvalidField> {
        let mut attributes = String::new();
        if !lifetime.is_zero() {
            attributes.push_str(&format!("; Max-Age={}", lifetime.as_secs()));
        }
        if let Some(path) = path {
            if path.contains(';') || HeaderValue::from_str(path).is_err() {
                return Err(InvalidField::new(
                    "cookie path",
                    path,
                    "no cookie can have this path",
                ));
            }
            attributes.push_str(&format!("; Path={path}"));
        }
        attributes.push_str("; HttpOnly");
        Ok(Self {
            attributes: Some(attributes.into()),
            ..Self::of_application(name)?
        })
    }

    /// The same with one more attribute where this proxy sets it, such as `SameSite=Lax`; one without a value stands alone.
    ///
    /// # Errors
    /// When no cookie can have the attribute.
    pub fn with_attribute(mut self, name: &str, value: &str) -> Result<Self, InvalidField> {
        let fits = HeaderName::from_bytes(name.as_bytes()).is_ok()
            && HeaderValue::from_str(value).is_ok()
            && !value.contains(';');
        if !fits {
            let why = "no cookie can have this attribute";
            return Err(InvalidField::new("cookie attribute", name, why));
        }
        let equals = if value.is_empty() { "" } else { "=" };
        self.attributes = self
            .attributes
            .map(|attributes| format!("{attributes}; {name}{equals}{value}").into());
        Ok(self)
    }

    /// The value in the request's cookies; the first of several.
    fn value<'a>(&self, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        cookie(headers, &self.name)
    }

    /// A new value, and the field that sets it.
    fn create(&self) -> Option<(String, HeaderValue)> {
        let attributes = self.attributes.as_ref()?;
        let value = format!("{:016x}", fastrand::u64(..));
        let field = format!("{}=\"{value}\"{attributes}", self.name);
        Some((value, HeaderValue::try_from(field).ok()?))
    }
}

/// The hash of a normalised request from `client`.
pub(crate) fn of<B>(policies: &[HashPolicy], request: &Request<B>, client: Option<&HeaderValue>) -> Hashed {
    let mut result = Hashed::default();
    for policy in policies {
        let part = match &policy.source {
            Source::Header(name, rewrite) => header(request.headers(), name, rewrite.as_deref()),
            Source::Query(name) => {
                let query = request.uri().query().unwrap_or_default();
                parameter(query, name).map(|value| xxh64(value.as_bytes(), 0))
            }
            Source::ClientAddress => client.map(of_client),
            Source::Cookie(cookie) => match cookie.value(request.headers()) {
                Some(value) => Some(xxh64(value, 0)),
                None => cookie.create().map(|(value, field)| {
                    result.set_cookie = Some(field);
                    xxh64(value.as_bytes(), 0)
                }),
            },
        };
        if let Some(part) = part {
            result.hash = Some(result.hash.unwrap_or(0).rotate_left(1) ^ part);
        }
        if policy.then == Then::Stop && result.hash.is_some() {
            break;
        }
    }
    result
}

/// The hash of a client's address.
pub(crate) fn of_client(client: &HeaderValue) -> u64 {
    xxh64(client.as_bytes(), 0)
}

/// The value of a request's first cookie of this name.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let cookies = headers.get_all(COOKIE).iter();
    let mut pairs = cookies.flat_map(|cookies| cookies.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        let value = value.strip_prefix(b"=")?;
        let quoted = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""));
        Some(quoted.unwrap_or(value))
    })
}

/// The hash of all values of a field, in whatever order they came.
fn header(headers: &HeaderMap, name: &HeaderName, rewrite: Option<&Substitution>) -> Option<u64> {
    let mut values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    if values.is_empty() {
        return None;
    }
    values.sort_unstable();
    let hash = |seed, value: &[u8]| match rewrite {
        None => xxh64(value, seed),
        Some(rewrite) => match rewrite.apply(value, limits::HEADER_VALUE_BYTES_MAX) {
            Some(rewritten) => xxh64(&rewritten, seed),
            None => xxh64(value, seed),
        },
    };
    Some(values.into_iter().fold(0, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, fields: &[(&str, &str)]) -> Request<()> {
        let builder = Request::builder().uri(target);
        fields
            .iter()
            .fold(builder, |builder, (name, value)| builder.header(*name, *value))
            .body(())
            .unwrap()
    }

    fn hash(policies: &[HashPolicy], request: &Request<()>) -> Option<u64> {
        of(policies, request, Some(&HeaderValue::from_static("10.0.0.9"))).hash
    }

    fn by_header(name: &'static str) -> HashPolicy {
        HashPolicy::header(HeaderName::from_static(name))
    }

    #[test]
    fn each_source_hashes_what_it_names() {
        let check = |policy: HashPolicy, target: &str, fields: &[(&str, &str)], expected: Option<&str>| {
            let expected = expected.map(|text| xxh64(text.as_bytes(), 0));
            assert_eq!(
                hash(std::slice::from_ref(&policy), &request(target, fields)),
                expected,
                "{policy:?}"
            );
        };
        let session = || HashPolicy::cookie(AffinityCookie::of_application("s").unwrap());
        check(by_header("x-a"), "/", &[("x-a", "v")], Some("v"));
        check(by_header("x-a"), "/", &[], None);
        check(session(), "/", &[("cookie", "ss=1; s=v; t=2")], Some("v"));
        check(session(), "/", &[("cookie", "s=\"v\"")], Some("v"));
        check(session(), "/", &[("cookie", "ss=1")], None);
        check(HashPolicy::query("u"), "/?t=1&u=v", &[], Some("v"));
        check(HashPolicy::query("u"), "/", &[], None);
        check(HashPolicy::client_address(), "/", &[], Some("10.0.0.9"));
        let host = HashPolicy::header_rewritten(HeaderName::from_static("x-a"), "^v(.)$", r"\1").unwrap();
        check(host, "/", &[("x-a", "v1")], Some("1"));
    }

    #[test]
    fn the_order_of_values_does_not_matter_but_that_of_policies_does() {
        let [ab, ba] =
            [["a", "b"], ["b", "a"]].map(|values| request("/", &values.map(|value| ("x-a", value))));
        let one = [by_header("x-a")];
        assert_eq!(hash(&one, &ab), hash(&one, &ba));
        let both = request("/", &[("x-a", "1"), ("x-b", "2")]);
        let policies = [by_header("x-a"), by_header("x-b")];
        let reversed = [by_header("x-b"), by_header("x-a")];
        assert_ne!(hash(&policies, &both), hash(&reversed, &both));
        let twice = [by_header("x-a"), by_header("x-a")];
        assert_ne!(
            hash(&twice, &both),
            Some(0),
            "the same part twice does not cancel itself out"
        );
    }

    #[test]
    fn nothing_counts_behind_a_terminal_policy_that_found_something() {
        let policies = [by_header("x-a").terminal(), HashPolicy::client_address()];
        let with = request("/", &[("x-a", "v")]);
        assert_eq!(hash(&policies, &with), Some(xxh64(b"v", 0)));
        assert_eq!(hash(&policies, &request("/", &[])), Some(xxh64(b"10.0.0.9", 0)));
    }

    #[test]
    fn a_client_without_the_cookie_gets_one_that_hashes_the_same() {
        let cookie = AffinityCookie::set_here("s", Some("/a"), Duration::from_secs(60)).unwrap();
        let policies = [HashPolicy::cookie(cookie)];
        let first = of(&policies, &request("/", &[]), None);
        let field = first.set_cookie.unwrap().to_str().unwrap().to_owned();
        let (pair, attributes) = field.split_once("; ").unwrap();
        assert_eq!(attributes, "Max-Age=60; Path=/a; HttpOnly");
        let second = of(&policies, &request("/", &[("cookie", pair)]), None);
        assert_eq!((second.hash, second.set_cookie), (first.hash, None));
    }

    #[test]
    fn a_cookie_that_cannot_be_sent_is_refused() {
        assert_eq!(
            AffinityCookie::of_application("a b").unwrap_err().field(),
            "cookie name"
        );
        let bad = AffinityCookie::set_here("a", Some("/; Domain=b"), Duration::ZERO);
        assert_eq!(bad.unwrap_err().field(), "cookie path");
    }
}
