//! What do a route's filters let through, refuse and change?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use support::{CLUSTER, Front, HOST, cluster, host, with_endpoints};
use tidegate_proxy::cluster::{ClusterSettings, Protocol};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::filter::ext_authz::{AskedBody, Longer, OnFailure};
use tidegate_proxy::filter::rate_limit::{LimitFields, RetryAfter, Scope};
use tidegate_proxy::filter::{Cors, ExtAuthz, Filter, FilterOverrides, NamedFilter, Override, RateLimit};
use tidegate_proxy::listener::Connections;
use tidegate_proxy::route::{HeaderMutations, Mutation, PathMatch, Route, Split, TextMatch, Write};
use tidegate_testkit::body::{Body, empty, full};
use tidegate_testkit::client::{Client, get, get_request, post_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{Upstream, nobody};

/// A front whose one route has these filters, and knows the clusters `app` and `authz`.
fn filtered(filters: &[Filter], app: std::net::SocketAddr, authz: std::net::SocketAddr) -> Front {
    let mut route = Route::forward(Split::single(CLUSTER, [].into()));
    route.filters = filters.iter().cloned().collect();
    let clusters = [
        cluster(Protocol::Http1, &[app]),
        with_endpoints(ClusterSettings::new("authz"), &[authz]),
    ];
    Front::start(Snapshot::new([host("*", vec![Arc::new(route)])], clusters))
}

fn cors() -> Filter {
    let cors = Cors::of_origins([TextMatch::exact("https://a.example")]);
    Filter::Cors(Arc::new(cors.allowing_methods("PUT").unwrap()))
}

fn from_page(method: Method, path: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(format!("http://{HOST}{path}"))
        .header("origin", "https://a.example")
        .header("access-control-request-method", "PUT")
        .body(empty())
        .unwrap()
}

#[tokio::test]
async fn a_preflight_is_answered_here_and_the_rest_by_the_upstream() {
    let app = Upstream::echo().await;
    let front = filtered(&[cors()], app.address(), nobody().await);
    let mut client = Client::http1(front.address).await;
    let preflight = client.call(from_page(Method::OPTIONS, "/")).await;
    assert_eq!(preflight.status, 200);
    assert_eq!(preflight.header("access-control-allow-methods"), Some("PUT"));
    assert_eq!(app.counts().requests(), 0);
    let actual = client.call(from_page(Method::PUT, "/")).await;
    assert_eq!(
        actual.header("access-control-allow-origin"),
        Some("https://a.example")
    );
    assert_eq!(app.counts().requests(), 1);
}

#[tokio::test]
async fn an_error_too_is_marked_for_the_page() {
    let nobody = nobody().await;
    let front = filtered(&[cors()], nobody, nobody);
    let answer = Client::http1(front.address)
        .await
        .call(from_page(Method::GET, "/"))
        .await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://a.example")
    );
}

#[tokio::test]
async fn what_comes_too_fast_gets_429_and_when_to_try_again() {
    let app = Upstream::echo().await;
    let limit = RateLimit::new(2, 1, Duration::from_secs(3600)).unwrap();
    let limit = Filter::RateLimit(Arc::new(limit.with_fields(LimitFields::Send)));
    let front = filtered(&[limit], app.address(), nobody().await);
    let first = get(front.address, HOST, "/").await;
    assert_eq!(first.header("x-ratelimit-limit"), Some("2"));
    assert_eq!(first.header("x-ratelimit-remaining"), Some("1"));
    assert_eq!(get(front.address, HOST, "/").await.status, 200);
    let refused = get(front.address, HOST, "/").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3000..=3600).contains(&after), "{after}");
    assert_eq!(app.counts().requests(), 2);
}

