//! Is a request's head trustworthy once the proxy has normalised it, and is what was matched what is forwarded?
//!
//! Input: a head as HTTP/1.1 writes it (`METHOD TARGET [HTTP/2]`, then `name: value` lines). It goes through the whole
//! [`Proxy`]: a layer in place of the upstream keeps what would have been forwarded.

use std::convert::Infallible;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use http::header::{CONNECTION, HOST, TE, UPGRADE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use tidegate_proxy::cluster::{Cluster, ClusterSettings};
use tidegate_proxy::config::{Handle, Snapshot, limits};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::layers::Layers;
use tidegate_proxy::normalize::host::Host;
use tidegate_proxy::normalize::path;
use tidegate_proxy::route::{Domain, Matcher, PathMatch, Route, Split, VirtualHost};
use tidegate_proxy::upstream::Target;
use tidegate_proxy::{Body, Proxy};
use tower::layer::layer_fn;
use tower::{Service, service_fn};

/// Fields that must not reach an upstream from a client, whatever it wrote.
const NEVER_FORWARDED: [&str; 9] = [
    "forwarded",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "x-forwarded-for",
    "x-forwarded-host",
];
/// The virtual hosts, each with all of [`PREFIXES`].
const DOMAINS: [&str; 4] = ["a", "a.b", "*.b", "*"];
/// What the routes of each virtual host take, first match first.
const PREFIXES: [&str; 4] = ["/admin/", "/a/b", "/a", ""];
const CLUSTER: &str = "kept";

/// Runs one input.
///
/// # Panics
/// When a property is broken.
pub fn run(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        assert_path_settles(text);
    }
    if let Ok(host) = Host::parse(data) {
        crate::host::assert_one_form(&host);
    }
    let Some(request) = parse(data) else {
        return;
    };
    let Some(first) = send(request) else {
        return;
    };
    first.assert_trustworthy();
    let second = send(first.to_request()).expect("what was forwarded once is accepted again");
    let (first, second) = (first.head, second.head);
    assert_eq!(
        second.uri, first.uri,
        "the target changes when it is normalised again"
    );
    assert_eq!(
        second.headers, first.headers,
        "the fields change when they are normalised again"
    );
}

/// What left the proxy, and the route that it had matched.
struct Forwarded {
    head: Parts,
    route: Arc<Route>,
    config: Handle,
}

impl Forwarded {
    fn assert_trustworthy(&self) {
        let uri = &self.head.uri;
        assert!(
            uri.scheme().is_none() && uri.authority().is_none(),
            "not in origin form: {uri}"
        );
        let asterisk = uri.path() == "*" && self.head.method == Method::OPTIONS;
        assert!(
            asterisk || uri.path().starts_with('/'),
            "not in origin form: {uri}"
        );
        assert_no_dot_segments(uri.path());
        let hosts: Vec<&HeaderValue> = self.head.headers.get_all(HOST).iter().collect();
        let [host] = hosts.as_slice() else {
            panic!("{} Host fields", hosts.len());
        };
        let host = Host::parse(host.as_bytes()).expect("the forwarded Host is valid");
        crate::host::assert_one_form(&host);
        self.assert_hop_by_hop_gone();
        self.assert_matched(host.name());
    }

    fn assert_hop_by_hop_gone(&self) {
        let headers = &self.head.headers;
        for name in NEVER_FORWARDED {
            assert!(!headers.contains_key(name), "{name} was forwarded");
        }
        let values = |name| headers.get_all(name).iter().collect::<Vec<_>>();
        let te = values(TE);
        assert!(te.is_empty() || te == ["trailers"], "TE: {te:?}");
        let (connection, upgrade) = (values(CONNECTION), values(UPGRADE));
        let tunnel = connection == ["upgrade"] && upgrade == ["websocket"];
        assert!(
            tunnel || (connection.is_empty() && upgrade.is_empty()),
            "Connection: {connection:?}, Upgrade: {upgrade:?}"
        );
    }

    /// The route that was taken is the one that the forwarded bytes lead to.
    fn assert_matched(&self, host: &str) {
        let snapshot = self.config.load();
        let virtual_host = snapshot.hosts().find(host).expect("the forwarded host is known");
        let path = self.head.uri.path();
        let mut routes = virtual_host.routes.iter();
        let expected = routes.find(|route| path.starts_with(prefix(route)));
        assert!(
            expected.is_some_and(|expected| Arc::ptr_eq(expected, &self.route)),
            "{host:?} {path:?} was routed by the prefix {:?} of another host or path",
            prefix(&self.route)
        );
    }

