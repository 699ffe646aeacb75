//! Which redirects of an upstream are followed in the place of the client?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use support::{CLUSTER, Front, HOST, cluster, host};
use tidegate_proxy::cluster::{Endpoint, Protocol};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::config::manners::Manners;
use tidegate_proxy::listener::Connections;
use tidegate_proxy::route::{
    Action, FollowRedirects, ForwardPolicy, HostRewrite, PathMatch, Repeat, RetryPolicy, Route, Split,
};
use tidegate_testkit::body::full;
use tidegate_testkit::client::{Answer, Client, get_request, post_request};
use tidegate_testkit::upstream::Upstream;

/// Redirects as `x-to` says, by `x-by`, from any path that begins with `/from`; else says what it was asked.
async fn redirecting() -> Upstream {
    Upstream::start(|request: Request<Incoming>| async move {
        let field = |name: &str| request.headers().get(name).cloned();
        if request.uri().path().starts_with("/from") {
            let by = field("x-by").map_or(302, |by| by.to_str().unwrap().parse().unwrap());
            let answer = Response::builder()
                .status(by)
                .header("location", field("x-to").unwrap());
            return answer.body(full("elsewhere")).unwrap();
        }
        let text = |name: &str| field(name).map(|value| value.to_str().unwrap().to_owned());
        let (host, url) = (text("host").unwrap(), text("x-url").unwrap_or_default());
        let head = format!("{} {} {host} {url} ", request.method(), request.uri());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full([head.as_bytes(), &body].concat()))
    })
    .await
}

/// What comes of this request where `follow` says what is followed. A route of its own, `deep`, has what is below `/from/deep`.
async fn asked(follow: FollowRedirects, request: Request<tidegate_testkit::body::Body>) -> Answer {
    let upstream = redirecting().await;
    let policy = Arc::new(ForwardPolicy {
        redirects: Some(Box::new(FollowRedirects {
            told_by: Some("x-url".parse().unwrap()),
            ..follow
        })),
        ..ForwardPolicy::default()
    });
    let route = |name: &str| {
        let mut route = Route::forward(Split::single(CLUSTER, [].into()));
        route.policy = Some(Arc::clone(&policy));
        route.name = Some(name.into());
        route
    };
    let mut deep = route("deep");
    deep.matcher.path = PathMatch::prefix("/from/deep");
    let routes = vec![Arc::new(deep), Arc::new(route("all"))];
    let clusters = [cluster(Protocol::Http1, &[upstream.address()])];
    let hosts = [host("*", routes)];
    let front = Front::start(Snapshot::new(hosts, clusters));
    Client::http1(front.address).await.call(request).await
}

fn with_fields<B>(mut request: Request<B>, fields: &[(&'static str, &'static str)]) -> Request<B> {
    for (name, value) in fields {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn a_redirect_leads_to_the_route_of_its_url_and_the_client_gets_what_is_there() {
    let request = with_fields(get_request(HOST, "/from"), &[("x-to", "http://b.example/to?q")]);
    let answer = asked(FollowRedirects::default(), request).await;
    assert_eq!(answer.status, 200);
    let expected = format!("GET /to?q b.example http://{HOST}/from ");
    assert_eq!(answer.text(), expected);
}

#[tokio::test]
async fn a_body_goes_along_but_not_to_what_is_only_got() {
    let follow = || FollowRedirects {
        statuses: vec![303.try_into().unwrap(), 307.try_into().unwrap()],
        ..FollowRedirects::default()
    };
    for (by, expected) in [("307", "POST /to b.example"), ("303", "GET /to b.example")] {
        let fields = [("x-to", "http://b.example/to"), ("x-by", by)];
        let request = with_fields(post_request(HOST, "/from", full("body")), &fields);
        let text = asked(follow(), request).await.text();
        assert!(text.starts_with(expected), "{by}: {text}");
        assert_eq!(text.ends_with("body"), by == "307", "{text}");
    }
    // More than is kept of a body.
    let fields = [("x-to", "http://b.example/to"), ("x-by", "307")];
    let long = full(vec![b'x'; 1_000_000]);
    let request = with_fields(post_request(HOST, "/from", long), &fields);
    assert_eq!(asked(follow(), request).await.status, 307);
}

#[tokio::test]
async fn what_is_not_followed_is_the_client_s() {
    let check = async |to: &'static str, follow: FollowRedirects, by: &'static str| {
        let request = with_fields(get_request(HOST, "/from"), &[("x-to", to), ("x-by", by)]);
        let answer = asked(follow, request).await;
        assert_eq!(answer.status.as_str(), by, "{to}");
        assert_eq!(
            (answer.header("location"), answer.text()),
            (Some(to), "elsewhere".into())
        );
    };
    check("/to", FollowRedirects::default(), "302").await;
    check("https://b.example/to", FollowRedirects::default(), "302").await;
    check("http://b.example/to", FollowRedirects::default(), "301").await;
    let listed = FollowRedirects {
        routes: Some(vec!["deep".into()]),
        ..FollowRedirects::default()
    };
    check("http://b.example/to", listed, "302").await;
    // It leads to itself, as often as it may.
    let often = FollowRedirects {
        hops_max: 3,
        ..FollowRedirects::default()
    };
    check("http://b.example/from/b", often, "302").await;
    let once = FollowRedirects {
        hops_max: u32::MAX,
        repeat: Repeat::Refused,
        ..FollowRedirects::default()
    };
    check("http://b.example/from/deep", once, "302").await;
}

/// Follows redirects, within a minute, and gives requests the host of their endpoint.
fn to_named_endpoints() -> Route {
    let mut route = Route::forward(Split::single(CLUSTER, [].into()));
    let Action::Forward(forward) = &mut route.action else {
        unreachable!("it forwards");
    };
    let forward = Arc::get_mut(forward).unwrap();
    forward.host = HostRewrite::endpoint();
    let mut policy = ForwardPolicy {
        redirects: Some(Box::default()),
        retry: Some(RetryPolicy::on([])),
        ..ForwardPolicy::default()
    };
    policy.timeouts.request = Some(Duration::from_secs(60));
    route.policy = Some(Arc::new(policy));
    route
}

#[tokio::test]
async fn what_a_route_says_to_its_endpoints_stays_with_that_route() {
    let upstream = redirecting().await;
    let mut from = to_named_endpoints();
    from.matcher.path = PathMatch::prefix("/from");
    let to = Route::forward(Split::single(CLUSTER, [].into()));
    let cluster = cluster(Protocol::Http1, &[]);
    let endpoint = Endpoint::new(upstream.address()).with_hostname("endpoint.example");
    cluster.set_endpoints(vec![Arc::new(endpoint)]);
    let manners = Manners {
        time_left: Some("x-left".parse().unwrap()),
        ..Manners::default()
    };
    let http = HttpSettings {
        manners: Some(Arc::new(manners)),
        ..HttpSettings::default()
    };
    let listener = support::listen(NonZeroUsize::MIN, Connections::default()).speaking(http);
    let hosts = [host("*", vec![Arc::new(from), Arc::new(to)])];
    let front = Front::behind(listener, Snapshot::new(hosts, [cluster]));
    let request = with_fields(get_request(HOST, "/from"), &[("x-to", "http://b.example/to")]);
    let answer = Client::http1(front.address).await.call(request).await;
    assert_eq!(answer.text(), "GET /to b.example  ");
    let [first, second] = upstream.seen().try_into().unwrap();
    assert_eq!(first.headers["host"], "endpoint.example");
    assert!(first.headers.contains_key("x-left"));
    assert!(!second.headers.contains_key("x-left"));
}