#[tokio::test]
async fn a_limit_marks_what_it_refuses_and_what_it_would_have_refused() {
    let app = Upstream::echo().await;
    let limit = |enforced| {
        let mark = |value| Mutation::write("x-limited", value, Write::Overwrite).unwrap();
        let refused = HeaderMutations::new([], [mark("refused")]).unwrap();
        let unenforced = HeaderMutations::new([mark("would be")], []).unwrap();
        let limit = RateLimit::new(1, 1, Duration::from_secs(3600)).unwrap();
        let limit = limit.with_status(StatusCode::SERVICE_UNAVAILABLE);
        let limit = limit.with_retry_after(RetryAfter::None);
        let scope = Scope {
            enforced,
            ..Scope::default()
        };
        Filter::RateLimit(Arc::new(
            limit.with_scope(scope).with_changes(refused, unenforced),
        ))
    };
    let front = filtered(&[limit(1_000_000)], app.address(), nobody().await);
    assert_eq!(get(front.address, HOST, "/").await.header("x-limited"), None);
    let refused = get(front.address, HOST, "/").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("x-limited"), Some("refused"));
    assert_eq!(refused.header("retry-after"), None);
    let front = filtered(&[limit(0)], app.address(), nobody().await);
    for expected in [None, Some("would be")] {
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
        assert_eq!(app.seen().last().unwrap().header("x-limited"), expected);
    }
}

#[tokio::test]
async fn a_route_that_needs_a_filter_that_is_not_there_takes_no_request() {
    let app = Upstream::echo().await;
    let front = filtered(&[Filter::Missing], app.address(), nobody().await);
    assert_eq!(get(front.address, HOST, "/").await.status, 503);
    assert_eq!(app.counts().requests(), 0);
}

#[tokio::test]
async fn filters_see_the_request_in_order_and_the_response_in_reverse() {
    let app = Upstream::echo().await;
    let append = |value: &str| Mutation::write("x-seen", value, Write::Append).unwrap();
    let level = |value| Filter::Headers(HeaderMutations::new([append(value)], [append(value)]).unwrap());
    let front = filtered(&[level("one"), level("two")], app.address(), nobody().await);
    let answer = get(front.address, HOST, "/").await;
    let values = |headers: &http::HeaderMap| {
        let values = headers.get_all("x-seen").iter();
        values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(values(&app.seen()[0].headers), ["one", "two"]);
    let back = values(&answer.headers);
    assert_eq!(&back[back.len() - 2..], ["two", "one"]);
}

/// Allows `token: good` with fields for everybody, breaks for `broken`, refuses the rest.
async fn judge(request: Request<Incoming>) -> Response<Body> {
    let token = request
        .headers()
        .get("x-token")
        .and_then(|token| token.to_str().ok());
    let response = Response::builder()
        .header("x-user", "ann")
        .header("x-client", "hello");
    match token {
        Some("good") => response.body(empty()),
        Some("broken") => response.status(500).body(empty()),
        _ => response
            .status(401)
            .header("www-authenticate", "Basic")
            .body(full("who?")),
    }
    .unwrap()
}

fn authz(change: impl FnOnce(&mut ExtAuthz)) -> Filter {
    let mut authz = ExtAuthz::new("authz", "/check").unwrap();
    authz.timeout = Duration::from_secs(8);
    authz.request_fields = vec![TextMatch::exact("x-token")];
    authz.upstream_fields = vec![TextMatch::exact("x-user")];
    authz.client_fields_allowed = vec![TextMatch::exact("x-client")];
    change(&mut authz);
    Filter::ExtAuthz(Arc::new(authz))
}

fn with_token(token: &str) -> Request<Body> {
    let mut request = post_request(HOST, "/x?y", full("body"));
    let headers = request.headers_mut();
    headers.insert("x-token", token.parse().unwrap());
    headers.insert("x-user", "mallory".parse().unwrap());
    request
}

#[tokio::test]
async fn an_allowed_request_goes_on_with_what_the_service_says() {
    let (app, service) = (Upstream::echo().await, Upstream::start(judge).await);
    let front = filtered(&[authz(|_| {})], app.address(), service.address());
    let answer = Client::http1(front.address).await.call(with_token("good")).await;
    assert_eq!(
        (answer.text().as_str(), answer.header("x-client")),
        ("body", Some("hello"))
    );
    assert_eq!(app.seen()[0].header("x-user"), Some("ann"));
    let asked = &service.seen()[0];
    assert_eq!(
        (&asked.method, asked.uri.to_string()),
        (&Method::POST, "/check/x?y".to_owned())
    );
    assert_eq!(
        (asked.header("x-token"), asked.header("x-user")),
        (Some("good"), None)
    );
    assert_eq!(
        (
            asked.header("host"),
            asked.header("content-length").unwrap_or("0")
        ),
        (Some(HOST), "0")
    );
}

#[tokio::test]
async fn a_refusal_goes_to_the_client_as_it_is() {
    let (app, service) = (Upstream::echo().await, Upstream::start(judge).await);
    let front = filtered(&[authz(|_| {})], app.address(), service.address());
    let answer = Client::http1(front.address).await.call(with_token("bad")).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (401, "who?"));
    assert_eq!(answer.header("www-authenticate"), Some("Basic"));
    assert_eq!(app.counts().requests(), 0);
}

