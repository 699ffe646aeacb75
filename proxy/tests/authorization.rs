//! How does a service of another language than HTTP's say which requests pass?

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use support::{CLUSTER, Front, HOST, cluster, host, with_endpoints};
use tidegate_proxy::cluster::{ClusterSettings, Protocol};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::config::limits::ROUTE_REMATCHES_MAX;
use tidegate_proxy::error::BoxError;
use tidegate_proxy::filter::ext_authz::{
    About, Answer, AuthorizationOverride, Codec, Decision, OnFailure, Rematch,
};
use tidegate_proxy::filter::{ExtAuthz, Filter, NamedFilter, Override, Switch};
use tidegate_proxy::listener::Connections;
use tidegate_proxy::route::{
    HeaderMatch, HeaderMutations, Mutation, PathMatch, Route, Split, TextMatch, Write,
};
use tidegate_testkit::body::{empty, full};
use tidegate_testkit::client::{Client, get, post_request};
use tidegate_testkit::upstream::{Upstream, bind};
use tidegate_testkit::wire::Wire;
use tokio::net::TcpListener;

/// Refuses what the route calls closed, and marks everything else.
#[derive(Debug)]
struct Doorman;

impl Codec for Doorman {
    fn question(&self, about: &About<'_>) -> Result<Request<tidegate_proxy::Body>, BoxError> {
        let closed = about.context.contains(&("door", "closed"));
        let mut question = Request::new(tidegate_proxy::Body::empty());
        *question.uri_mut() = http::Uri::from_static("/door");
        let (host, door) = (
            about.request.headers()["host"].clone(),
            if closed { "closed" } else { "open" },
        );
        question.headers_mut().insert("host", host);
        question
            .headers_mut()
            .insert("x-door", http::HeaderValue::from_static(door));
        Ok(question)
    }

    fn decision(&self, answer: &Answer) -> Result<Decision, BoxError> {
        assert_eq!(answer.status, 200);
        if answer.headers["x-door"] == "closed" {
            let mut refusal = Response::new("closed".into());
            *refusal.status_mut() = StatusCode::UNAUTHORIZED;
            return Ok(Decision::Refuse(refusal));
        }
        let mark = Mutation::write("x-door", "passed", Write::Overwrite)?;
        Ok(Decision::Pass(HeaderMutations::new([mark], [])?.into()))
    }
}

#[tokio::test]
async fn a_service_of_another_language_hears_of_the_route_and_decides() {
    let answer = |request: Request<Incoming>| async move {
        let door = request.headers()["x-door"].clone();
        Response::builder().header("x-door", door).body(empty()).unwrap()
    };
    let (app, service) = (Upstream::echo().await, Upstream::start(answer).await);
    let doorman = Filter::ExtAuthz(Arc::new(ExtAuthz::speaking("authz", Arc::new(Doorman))));
    let http = HttpSettings {
        filters: [NamedFilter::new("door", doorman)].into(),
        ..HttpSettings::default()
    };
    let mut closed = Route::forward(Split::single(CLUSTER, [].into()));
    closed.matcher.path = PathMatch::exact("/closed");
    let change = AuthorizationOverride {
        context: vec![("door".into(), "closed".into())],
        ..AuthorizationOverride::default()
    };
    closed.overrides = [("door", Override::Authorization(Arc::new(change)))].into();
    let open = Route::forward(Split::single(CLUSTER, [].into()));
    let clusters = [
        cluster(Protocol::Http1, &[app.address()]),
        with_endpoints(ClusterSettings::new("authz"), &[service.address()]),
    ];
    let snapshot = Snapshot::new([host("*", vec![Arc::new(closed), Arc::new(open)])], clusters);
    let listener = support::listen(NonZeroUsize::MIN, Connections::default()).speaking(http);
    let front = Front::behind(listener, snapshot);
    let refused = get(front.address, HOST, "/closed").await;
    assert_eq!((refused.status.as_u16(), refused.text()), (401, "closed".into()));
    assert_eq!(get(front.address, HOST, "/open").await.status, 200);
    assert_eq!(app.seen()[0].headers["x-door"], "passed");
}

