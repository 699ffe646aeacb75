//! Who the client is said to be: `X-Forwarded-For`, `-Proto`, `-Host`, and `Forwarded` (RFC 7239).
//!
//! ```
//! use tidegate_proxy::config::http::HttpSettings;
//! use tidegate_proxy::normalize::forwarded::Forwarding;
//!
//! // By default a client cannot say who it is.
//! assert_eq!(HttpSettings::default().forwarding, Forwarding::Overwrite);
//! // Behind one load balancer, which adds the client's address to `X-Forwarded-For`:
//! let behind = HttpSettings { forwarding: Forwarding::Append { trusted_hops: 1 }, ..HttpSettings::default() };
//! assert_ne!(behind.forwarding, Forwarding::default());
//! ```

use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

use crate::connection::{Peer, Scheme};

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const HTTP: HeaderValue = HeaderValue::from_static("http");
const HTTPS: HeaderValue = HeaderValue::from_static("https");

/// What is believed of the fields by which proxies tell each other who the client is, and what is made of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarding {
    /// Nobody is believed: the client is who has the connection, and the fields say so anew.
    #[default]
    Overwrite,
    /// The connection's address is added to `X-Forwarded-For` (Envoy's `use_remote_address`). With `trusted_hops` of 0 the
    /// client is who has the connection. With more, that many proxies in front are believed: the client is the address that
    /// the farthest of them has added, and their `X-Forwarded-Proto` and `-Host` stay.
    Append {
        /// How many proxies in front of this one are trusted (`xff_num_trusted_hops`).
        trusted_hops: u32,
    },
    /// The fields stay as they came, for a proxy behind an edge that has set them. The client is the last address in
    /// `X-Forwarded-For`, or the one this many before it; without one, who has the connection.
    Keep {
        /// How many proxies between this one and the edge have added an address.
        trusted_hops: u32,
    },
    /// The fields stay as they came, whatever they say, and the client is who has the connection. For a hop that a layer
    /// tells about by itself, see [`append_address`].
    Untouched,
    /// The fields are removed: an upstream is not told who its clients are.
    Remove,
}

/// What stands between two addresses in `X-Forwarded-For`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Separator {
    /// A comma and a blank, as most proxies write it.
    #[default]
    CommaBlank,
    /// A comma alone.
    Comma,
}

/// Sets the fields as `policy` says. Returns the client's address where it is not the connection's.
pub(super) fn apply(
    headers: &mut HeaderMap,
    peer: &Peer,
    policy: Forwarding,
    separator: Separator,
) -> Option<HeaderValue> {
    if !matches!(policy, Forwarding::Keep { .. } | Forwarding::Untouched) {
        remove_twins(headers);
    }
    match policy {
        Forwarding::Overwrite => {
            headers.remove(FORWARDED);
            headers.remove(X_FORWARDED_HOST);
            headers.insert(X_FORWARDED_PROTO, scheme(peer));
            match peer.ip_text() {
                Some(ip) => _ = headers.insert(X_FORWARDED_FOR, ip.clone()),
                None => _ = headers.remove(X_FORWARDED_FOR),
            }
            None
        }
        Forwarding::Append { trusted_hops } => {
            let client = match trusted_hops {
                0 => None,
                hops => address_from_end(headers, hops),
            };
            if trusted_hops == 0 {
                headers.remove(FORWARDED);
                headers.remove(X_FORWARDED_HOST);
                headers.insert(X_FORWARDED_PROTO, scheme(peer));
            } else {
                headers.entry(X_FORWARDED_PROTO).or_insert_with(|| scheme(peer));
                append_forwarded(headers, peer);
            }
            if let Some(ip) = peer.ip_text() {
                append(headers, ip, separator);
            }
            client
        }
        Forwarding::Keep { trusted_hops } => {
            headers.entry(X_FORWARDED_PROTO).or_insert_with(|| scheme(peer));
            address_from_end(headers, trusted_hops.saturating_add(1))
        }
        Forwarding::Untouched => None,
        Forwarding::Remove => {
            for name in [FORWARDED, X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST] {
                headers.remove(name);
            }
            None
        }
    }
}