#[tokio::test]
async fn a_refusal_keeps_what_it_is_no_use_without_whatever_else_is_chosen() {
    async fn elsewhere(_: Request<Incoming>) -> Response<Body> {
        Response::builder()
            .status(302)
            .header("location", "/login")
            .header("www-authenticate", "Basic")
            .header("x-client", "hello")
            .header("x-user", "ann")
            .body(full("go"))
            .unwrap()
    }
    let (app, service) = (Upstream::echo().await, Upstream::start(elsewhere).await);
    let choosy = authz(|authz| authz.client_fields_refused = vec![TextMatch::exact("x-client")]);
    let front = filtered(&[choosy], app.address(), service.address());
    let answer = Client::http1(front.address).await.call(with_token("bad")).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (302, "go"));
    let fields = ["location", "www-authenticate", "x-client", "x-user"].map(|name| answer.header(name));
    assert_eq!(fields, [Some("/login"), Some("Basic"), Some("hello"), None]);
}

#[tokio::test]
async fn a_failing_service_refuses_unless_the_route_says_otherwise() {
    let (app, service) = (Upstream::echo().await, Upstream::start(judge).await);
    let nobody = nobody().await;
    let allow = |authz: &mut ExtAuthz| authz.on_failure = OnFailure::Allow;
    let unavailable = |authz: &mut ExtAuthz| authz.status_on_error = StatusCode::SERVICE_UNAVAILABLE;
    for (filter, service, status) in [
        (authz(|_| {}), service.address(), 403),
        (authz(|_| {}), nobody, 403),
        (authz(unavailable), nobody, 503),
        (authz(allow), service.address(), 200),
        (authz(allow), nobody, 200),
    ] {
        let front = filtered(&[filter], app.address(), service);
        let answer = Client::http1(front.address)
            .await
            .call(with_token("broken"))
            .await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn the_service_is_asked_with_each_line_of_a_field_and_never_about_two_authorizations() {
    let (app, service) = (Upstream::echo().await, Upstream::start(judge).await);
    let allow = |authz: &mut ExtAuthz| authz.on_failure = OnFailure::Allow;
    let front = filtered(&[authz(allow)], app.address(), service.address());
    let twice = |name: &'static str| {
        let mut request = with_token("good");
        for value in ["good", "admin"] {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        request
    };
    let mut client = Client::http1(front.address).await;
    assert_eq!(client.call(twice("x-token")).await.status, 200);
    let asked: Vec<_> = service.seen()[0]
        .headers
        .get_all("x-token")
        .iter()
        .cloned()
        .collect();
    assert_eq!(asked, ["good", "good", "admin"]);
    let answer = client.call(twice("authorization")).await;
    assert_eq!((answer.status.as_u16(), app.counts().requests()), (400, 1));
}

#[tokio::test]
async fn nothing_that_a_client_says_of_its_content_keeps_the_service_from_being_asked() {
    let (app, service) = (Upstream::echo().await, Upstream::start(judge).await);
    let lenient = |authz: &mut ExtAuthz| {
        authz.on_failure = OnFailure::Allow;
        authz.request_fields = vec![TextMatch::prefix("")];
    };
    let front = filtered(&[authz(lenient)], app.address(), service.address());
    let mut request = with_token("bad");
    let grpc = "application/grpc".parse().unwrap();
    request.headers_mut().insert("content-type", grpc);
    let answer = Client::http1(front.address).await.call(request).await;
    // 401, as a call learns it.
    assert_eq!(answer.header("grpc-status"), Some("16"));
    assert_eq!(service.counts().requests(), 1);
    assert_eq!(service.seen()[0].header("content-type"), None);
}

#[tokio::test]
async fn only_the_failing_of_the_service_itself_opens_the_way() {
    let app = Upstream::echo().await;
    let mut nowhere = ExtAuthz::new("nowhere", "").unwrap();
    nowhere.on_failure = OnFailure::Allow;
    let nowhere = Filter::ExtAuthz(Arc::new(nowhere));
    let front = filtered(&[nowhere], app.address(), nobody().await);
    assert_eq!(get(front.address, HOST, "/").await.status, 403);
    assert_eq!(app.counts().requests(), 0);
}

#[tokio::test]
async fn a_service_that_takes_too_long_has_failed() {
    let gate = Gate::closed();
    let (app, service) = (Upstream::echo().await, Upstream::held(&gate).await);
    let quick = |authz: &mut ExtAuthz| authz.timeout = Duration::from_millis(20);
    let front = filtered(&[authz(quick)], app.address(), service.address());
    assert_eq!(get(front.address, HOST, "/").await.status, 403);
    assert_eq!(app.counts().requests(), 0);
}

#[cfg(feature = "compression")]
mod compression {
    use tidegate_proxy::filter::Compression;

    use super::*;

    const TEXT: &str =
        "the same words again, the same words again, the same words again, the same words again";

    /// Text of the type that the path names, with an `ETag`.
    async fn text(request: Request<Incoming>) -> Response<Body> {
        let builder = Response::builder().header("etag", "\"v1\"");
        let builder = match request.uri().path() {
            "/image" => builder.header("content-type", "image/png"),
            "/encoded" => builder
                .header("content-type", "text/plain")
                .header("content-encoding", "x"),
            _ => builder.header("content-type", "text/plain; charset=utf-8"),
        };
        let short = request.uri().path() == "/short";
        builder.body(full(if short { "short" } else { TEXT })).unwrap()
    }

    async fn front() -> (Front, Upstream) {
        let app = Upstream::start(text).await;
        let filter = Filter::Compression(Arc::new(Compression::default()));
        (filtered(&[filter], app.address(), nobody().await), app)
    }

    fn accepting(path: &str, encodings: &str) -> Request<Body> {
        let mut request = get_request(HOST, path);
        request
            .headers_mut()
            .insert("accept-encoding", encodings.parse().unwrap());
        request
    }

    #[tokio::test]
    async fn text_is_compressed_as_its_client_accepts_it() {
        let (front, _app) = front().await;
        let mut client = Client::http1(front.address).await;
        for (accepted, expected) in [
            ("gzip", Some("gzip")),
            ("br", Some("br")),
            ("zstd", Some("zstd")),
            ("x", None),
        ] {
            let answer = client.call(accepting("/", accepted)).await;
            assert_eq!(answer.header("content-encoding"), expected, "{accepted}");
            assert_eq!(answer.header("vary"), Some("accept-encoding"), "{accepted}");
            let etag = if expected.is_some() { "W/\"v1\"" } else { "\"v1\"" };
            assert_eq!(answer.header("etag"), Some(etag), "{accepted}");
            assert_eq!(answer.text() == TEXT, expected.is_none(), "{accepted}");
        }
    }

    #[tokio::test]
    async fn what_is_short_or_no_text_or_encoded_stays_as_it_is() {
        let (front, _app) = front().await;
        let mut client = Client::http1(front.address).await;
        for (path, encoding, text) in [
            ("/short", None, "short"),
            ("/image", None, TEXT),
            ("/encoded", Some("x"), TEXT),
        ] {
            let answer = client.call(accepting(path, "gzip, br")).await;
            assert_eq!(
                (answer.header("content-encoding"), &*answer.text()),
                (encoding, text),
                "{path}"
            );
            assert_eq!(answer.header("etag"), Some("\"v1\""), "{path}");
        }
    }
}

/// A front whose listener marks every request and response with `common`, and whose one route, for `/known`, has these
/// overrides and marks them with `own`.
async fn common_to_all(overrides: FilterOverrides) -> (Upstream, Front) {
    let app = Upstream::echo().await;
    let append = |value: &str| Mutation::write("x-seen", value, Write::Append).unwrap();
    let level = |value| Filter::Headers(HeaderMutations::new([append(value)], [append(value)]).unwrap());
    let mut route = Route::forward(Split::single(CLUSTER, [].into()));
    route.matcher.path = PathMatch::exact("/known");
    route.filters = [level("own")].into();
    route.overrides = overrides;
    let http = HttpSettings {
        filters: [NamedFilter::new("mark", level("common"))].into(),
        ..HttpSettings::default()
    };
    let snapshot = Snapshot::new(
        [host("*", vec![Arc::new(route)])],
        [cluster(Protocol::Http1, &[app.address()])],
    );
    let front = Front::behind(
        support::listen(NonZeroUsize::MIN, Connections::default()).speaking(http),
        snapshot,
    );
    (app, front)
}

fn marks(headers: &http::HeaderMap) -> Vec<&str> {
    let values = headers.get_all("x-seen").iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn the_filters_of_a_listener_see_every_request_before_those_of_its_route_and_one_without_a_route() {
    let (app, front) = common_to_all(FilterOverrides::default()).await;
    let answer = get(front.address, HOST, "/known").await;
    assert_eq!(marks(&app.seen()[0].headers), ["common", "own"]);
    let back = marks(&answer.headers);
    assert_eq!(&back[back.len() - 2..], ["own", "common"]);
    let nowhere = get(front.address, HOST, "/unknown").await;
    assert_eq!(
        (nowhere.status.as_u16(), marks(&nowhere.headers)),
        (404, vec!["common"])
    );
}

#[tokio::test]
async fn a_route_does_without_a_filter_of_its_listener_or_has_another_in_its_place() {
    let other = Mutation::write("x-seen", "other", Write::Append).unwrap();
    let other = Filter::Headers(HeaderMutations::new([other], []).unwrap());
    for (change, expected) in [
        (Override::Disabled, &["own"][..]),
        (Override::Replaced(other), &["other", "own"]),
    ] {
        let (app, front) = common_to_all([("mark", change)].into()).await;
        get(front.address, HOST, "/known").await;
        assert_eq!(marks(&app.seen()[0].headers), expected);
    }
}

#[tokio::test]
async fn the_service_sees_the_beginning_of_a_body_and_the_upstream_all_of_it() {
    let (app, service) = (Upstream::echo().await, Upstream::echo().await);
    let cut_off = HeaderName::from_static("x-cut-off");
    let asked = |authz: &mut ExtAuthz| {
        authz.body = Some(AskedBody {
            bytes_max: 4,
            longer: Longer::CutOff,
            told_by: Some(cut_off.clone()),
        });
    };
    let front = filtered(&[authz(asked)], app.address(), service.address());
    let mut client = Client::http1(front.address).await;
    let answer = client.call(post_request(HOST, "/", full("abcdef"))).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "abcdef".into()));
    assert_eq!(service.seen()[0].headers["x-cut-off"], "true");
    assert_eq!(service.seen()[0].headers["content-length"], "4");
}
