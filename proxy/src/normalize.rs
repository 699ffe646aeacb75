//! What a request must look like before anything behind the edge trusts it.
//!
//! ```
//! use http::{Request, StatusCode};
//! use tidegate_proxy::config::{Handle, Snapshot};
//! use tidegate_proxy::drain::Drain;
//! use tidegate_proxy::route::{Domain, PathMatch, Route, VirtualHost};
//! use tidegate_proxy::{Body, Proxy};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut secret = Route::respond(StatusCode::FORBIDDEN, "not for you");
//! secret.matcher.path = PathMatch::prefix("/secret");
//! let host = VirtualHost::new("a", [Domain::Any], [secret, Route::respond(StatusCode::OK, "hello")]);
//! let (_drain, watch) = Drain::new();
//! let proxy = Proxy::new(Handle::new(Snapshot::new([host], [])), watch);
//!
//! // Dot segments are resolved before a route is looked for.
//! let sly = Request::get("http://a.example/public/../secret").body(Body::empty())?;
//! assert_eq!(proxy.clone().oneshot(sly).await?.status(), StatusCode::FORBIDDEN);
//! // Two hosts are one too many.
//! let two = Request::get("http://a.example/").header("host", "b.example").body(Body::empty())?;
//! assert_eq!(proxy.oneshot(two).await?.status(), StatusCode::BAD_REQUEST);
//! # Ok(()) }
//! ```

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    COOKIE, EXPECT, Entry, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS, RANGE,
    SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};

use crate::config::http::{HttpSettings, OtherUpgrades};
use crate::connection::Peer;
use crate::error::{Error, Kind};
use crate::normalize::forwarded::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::normalize::host::Host;
use crate::normalize::path::PathPolicy;

pub mod certificate;
pub mod edge;
pub mod forwarded;
pub mod host;
pub mod path;

/// Fields that end at each hop whatever `Connection` says (RFC 9110 §7.6.1 and older practice). `Trailer` goes
/// through: it announces trailers, and those do too.
const HOP_BY_HOP: [HeaderName; 5] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    TRANSFER_ENCODING,
];
/// Fields that change what a message is, or who sent it: too late behind its content.
const HEAD_ONLY: [HeaderName; 19] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    EXPECT,
    FORWARDED,
    HOST,
    MAX_FORWARDS,
    RANGE,
    SET_COOKIE,
    TE,
    TRAILER,
    certificate::X_FORWARDED_CLIENT_CERT,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
];
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const UPGRADE_TOKEN: HeaderValue = HeaderValue::from_static("upgrade");

/// What normalising a head found out.
#[derive(Debug)]
pub(crate) struct Head {
    /// Which host the request is for.
    pub(crate) host: Host,
    /// The client's address where it is not the connection's: one that a trusted proxy has told.
    pub(crate) client: Option<HeaderValue>,
    /// Whether the client has to ask for the normalised path itself.
    pub(crate) redirect: path::Redirect,
}

/// Checks a request's head and brings it into the one form that routes, layers and upstreams see.
pub(crate) fn head<B>(request: &mut Request<B>, peer: &Peer) -> Result<Head, Error> {
    if request.method() == Method::CONNECT {
        return Err(Error::new(Kind::ConnectRefused));
    }
    let settings = peer.http();
    let authority = authority(request)?;
    let own = peer.local().map(|local| local.port());
    let authority = settings.host_port.apply(&authority, own).unwrap_or(authority);
    let authority = settings.host_dot.apply(&authority).unwrap_or(authority);
    let host = Host::parse(authority.as_bytes()).map_err(bad)?;
    if peer.is_misdirected(host.name()) {
        return Err(Error::new(Kind::Misdirected));
    }
    let redirect = normalize_path(request, &settings.path)?;
    let upgrade = upgrade(request, settings)?;
    drop_hop_by_hop(request.headers_mut());
    if let Some(upgrade) = upgrade {
        request.headers_mut().insert(CONNECTION, UPGRADE_TOKEN);
        request.headers_mut().insert(UPGRADE, upgrade);
    }
    if request.version() == Version::HTTP_2 {
        join_cookies(request.headers_mut());
    }
    settings.underscores.apply(request.headers_mut()).map_err(bad)?;
    settings.edge.apply(request.headers_mut());
    settings.client_certificate.apply(request.headers_mut(), peer);
    let client = forwarded::apply(
        request.headers_mut(),
        peer,
        settings.forwarding,
        settings.separator,
    );
    request.headers_mut().insert(HOST, authority);
    Ok(Head {
        host,
        client,
        redirect,
    })
}

/// The names of fields that are this one but for `_` in the place of `-`: many an application reads both as one.
fn twins_of(headers: &HeaderMap, name: &HeaderName) -> Vec<HeaderName> {
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
    let is_twin = |other: &&HeaderName| {
        other.as_str().len() == name.as_str().len()
            && *other != name
            && other.as_str().bytes().map(dashed).eq(name.as_str().bytes())
    };
    headers.keys().filter(is_twin).cloned().collect()
}

fn bad(detail: &'static str) -> Error {
    Error::new(Kind::BadRequest).with_detail(detail)
}

