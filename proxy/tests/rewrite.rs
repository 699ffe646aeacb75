//! What does an upstream get of a request whose route rewrites, changes and bounds it, and where is a client sent?

mod support;

use std::sync::Arc;

use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use support::{CLUSTER, Front, HOST, cluster, host};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint, Protocol};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::filter::FilterOverrides;
use tidegate_proxy::normalize::forwarded::Forwarding;
use tidegate_proxy::normalize::path::{EscapedSlashes, PathPolicy};
use tidegate_proxy::route::{
    Action, AffinityCookie, Destination, Forward, HashPolicy, HeaderMutations, HostRewrite, Matcher,
    Mutation, PathMatch, PathRewrite, Redirect, Route, RouteLimits, Split, Upgrades, WeightedCluster, Write,
};
use tidegate_testkit::body::{fed, full};
use tidegate_testkit::client::{Client, get, get_request, post_request};
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wire::Wire;

/// A front with one route for a path, which forwards as `change` says.
async fn forwarding(path: PathMatch, change: impl FnOnce(&mut Forward)) -> (Front, Upstream) {
    let mut forward = Forward::split(Split::single(CLUSTER, [].into()));
    change(&mut forward);
    let matcher = Matcher {
        path,
        ..Matcher::default()
    };
    with_route(Route {
        matcher: matcher.into(),
        ..Route::new(Action::Forward(Arc::new(forward)))
    })
    .await
}

async fn with_route(route: Route) -> (Front, Upstream) {
    let upstream = Upstream::echo().await;
    let cluster = cluster(Protocol::Http1, &[upstream.address()]);
    let snapshot = Snapshot::new([host("*", vec![Arc::new(route)])], [cluster]);
    (Front::start(snapshot), upstream)
}

#[tokio::test]
async fn an_upstream_gets_the_rewritten_path_and_host() {
    let (front, upstream) = forwarding(PathMatch::prefix("/api"), |forward| {
        forward.path = PathRewrite::prefix("/v2").unwrap();
        forward.host = HostRewrite::literal("inner.example").unwrap().keeping_original();
    })
    .await;
    get(front.address, HOST, "/api/x?q=1").await;
    get(front.address, HOST, "/api/../api../x").await;
    let seen = upstream.seen();
    assert_eq!(seen[0].uri, "/v2/x?q=1");
    assert_eq!(seen[1].uri, "/v2../x");
    let told = (seen[0].header("host"), seen[0].header("x-forwarded-host"));
    assert_eq!(told, (Some("inner.example"), Some(HOST)));
}

#[tokio::test]
async fn an_upstream_gets_the_host_of_its_endpoint() {
    let upstream = Upstream::echo().await;
    let mut forward = Forward::split(Split::single(CLUSTER, [].into()));
    forward.host = HostRewrite::endpoint().keeping_original();
    let route = Route::new(Action::Forward(Arc::new(forward)));
    let cluster = Cluster::new(ClusterSettings::new(CLUSTER));
    let endpoint = Endpoint::new(upstream.address()).with_hostname("pod-1.example");
    cluster.set_endpoints(vec![endpoint.into()]);
    let front = Front::start(Snapshot::new([host("*", vec![Arc::new(route)])], [cluster]));
    get(front.address, HOST, "/").await;
    let seen = &upstream.seen()[0];
    let told = (seen.header("host"), seen.header("x-forwarded-host"));
    assert_eq!(told, (Some("pod-1.example"), Some(HOST)));
}