/// Removes fields that have one of these names but for `_` in the place of `-`: many an application reads both as one.
pub(super) fn remove_twins(headers: &mut HeaderMap) {
    let names = [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST];
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
    let is_twin = |name: &&HeaderName| {
        // Fields of another length, nearly all, are told by that.
        let of_length = names.iter().find(|of| of.as_str().len() == name.as_str().len());
        of_length.is_some_and(|of| of != *name && name.as_str().bytes().map(dashed).eq(of.as_str().bytes()))
    };
    while let Some(twin) = headers.keys().find(is_twin).cloned() {
        headers.remove(twin);
    }
}

fn scheme(peer: &Peer) -> HeaderValue {
    match peer.scheme() {
        Scheme::Http => HTTP,
        Scheme::Https => HTTPS,
    }
}

/// The address at this place of `X-Forwarded-For`, counted from its end, where the nearest proxy has written.
fn address_from_end(headers: &HeaderMap, place: u32) -> Option<HeaderValue> {
    let skipped = usize::try_from(place.checked_sub(1)?).ok()?;
    let fields = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let mut addresses = fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
    let address = str::from_utf8(addresses.nth(skipped)?.trim_ascii()).ok()?;
    let address: IpAddr = address.parse().ok()?;
    HeaderValue::try_from(address.to_canonical().to_string()).ok()
}

/// Leaves one line of `X-Forwarded-For` with all addresses, this one last.
///
/// ```
/// use http::HeaderMap;
/// use tidegate_proxy::normalize::forwarded::append_address;
///
/// let mut headers = HeaderMap::new();
/// append_address(&mut headers, "192.0.2.1".parse()?);
/// append_address(&mut headers, "::ffff:10.0.0.9".parse()?);
/// assert_eq!(headers["x-forwarded-for"], "192.0.2.1, 10.0.0.9");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn append_address(headers: &mut HeaderMap, address: IpAddr) {
    if let Ok(ip) = HeaderValue::try_from(address.to_canonical().to_string()) {
        append(headers, &ip, Separator::CommaBlank);
    }
}

fn append(headers: &mut HeaderMap, ip: &HeaderValue, separator: Separator) {
    let joined = headers
        .contains_key(X_FORWARDED_FOR)
        .then(|| join(headers, &X_FORWARDED_FOR, ip.as_bytes(), separator))
        .flatten();
    headers.insert(X_FORWARDED_FOR, joined.unwrap_or_else(|| ip.clone()));
}

/// An element for this connection, where the proxies in front speak RFC 7239.
fn append_forwarded(headers: &mut HeaderMap, peer: &Peer) {
    if !headers.contains_key(FORWARDED) {
        return;
    }
    let ip = peer
        .ip_text()
        .and_then(|ip| ip.to_str().ok())
        .unwrap_or("unknown");
    let scheme = scheme(peer);
    let proto = scheme.to_str().unwrap_or("http");
    let element = if ip.contains(':') {
        format!("for=\"[{ip}]\";proto={proto}")
    } else {
        format!("for={ip};proto={proto}")
    };
    match join(headers, &FORWARDED, element.as_bytes(), Separator::CommaBlank) {
        Some(joined) => _ = headers.insert(FORWARDED, joined),
        None => _ = headers.remove(FORWARDED),
    }
}