/// The one authority of a request. Two that differ, in whatever place, are refused (RFC 9112 §3.2, RFC 9113 §8.3.1).
fn authority<B>(request: &Request<B>) -> Result<HeaderValue, Error> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let header = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("more than one Host"));
    }
    match (request.uri().authority(), header) {
        (None, None) => Err(bad("no Host")),
        (None, Some(header)) => Ok(header.clone()),
        (Some(target), header) => {
            if header
                .is_some_and(|header| !header.as_bytes().eq_ignore_ascii_case(target.as_str().as_bytes()))
            {
                return Err(bad("the Host differs from the request target's authority"));
            }
            HeaderValue::from_str(target.as_str()).map_err(|_| bad("invalid authority"))
        }
    }
}

/// Leaves a request target in origin form, its path as `policy` wants it: what is matched is what is forwarded.
pub(crate) fn normalize_path<B>(
    request: &mut Request<B>,
    policy: &PathPolicy,
) -> Result<path::Redirect, Error> {
    let uri = request.uri();
    if uri.path() == "*" && request.method() == Method::OPTIONS {
        return Ok(path::Redirect::No);
    }
    // `GET a` is an authority (RFC 9112 §3.2.3), which only CONNECT has.
    let authority_alone = uri.authority().is_some() && uri.scheme().is_none();
    if authority_alone || !uri.path().is_empty() && !uri.path().starts_with('/') {
        return Err(bad("the request target is not a path"));
    }
    let changed = path::normalize(uri.path(), policy).map_err(bad)?;
    if changed.is_none() && uri.authority().is_none() {
        return Ok(path::Redirect::No);
    }
    let redirect = changed
        .as_ref()
        .map(|changed| changed.redirect)
        .unwrap_or_default();
    let path = changed.as_ref().map_or(uri.path(), |changed| &changed.path);
    let path = if path.is_empty() { "/" } else { path };
    let target = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    *request.uri_mut() = Uri::from(target.map_err(|_| bad("invalid path"))?);
    Ok(redirect)
}

/// The `Upgrade` to forward: the first that HTTP/1.1, or an extended CONNECT, which has the same form here, offers and the
/// listener allows. Any other offer, `h2c` in any case, is ignored, as RFC 9110 §7.8 allows.
fn upgrade<B>(request: &Request<B>, settings: &HttpSettings) -> Result<Option<HeaderValue>, Error> {
    let headers = request.headers();
    if request.version() < Version::HTTP_11 || !headers.contains_key(UPGRADE) {
        return Ok(None);
    }
    let empty = headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0")
        && !headers.contains_key(TRANSFER_ENCODING);
    let offered = tokens(headers, &UPGRADE).find_map(|offer| {
        if offer.eq_ignore_ascii_case("h2c") {
            return None;
        }
        let mut allowed = settings.upgrades.iter().map(|token| &**token);
        let listed = allowed.find(|token| token.eq_ignore_ascii_case(offer));
        // With a body, what nobody here knows is no switch, but a request like any other.
        let passed = empty && settings.other_upgrades == OtherUpgrades::Passed;
        listed.or_else(|| passed.then_some(offer))
    });
    let connection = tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let Some(token) = offered.filter(|_| connection) else {
        return Ok(None);
    };
    if !empty {
        return Err(bad("an upgrade request must not have a body"));
    }
    Ok(HeaderValue::from_str(token).ok())
}

/// Removes what ends at this hop, in requests and in responses. `te: trailers` stays: trailers go through.
pub(crate) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none of these fields, and looking at each name once is cheaper than looking for each of them.
    if headers.keys().any(ends_here) {
        drop_each_hop_by_hop(headers);
    }
}

/// Whether [`drop_hop_by_hop`] is about this field.
fn ends_here(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "te"
            | "upgrade"
            | "http2-settings"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "transfer-encoding"
    )
}

fn drop_each_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        // A nomination must not take away what proxies on the way have set, or framing relies on.
        let nominated: Vec<HeaderName> = tokens(headers, &CONNECTION)
            .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
            .filter(|name| !(protected(name) || *name == TE))
            .collect();
        for name in nominated {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove(UPGRADE);
    headers.remove(HTTP2_SETTINGS);
    if headers.contains_key(TE) {
        let trailers = tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
        headers.remove(TE);
        if trailers {
            headers.insert(TE, TRAILERS);
        }
    }
}

/// Removes from trailers what only a head may say: framing, routing, credentials, what the content is (RFC 9110 §6.5.1).
pub(crate) fn drop_from_trailers(trailers: &mut HeaderMap) {
    drop_hop_by_hop(trailers);
    // Most trailers have none of them, and looking at each name once is cheaper than looking for each of them.
    if trailers.keys().any(|name| HEAD_ONLY.contains(name)) {
        for name in &HEAD_ONLY {
            trailers.remove(name);
        }
    }
    forwarded::remove_twins(trailers);
}

/// HTTP/2 may split the cookies over several fields, which nothing else understands (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let Entry::Occupied(mut cookies) = headers.entry(COOKIE) else {
        return;
    };
    if cookies.iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = cookies.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(b"; ".as_slice())) {
        cookies.insert(joined);
    }
}

fn protected(name: &HeaderName) -> bool {
    [
        HOST,
        CONTENT_LENGTH,
        X_FORWARDED_FOR,
        X_FORWARDED_PROTO,
        X_FORWARDED_HOST,
        FORWARDED,
    ]
    .contains(name)
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
