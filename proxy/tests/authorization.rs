//! How does a service of another language than HTTP's say which requests pass?

mod support;

use std::num::NonZeroUsize;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use support::{CLUSTER, Front, HOST, cluster, host, with_endpoints};
use tidegate_proxy::cluster::{ClusterSettings, Protocol};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::error::BoxError;
use tidegate_proxy::filter::ext_authz::{About, Answer, AuthorizationOverride, Codec, Decision};
use tidegate_proxy::filter::{ExtAuthz, Filter, NamedFilter, Override};
use tidegate_proxy::listener::Connections;
use tidegate_proxy::route::{HeaderMutations, Mutation, PathMatch, Route, Split, Write};
use tidegate_testkit::body::empty;
use tidegate_testkit::client::get;
use tidegate_testkit::upstream::Upstream;

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
        Ok(Decision::Pass(HeaderMutations::new([mark], [])?))
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