/// What is in force where a service at `address` is asked, which lets the upstream have `x-tenant`, `change`d.
fn asking(address: SocketAddr, routes: Vec<Arc<Route>>, change: impl FnOnce(&mut ExtAuthz)) -> Front {
    let mut ask = ExtAuthz::new("authz", "").expect("a path");
    ask.upstream_fields = vec![TextMatch::exact("x-tenant")];
    change(&mut ask);
    let http = HttpSettings {
        filters: [
            NamedFilter::new("door", Filter::ExtAuthz(Arc::new(ask))),
            NamedFilter {
                initially: Switch::Off,
                ..NamedFilter::new("mark", mark())
            },
        ]
        .into(),
        ..HttpSettings::default()
    };
    let service = with_endpoints(ClusterSettings::new("authz"), &[address]);
    let listener = support::listen(NonZeroUsize::MIN, Connections::default()).speaking(http);
    Front::behind(listener, Snapshot::new([host("*", routes)], [service]))
}

/// Marks responses.
fn mark() -> Filter {
    let mark = Mutation::write("x-mark", "1", Write::Overwrite).expect("a field");
    Filter::Headers(HeaderMutations::new([], [mark]).expect("one field"))
}

#[tokio::test]
async fn a_request_that_the_service_has_changed_gets_the_route_that_it_is_for_then() {
    let answer =
        |_: Request<Incoming>| async { Response::builder().header("x-tenant", "b").body(empty()).unwrap() };
    let service = Upstream::start(answer).await;
    let routes = || {
        let mut of_b = Route::respond(StatusCode::OK, "b");
        of_b.matcher.headers = vec![HeaderMatch::exact("x-tenant", "b").expect("a field")];
        of_b.overrides = [("mark", Override::Enabled)].into();
        vec![
            Arc::new(of_b),
            Arc::new(Route::respond(StatusCode::OK, "anybody")),
        ]
    };
    for (rematch, body, marked) in [
        (Rematch::Never, "anybody", false),
        (Rematch::WhenChanged, "b", true),
    ] {
        let front = asking(service.address(), routes(), |ask| ask.rematch = rematch);
        let answer = get(front.address, HOST, "/").await;
        assert_eq!(answer.text(), body, "{rematch:?}");
        // What the new route has for filters behind the service's counts too.
        assert_eq!(answer.header("x-mark").is_some(), marked, "{rematch:?}");
        let unchanged = asking(service.address(), routes(), |ask| {
            ask.rematch = rematch;
            ask.upstream_fields.clear();
        });
        assert_eq!(get(unchanged.address, HOST, "/").await.text(), "anybody");
    }
}

#[tokio::test]
async fn a_call_that_is_refused_learns_it_in_its_own_words() {
    let answer = |_: Request<Incoming>| async {
        let refusal = Response::builder().status(401).header("x-realm", "a");
        refusal.body(full("who are you?")).unwrap()
    };
    let service = Upstream::start(answer).await;
    let routes = vec![Arc::new(Route::respond(StatusCode::OK, "fine"))];
    let front = asking(service.address(), routes, |_| {});
    let mut call = post_request(HOST, "/a.B/C", empty());
    let kind = http::HeaderValue::from_static("application/grpc");
    call.headers_mut().insert("content-type", kind);
    let refused = Client::http2(front.address).await.call(call).await;
    assert_eq!(refused.status, 200);
    let told = ["grpc-status", "grpc-message", "content-type", "x-realm"].map(|name| refused.header(name));
    let expected = ["16", "who are you?", "application/grpc", "a"];
    assert_eq!(told, expected.map(Some));
    assert_eq!(refused.text(), "");
    assert_eq!(get(front.address, HOST, "/").await.text(), "who are you?");
}

/// Reads one question, says `answer`, and stays, unless it `leaves`.
async fn say(listener: &TcpListener, answer: &str, leaves: bool) -> Option<Wire> {
    let (service, _) = listener.accept().await.expect("somebody asks");
    let mut service = Wire::new(service);
    service.head().await;
    // Whoever asks need not read all of it.
    _ = service.try_send(answer).await;
    (!leaves).then_some(service)
}