    /// The request as the next hop reads it.
    fn to_request(&self) -> Request<Body> {
        let target = self.head.uri.path_and_query().map_or("", PathAndQuery::as_str);
        let mut request = Request::new(Body::empty());
        request.method_mut().clone_from(&self.head.method);
        *request.uri_mut() = Uri::try_from(target).expect("the forwarded target is one");
        request.headers_mut().clone_from(&self.head.headers);
        *request.version_mut() = self.head.version;
        request
    }
}

/// Sends a request through a proxy whose upstream keeps what reaches it; `None` if the proxy answered by itself.
fn send(request: Request<Body>) -> Option<Forwarded> {
    let kept = Arc::new(Mutex::new(None));
    let config = Handle::new(snapshot(&keeping(&kept)));
    let (_drain, watch) = Drain::new();
    let mut proxy = Proxy::new(config.clone(), watch);
    let response = proxy
        .call(request)
        .now_or_never()
        .expect("nothing on the way waits");
    let response = response.unwrap_or_else(|never| match never {});
    let (head, route) = kept
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
        .or_else(|| {
            let refused = response.status().is_client_error();
            assert!(
                refused,
                "answered {} without a reason in the request",
                response.status()
            );
            None
        })?;
    Some(Forwarded { head, route, config })
}

type Kept = Arc<Mutex<Option<(Parts, Arc<Route>)>>>;

fn keeping(kept: &Kept) -> Layers {
    let kept = Arc::clone(kept);
    Layers::new(layer_fn(move |_upstream| {
        let kept = Arc::clone(&kept);
        service_fn(move |request: Request<Body>| {
            let (mut head, _body) = request.into_parts();
            let target = head.extensions.remove::<Target>().expect("a target");
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((head, target.route));
            ready(Ok::<_, Infallible>(Response::new(Body::empty())))
        })
    }))
}

fn snapshot(layers: &Layers) -> Snapshot {
    let hosts = DOMAINS.map(|domain| {
        let routes = PREFIXES.map(|prefix| route(prefix, layers));
        VirtualHost::new(domain, Domain::parse(domain), routes)
    });
    Snapshot::new(hosts, [Cluster::new(ClusterSettings::new(CLUSTER))])
}

fn route(prefix: &str, layers: &Layers) -> Route {
    Route {
        name: Some(prefix.into()),
        matcher: Matcher {
            path: PathMatch::prefix(prefix),
            ..Matcher::default()
        }
        .into(),
        layers: Some(layers.clone()),
        ..Route::forward(Split::single(CLUSTER, [].into()))
    }
}

/// The prefix that a route of [`route`] takes.
fn prefix(route: &Route) -> &str {
    route.name.as_deref().unwrap_or_default()
}

/// The request that these bytes are the head of, as far as the proxy would ever be handed it.
fn parse(data: &[u8]) -> Option<Request<Body>> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut start = lines.next()?.split(|byte| *byte == b' ');
    let (method, target, version) = (start.next()?, start.next()?, start.next());
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::from_bytes(method).ok()?;
    *request.uri_mut() = Uri::try_from(target).ok()?;
    *request.version_mut() = match version {
        Some(b"HTTP/2") => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    for line in lines.take(limits::HEADER_FIELDS_MAX) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request)
}

/// Resolving a path leaves no dot segment, and has nothing to do the second time.
fn assert_path_settles(path: &str) {
    let Ok(resolved) = path::resolve(path) else {
        return;
    };
    let settled = resolved.as_deref().unwrap_or(path);
    assert_no_dot_segments(settled);
    assert_eq!(
        path::resolve(settled),
        Ok(None),
        "{path:?} became {settled:?}, which is not final"
    );
}

fn assert_no_dot_segments(path: &str) {
    let decoded = path.replace("%2e", ".").replace("%2E", ".");
    let dots = decoded.split('/').find(|segment| matches!(*segment, "." | ".."));
    assert_eq!(dots, None, "a dot segment is left in {path:?}");
}
