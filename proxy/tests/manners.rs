//! What are clients and upstreams told beside what they say to each other?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, StatusCode};
use support::{CLUSTER, Front, HOST};
use tidegate_proxy::Body;
use tidegate_proxy::cluster::{ClusterSettings, Endpoint, Protocol};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::config::manners::{LocalReplies, LocalReply, Manners, ServerField};
use tidegate_proxy::error::Kind;
use tidegate_proxy::filter::FilterOverrides;
use tidegate_proxy::layers::Layers;
use tidegate_proxy::listener::Connections;
use tidegate_proxy::route::{
    Action, Forward, ForwardPolicy, HeaderMutations, HostRewrite, Mutation, PathRewrite, Redirect, RetryOn,
    RetryPolicy, Route, Split, WeightedCluster, Write,
};
use tidegate_proxy::upstream::Target;
use tidegate_testkit::body;
use tidegate_testkit::client::{Answer, Client, get};
use tidegate_testkit::upstream::{Upstream, nobody};
use tower::util::MapRequestLayer;

fn speaking(manners: Manners) -> HttpSettings {
    HttpSettings {
        manners: Some(Arc::new(manners)),
        ..HttpSettings::default()
    }
}

#[tokio::test]
async fn a_client_learns_who_serves_and_how_long_it_took_and_an_upstream_who_asks() {
    let app = Upstream::echo().await;
    let http = speaking(Manners {
        server: ServerField::Overwrite(HeaderValue::from_static("edge")),
        via: Some(HeaderValue::from_static("1.1 edge")),
        upstream_time: Some(HeaderName::from_static("x-took")),
        client_address: Some(HeaderName::from_static("x-client")),
        ..Manners::default()
    });
    let front = Front::speaking(http, app.address());
    let answer = get(front.address, HOST, "/").await;
    assert_eq!(answer.header("server"), Some("edge"));
    assert_eq!(answer.header("via"), Some("1.1 edge"));
    answer.header("x-took").unwrap().parse::<u64>().unwrap();
    let seen = &app.seen()[0].headers;
    assert_eq!(seen["x-client"], "127.0.0.1");
    assert_eq!(seen["via"], "1.1 edge");
}

#[tokio::test]
async fn an_error_looks_as_it_was_said_and_is_signed_too() {
    let mut replies = LocalReplies::default();
    let mut reply = LocalReply {
        status: Some(StatusCode::IM_A_TEAPOT),
        text: Some("gone fishing".into()),
        ..LocalReply::default()
    };
    reply.fields.insert("x-why", HeaderValue::from_static("tide"));
    replies.set(Kind::ConnectFailed, reply);
    let http = speaking(Manners {
        server: ServerField::IfAbsent(HeaderValue::from_static("edge")),
        replies: Some(replies),
        ..Manners::default()
    });
    let front = Front::speaking(http, nobody().await);
    let answer = get(front.address, HOST, "/").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (418, "gone fishing".into())
    );
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(
        (answer.header("x-why"), answer.header("server")),
        (Some("tide"), Some("edge"))
    );
}

/// Everything goes by this route, with the fields of the response that it writes.
fn by(manners: Manners, action: Action, upstream: SocketAddr, writes: &[(&str, &str)]) -> Front {
    let writes = writes
        .iter()
        .map(|(name, value)| Mutation::write(name, value, Write::Overwrite).unwrap());
    let route = Route {
        headers: HeaderMutations::new([], writes).unwrap(),
        ..Route::new(action)
    };
    let cluster = support::cluster(Protocol::Http1, &[upstream]);
    let snapshot = Snapshot::new([support::host("*", vec![Arc::new(route)])], [cluster]);
    let listener = support::listen(NonZeroUsize::MIN, Connections::default());
    Front::behind(listener.speaking(speaking(manners)), snapshot)
}

async fn call(front: &Front, fields: &[(&str, &str)]) -> Answer {
    let mut request = Request::get("/a").header("host", HOST);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(body::empty()).unwrap();
    Client::http1(front.address).await.call(request).await
}

#[tokio::test]
async fn who_passed_a_request_on_is_said_in_one_field() {
    let app = Upstream::echo().await;
    let manners = Manners {
        via: Some(HeaderValue::from_static("edge")),
        ..Manners::default()
    };
    let front = Front::speaking(speaking(manners), app.address());
    call(&front, &[("via", "1.1 one"), ("via", "1.1 two, 1.1 three")]).await;
    let seen = &app.seen()[0].headers;
    let via: Vec<_> = seen.get_all("via").into_iter().collect();
    assert_eq!(via, ["1.1 one, 1.1 two, 1.1 three, edge"]);
}

#[tokio::test]
async fn the_path_before_is_told_where_a_route_rewrites_and_the_host_where_it_differs_from_its_share_s() {
    let app = Upstream::echo().await;
    let manners = Manners {
        original_path: Some(HeaderName::from_static("x-path-before")),
        original_host: Some(HeaderName::from_static("x-host-before")),
        ..Manners::default()
    };
    let share = WeightedCluster {
        cluster: CLUSTER.into(),
        weight: 1,
        headers: HeaderMutations::new(
            [Mutation::write("x-before", "%REQ(:authority)%", Write::Overwrite).unwrap()],
            [],
        )
        .unwrap(),
        host: Some(Arc::new(HostRewrite::literal("share.example").unwrap())),
        overrides: FilterOverrides::default(),
    };
    let mut forward = Forward::split(Split::new([share]).unwrap());
    forward.path = PathRewrite::regex("^/a", "/a").unwrap();
    let front = by(manners, Action::Forward(Arc::new(forward)), app.address(), &[]);
    call(&front, &[]).await;
    let seen = &app.seen()[0].headers;
    assert_eq!(
        (&seen["x-path-before"], &seen["host"]),
        (&"/a".parse().unwrap(), &"share.example".parse().unwrap())
    );
    assert_eq!(
        (seen.get("x-host-before"), &seen["x-before"]),
        (None, &HOST.parse().unwrap())
    );
}