#[tokio::test]
async fn a_refusal_holds_whatever_becomes_of_its_body() {
    let head =
        |length| format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {length}\r\nx-realm: a\r\n\r\nwho are");
    let long = head(2_000_000) + &"?".repeat(2_000_000);
    for (answer, leaves) in [(head(100), true), (head(100), false), (long, false)] {
        let service = bind().await;
        let routes = vec![Arc::new(Route::respond(StatusCode::OK, "fine"))];
        let address = service.local_addr().expect("an address");
        let front = asking(address, routes, |ask| ask.on_failure = OnFailure::Allow);
        let mut call = post_request(HOST, "/a.B/C", empty());
        let kind = http::HeaderValue::from_static("application/grpc");
        call.headers_mut().insert("content-type", kind);
        let mut client = Client::http2(front.address).await;
        let (refused, _service) = tokio::join!(client.call(call), say(&service, &answer, leaves));
        let told = (refused.header("grpc-status"), refused.header("x-realm"));
        assert_eq!(told, (Some("7"), Some("a")), "{} bytes", answer.len());
    }
}

/// What comes of a request where the route of everybody asks a service that makes `x-tenant` b, or nothing of b, and a route
/// for b that has these filters.
async fn led_to_b(of_b: impl FnOnce(Filter) -> Vec<Filter>) -> (tidegate_testkit::client::Answer, usize) {
    let service = Upstream::start(|asked: Request<Incoming>| async move {
        let other = match asked.headers().get("x-tenant") {
            Some(tenant) if tenant == "b" => "a",
            _ => "b",
        };
        let answer = Response::builder().header("x-tenant", other);
        answer.body(empty()).expect("an answer")
    })
    .await;
    let mut ask = ExtAuthz::new("authz", "").expect("a path");
    ask.upstream_fields = vec![TextMatch::exact("x-tenant")];
    ask.request_fields = vec![TextMatch::exact("x-tenant")];
    ask.rematch = Rematch::WhenChanged;
    let ask = Filter::ExtAuthz(Arc::new(ask));
    let mut b = Route::respond(StatusCode::OK, "b");
    b.matcher.headers = vec![HeaderMatch::exact("x-tenant", "b").expect("a field")];
    b.filters = of_b(ask.clone()).into_iter().collect();
    let mut anybody = Route::respond(StatusCode::OK, "anybody");
    anybody.filters = [ask, Filter::Missing].into();
    let routes = [host("*", vec![Arc::new(b), Arc::new(anybody)])];
    let authz = with_endpoints(ClusterSettings::new("authz"), &[service.address()]);
    let front = Front::start(Snapshot::new(routes, [authz]));
    (get(front.address, HOST, "/").await, service.seen().len())
}

#[tokio::test]
async fn a_route_s_own_service_that_leads_to_another_route_leads_to_its_filters_too() {
    let (marked, asked) = led_to_b(|_| vec![mark()]).await;
    assert_eq!((marked.text(), asked), ("b".into(), 1));
    assert_eq!(marked.header("x-mark"), Some("1"));
    // It leads back, and that one here again.
    let (refused, asked) = led_to_b(|ask| vec![ask]).await;
    assert_eq!(
        (refused.status, asked),
        (StatusCode::FORBIDDEN, ROUTE_REMATCHES_MAX + 1)
    );
}

#[tokio::test]
async fn a_route_that_is_found_again_goes_on_behind_its_own_service() {
    let answer =
        |_: Request<Incoming>| async { Response::builder().header("x-tenant", "b").body(empty()).unwrap() };
    let service = Upstream::start(answer).await;
    let mut ask = ExtAuthz::new("authz", "").expect("a path");
    ask.upstream_fields = vec![TextMatch::exact("x-tenant")];
    ask.rematch = Rematch::WhenChanged;
    let mut route = Route::respond(StatusCode::OK, "fine");
    route.filters = [Filter::ExtAuthz(Arc::new(ask)), mark()].into();
    let authz = with_endpoints(ClusterSettings::new("authz"), &[service.address()]);
    let front = Front::start(Snapshot::new([host("*", vec![Arc::new(route)])], [authz]));
    assert_eq!(get(front.address, HOST, "/").await.header("x-mark"), Some("1"));
    assert_eq!(service.seen().len(), 1);
}