#[tokio::test]
async fn fields_change_on_the_way_there_and_back() {
    let write = |name, value| Mutation::write(name, value, Write::Overwrite).unwrap();
    let request = [
        write("x-client", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
        write("x-method", "%REQ(:METHOD)% %PROTOCOL%"),
        Mutation::remove("x-secret").unwrap(),
    ];
    let response = [
        write("x-asked", "%REQ(x-ask)%"),
        Mutation::remove("date").unwrap(),
    ];
    let mut route = Route::forward(Split::single(CLUSTER, [].into()));
    route.headers = HeaderMutations::new(request, response).unwrap();
    let (front, upstream) = with_route(route).await;
    let mut request = get_request(HOST, "/");
    for (name, value) in [("x-ask", "me"), ("x-secret", "1")] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = Client::http1(front.address).await.call(request).await;
    assert_eq!(answer.header("x-asked"), Some("me"));
    let seen = &upstream.seen()[0];
    assert_eq!(seen.header("x-client"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-method"), Some("GET HTTP/1.1"));
    assert_eq!(seen.header("x-secret"), None);
}

#[tokio::test]
async fn a_client_is_sent_where_the_route_says() {
    let (front, upstream) = with_route(Route::redirect(Redirect::to_https())).await;
    for (host, location) in [
        ("a.example:80", "https://a.example/x?y"),
        ("a.example:8080", "https://a.example:8080/x?y"),
    ] {
        let answer = get(front.address, host, "/x?y").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (301, Some(location))
        );
    }
    assert_eq!(upstream.counts().requests(), 0);
}

/// A front whose route takes small requests, before an upstream that reads them whole before it answers.
async fn bounded() -> (Front, Upstream) {
    let upstream = Upstream::start(async |request: Request<Incoming>| {
        let read = request.into_body().collect().await;
        Response::new(full(
            read.map(http_body_util::Collected::to_bytes).unwrap_or_default(),
        ))
    })
    .await;
    let mut forward = Forward::split(Split::single(CLUSTER, [].into()));
    forward.limits = RouteLimits {
        body_bytes_max: Some(5),
        head_bytes_max: Some(2000),
    };
    let route = Route::new(Action::Forward(Arc::new(forward)));
    let cluster = cluster(Protocol::Http1, &[upstream.address()]);
    let snapshot = Snapshot::new([host("*", vec![Arc::new(route)])], [cluster]);
    (Front::start(snapshot), upstream)
}

#[tokio::test]
async fn a_body_above_the_route_s_bound_is_refused_before_or_while_it_comes() {
    let (front, _upstream) = bounded().await;
    let mut client = Client::http1(front.address).await;
    let fits = client.call(post_request(HOST, "/", full("12345"))).await;
    assert_eq!(fits.text(), "12345");
    let announced = client.call(post_request(HOST, "/", full("123456"))).await;
    assert_eq!(announced.status, 413);
    let (feed, streamed) = fed();
    let mut client = Client::http1(front.address).await;
    let call = client.call(post_request(HOST, "/", streamed));
    let (answer, ()) = tokio::join!(call, async {
        feed.data("123").await;
        feed.data("456").await;
    });
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn a_head_above_the_route_s_bound_gets_431() {
    let (front, upstream) = bounded().await;
    let mut request = get_request(HOST, "/");
    let long = "x".repeat(2000).parse().unwrap();
    request.headers_mut().insert("x-long", long);
    assert_eq!(Client::http1(front.address).await.call(request).await.status, 431);
    assert_eq!(upstream.counts().requests(), 0);
}

#[tokio::test]
async fn a_share_of_a_split_may_have_a_host_of_its_own_where_the_route_has_none() {
    for (of_route, expected) in [
        (HostRewrite::default(), "share.example"),
        (HostRewrite::literal("route.example").unwrap(), "route.example"),
    ] {
        let share = WeightedCluster {
            cluster: CLUSTER.into(),
            weight: 1,
            headers: HeaderMutations::default(),
            overrides: FilterOverrides::default(),
            host: Some(Arc::new(HostRewrite::literal("share.example").unwrap())),
        };
        let (front, upstream) = forwarding(PathMatch::default(), |forward| {
            forward.to = Destination::Split(Split::new([share]).unwrap());
            forward.host = of_route;
        })
        .await;
        get(front.address, HOST, "/").await;
        assert_eq!(upstream.seen()[0].header("host"), Some(expected));
    }
}

#[tokio::test]
async fn an_upgrade_that_the_route_does_not_allow_gets_403() {
    let (front, upstream) = forwarding(PathMatch::default(), |forward| {
        forward.upgrades = Upgrades::Only(Vec::new());
    })
    .await;
    let mut wire = Wire::connect(front.address).await;
    wire.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .await;
    assert_eq!(wire.message().await.status(), 403);
    assert_eq!(upstream.counts().requests(), 0);
}

#[tokio::test]
async fn a_client_without_its_affinity_cookie_gets_one() {
    let cookie = AffinityCookie::set_here("home", Some("/"), std::time::Duration::ZERO).unwrap();
    let (front, _upstream) = forwarding(PathMatch::default(), |forward| {
        forward.hash = vec![HashPolicy::cookie(cookie)];
    })
    .await;
    let answer = get(front.address, HOST, "/").await;
    let set = answer.header("set-cookie").unwrap();
    assert!(
        set.starts_with("home=\"") && set.ends_with("\"; Path=/; HttpOnly"),
        "{set}"
    );
    let mut request = get_request(HOST, "/");
    request.headers_mut().insert("cookie", "home=1".parse().unwrap());
    let again = Client::http1(front.address).await.call(request).await;
    assert_eq!(again.header("set-cookie"), None);
}

#[tokio::test]
async fn a_grpc_client_gets_a_direct_response_in_its_own_way() {
    let (front, _upstream) = with_route(Route::respond(StatusCode::FORBIDDEN, "no entry")).await;
    let request = Request::post(format!("http://{HOST}/s/m"))
        .header("content-type", "application/grpc")
        .body(full(""))
        .unwrap();
    let answer = Client::http2(front.address).await.call(request).await;
    let fields = (answer.header("grpc-status"), answer.header("grpc-message"));
    assert_eq!(
        (answer.status.as_u16(), fields),
        (200, (Some("7"), Some("no entry")))
    );
}

#[tokio::test]
async fn an_escaped_slash_sends_the_client_to_the_same_host() {
    let upstream = Upstream::echo().await;
    let http = HttpSettings {
        path: PathPolicy {
            escaped_slashes: EscapedSlashes::UnescapeAndRedirect,
            ..PathPolicy::default()
        },
        ..HttpSettings::default()
    };
    let front = Front::speaking(http, upstream.address());
    let answer = get(front.address, HOST, "/%2fevil.example").await;
    let location = format!("http://{HOST}//evil.example");
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (307, Some(&*location))
    );
    assert_eq!(get(front.address, HOST, "/plain").await.status, 200);
}

#[tokio::test]
async fn a_trusted_proxy_tells_who_the_client_is() {
    let upstream = Upstream::echo().await;
    let http = HttpSettings {
        forwarding: Forwarding::Append { trusted_hops: 1 },
        ..HttpSettings::default()
    };
    let front = Front::speaking(http, upstream.address());
    let mut request = get_request(HOST, "/");
    let headers = request.headers_mut();
    headers.insert(
        HeaderName::from_static("x-forwarded-for"),
        "192.0.2.7".parse().unwrap(),
    );
    headers.insert(
        HeaderName::from_static("x-forwarded-proto"),
        "https".parse().unwrap(),
    );
    Client::http1(front.address).await.call(request).await;
    let seen = &upstream.seen()[0];
    assert_eq!(seen.header("x-forwarded-for"), Some("192.0.2.7, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
}