#[tokio::test]
async fn a_route_changes_what_is_answered_for_it_where_there_are_manners() {
    let writes = [("x-for", "%REQ(x-who)%"), ("content-type", "text/other")];
    let missing = || Action::Forward(Arc::new(Forward::split(Split::single("missing", [].into()))));
    let front = by(Manners::default(), missing(), nobody().await, &writes);
    let answer = call(&front, &[("x-who", "me")]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-for")),
        (503, Some("me"))
    );
    let there = Action::Forward(Arc::new(Forward::split(Split::single(CLUSTER, [].into()))));
    let front = by(Manners::default(), there, nobody().await, &writes);
    let answer = call(&front, &[("x-who", "me")]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-for")),
        (503, Some("me"))
    );
}

#[tokio::test]
async fn a_response_without_a_body_has_no_type_of_one_whatever_its_route_says() {
    let redirect = Action::Redirect(Box::new(Redirect::to_https()));
    let front = by(
        Manners::default(),
        redirect,
        nobody().await,
        &[("content-type", "text/other"), ("x-a", "b")],
    );
    let answer = call(&front, &[]).await;
    assert_eq!(
        (answer.header("content-type"), answer.header("x-a")),
        (None, Some("b"))
    );
}

#[tokio::test]
async fn grpc_is_redirected_in_its_own_words() {
    let redirect = Action::Redirect(Box::new(Redirect::to_https()));
    let front = by(Manners::default(), redirect, nobody().await, &[]);
    let answer = call(&front, &[("content-type", "application/grpc")]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("grpc-status")),
        (200, Some("2"))
    );
    assert_eq!(answer.header("grpc-message"), None);
    assert_eq!(answer.header("location"), Some(&*format!("https://{HOST}/a")));
}

#[tokio::test]
async fn each_try_is_told_what_is_left_of_the_time_and_which_host_was_asked_for() {
    let app = Upstream::start(async |_request| {
        let mut response = http::Response::new(body::empty());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    })
    .await;
    let mut retry = RetryPolicy::on([RetryOn::ServerError]);
    (retry.per_try, retry.retries_max) = (Some(Duration::from_secs(9)), 1);
    let mut policy = ForwardPolicy {
        retry: Some(retry),
        ..ForwardPolicy::default()
    };
    policy.timeouts.request = Some(Duration::from_secs(8));
    let mut forward = Forward::split(Split::single(CLUSTER, [].into()));
    forward.host = HostRewrite::endpoint();
    let route = Route {
        policy: Some(Arc::new(policy)),
        ..Route::new(Action::Forward(Arc::new(forward)))
    };
    let cluster = support::cluster(Protocol::Http1, &[]);
    cluster.set_endpoints(vec![Arc::new(
        Endpoint::new(app.address()).with_hostname("endpoint.example"),
    )]);
    let snapshot = Snapshot::new([support::host("*", vec![Arc::new(route)])], [cluster]);
    let manners = Manners {
        time_left: Some(HeaderName::from_static("x-left")),
        original_host: Some(HeaderName::from_static("x-host-before")),
        ..Manners::default()
    };
    let listener = support::listen(NonZeroUsize::MIN, Connections::default());
    let front = Front::behind(listener.speaking(speaking(manners)), snapshot);
    call(&front, &[]).await;
    let seen = app.seen();
    let left = |seen: &http::HeaderMap| seen["x-left"].to_str().unwrap().parse::<u64>().unwrap();
    assert_eq!((seen.len(), left(&seen[0].headers)), (2, 8000));
    assert!((1..=8000).contains(&left(&seen[1].headers)));
    for request in &seen {
        assert_eq!(
            (&request.headers["host"], &request.headers["x-host-before"]),
            (&"endpoint.example".parse().unwrap(), &HOST.parse().unwrap())
        );
    }
}

#[tokio::test]
async fn what_a_layer_let_a_request_wait_is_not_told_to_be_left() {
    let app = Upstream::echo().await;
    let wait = MapRequestLayer::new(|mut request: Request<Body>| {
        request.extensions_mut().get_mut::<Target>().unwrap().waited = Duration::from_secs(7);
        request
    });
    let settings = ClusterSettings {
        layers: Some(Layers::new(wait)),
        ..ClusterSettings::new(CLUSTER)
    };
    let mut policy = ForwardPolicy::default();
    policy.timeouts.request = Some(Duration::from_secs(8));
    let route = Route {
        policy: Some(Arc::new(policy)),
        ..Route::forward(Split::single(CLUSTER, [].into()))
    };
    let cluster = support::with_endpoints(settings, &[app.address()]);
    let snapshot = Snapshot::new([support::host("*", vec![Arc::new(route)])], [cluster]);
    let manners = Manners {
        time_left: Some(HeaderName::from_static("x-left")),
        ..Manners::default()
    };
    let listener = support::listen(NonZeroUsize::MIN, Connections::default());
    let front = Front::behind(listener.speaking(speaking(manners)), snapshot);
    call(&front, &[]).await;
    assert_eq!(app.seen()[0].headers["x-left"], "1000");
}