fn join(headers: &HeaderMap, name: &HeaderName, last: &[u8], separator: Separator) -> Option<HeaderValue> {
    let mut joined = Vec::new();
    for value in headers.get_all(name).iter().filter(|value| !value.is_empty()) {
        joined.extend_from_slice(value.as_bytes());
        joined.extend_from_slice(match separator {
            Separator::CommaBlank => b", ",
            Separator::Comma => b",",
        });
    }
    joined.extend_from_slice(last);
    HeaderValue::from_bytes(&joined).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_joined_as_it_is_said() {
        let check = |separator, expected: &str| {
            let mut headers = HeaderMap::new();
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"));
            let policy = Forwarding::Append { trusted_hops: 0 };
            apply(&mut headers, &peer(), policy, separator);
            assert_eq!(headers[X_FORWARDED_FOR], expected);
        };
        check(Separator::CommaBlank, "192.0.2.1, 10.0.0.9");
        check(Separator::Comma, "192.0.2.1,10.0.0.9");
    }

    fn peer() -> Peer {
        Peer::at("10.0.0.9:1".parse().unwrap())
    }

    /// The client's address, and the fields with several lines joined by `|`.
    fn applied(policy: Forwarding, fields: &[(&'static str, &'static str)]) -> (Option<String>, Vec<String>) {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers: HeaderMap = fields.collect();
        let client = apply(&mut headers, &peer(), policy, Separator::default());
        let text = |value: HeaderValue| value.to_str().unwrap().to_owned();
        let lines = |name| {
            headers
                .get_all(name)
                .iter()
                .cloned()
                .map(text)
                .collect::<Vec<_>>()
                .join("|")
        };
        let names = [
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
            "forwarded",
        ];
        (client.map(text), names.map(lines).into())
    }

    const SAID: [(&str, &str); 4] = [
        ("x-forwarded-for", "1.1.1.1, 2.2.2.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "h"),
        ("forwarded", "for=1.1.1.1"),
    ];

    #[test]
    fn each_policy_makes_of_the_fields_what_it_says() {
        let check = |policy, client: Option<&str>, expected: [&str; 4]| {
            let (found, fields) = applied(policy, &SAID);
            assert_eq!(
                (found.as_deref(), &*fields),
                (client, &expected.map(str::to_owned)[..]),
                "{policy:?}"
            );
        };
        let append = |trusted_hops| Forwarding::Append { trusted_hops };
        let keep = |trusted_hops| Forwarding::Keep { trusted_hops };
        let all = "1.1.1.1, 2.2.2.2, 10.0.0.9";
        let forwarded = "for=1.1.1.1, for=10.0.0.9;proto=http";
        check(Forwarding::Overwrite, None, ["10.0.0.9", "http", "", ""]);
        check(append(0), None, [all, "http", "", ""]);
        check(append(1), Some("2.2.2.2"), [all, "https", "h", forwarded]);
        check(append(2), Some("1.1.1.1"), [all, "https", "h", forwarded]);
        check(append(3), None, [all, "https", "h", forwarded]);
        check(
            keep(0),
            Some("2.2.2.2"),
            ["1.1.1.1, 2.2.2.2", "https", "h", "for=1.1.1.1"],
        );
        check(
            keep(1),
            Some("1.1.1.1"),
            ["1.1.1.1, 2.2.2.2", "https", "h", "for=1.1.1.1"],
        );
        check(
            Forwarding::Untouched,
            None,
            ["1.1.1.1, 2.2.2.2", "https", "h", "for=1.1.1.1"],
        );
        check(Forwarding::Remove, None, ["", "", "", ""]);
        let nothing: [&str; 4] = [""; 4];
        assert_eq!(applied(Forwarding::Untouched, &[]).1, nothing);
    }

    #[test]
    fn a_name_with_underscores_is_no_way_around() {
        let twins = ["x_forwarded_for", "x-forwarded_proto", "x_forwarded-host"];
        let check = |policy, left: usize| {
            let mut headers: HeaderMap = twins
                .iter()
                .chain(&["x_forwarded_foo"])
                .map(|name| (HeaderName::from_static(name), HTTPS))
                .collect();
            apply(&mut headers, &peer(), policy, Separator::default());
            let underscored = headers.keys().filter(|name| name.as_str().contains('_')).count();
            assert_eq!(underscored, left, "{policy:?}");
        };
        check(Forwarding::Overwrite, 1);
        check(Forwarding::Append { trusted_hops: 0 }, 1);
        check(Forwarding::Append { trusted_hops: 1 }, 1);
        check(Forwarding::Remove, 1);
        check(Forwarding::Keep { trusted_hops: 0 }, 4);
        check(Forwarding::Untouched, 4);
    }

    #[test]
    fn an_address_counts_over_several_lines_and_only_as_an_address() {
        let hops = |trusted_hops, lines: &[&'static str]| {
            let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            applied(Forwarding::Append { trusted_hops }, &fields).0
        };
        assert_eq!(
            hops(3, &["1.1.1.1,2.2.2.2", "3.3.3.3"]).as_deref(),
            Some("1.1.1.1")
        );
        assert_eq!(hops(1, &["unknown"]), None);
        assert_eq!(hops(1, &["::ffff:1.2.3.4"]).as_deref(), Some("1.2.3.4"));
        assert_eq!(hops(u32::MAX, &["1.1.1.1"]), None);
    }
}
