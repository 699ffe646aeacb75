//! Who else gets a copy of a request, and who notices?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use support::{CLUSTER, Front, HOST, cluster, host, with_endpoints};
use tidegate_proxy::cluster::{ClusterSettings, Protocol};
use tidegate_proxy::config::{Snapshot, limits};
use tidegate_proxy::route::{ForwardPolicy, Fraction, Mirror, MirrorHost, MirrorTo, Route, Split};
use tidegate_testkit::body::{empty, full};
use tidegate_testkit::client::{Client, get, get_request, post_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{Upstream, nobody};
use tidegate_testkit::wait::eventually;

const COPIES: &str = "copies";

/// Forwards to `app`, with copies to `copies`.
fn mirrored(app: SocketAddr, copies: SocketAddr, mirrors: Vec<Mirror>) -> Front {
    let mut route = Route::forward(Split::single(CLUSTER, [].into()));
    route.policy = Some(Arc::new(ForwardPolicy {
        mirrors,
        ..ForwardPolicy::default()
    }));
    let clusters = [
        cluster(Protocol::Http1, &[app]),
        with_endpoints(ClusterSettings::new(COPIES), &[copies]),
    ];
    Front::start(Snapshot::new([host("*", vec![Arc::new(route)])], clusters))
}

/// Keeps the bodies that it has got whole.
async fn keeping(bodies: &Arc<Mutex<Vec<usize>>>) -> Upstream {
    let bodies = Arc::clone(bodies);
    Upstream::start(move |request: Request<Incoming>| {
        let bodies = Arc::clone(&bodies);
        async move {
            if let Ok(body) = request.into_body().collect().await {
                bodies.lock().unwrap().push(body.to_bytes().len());
            }
            Response::new(empty())
        }
    })
    .await
}

#[tokio::test]
async fn a_copy_has_the_head_and_the_body_of_its_request_and_another_host() {
    let bodies = Arc::default();
    let (app, copies) = (Upstream::echo().await, keeping(&bodies).await);
    let literal = MirrorHost::Literal(HeaderValue::from_static("copy.example"));
    let hosts = [MirrorHost::Suffixed, MirrorHost::Same, literal];
    let expected = [
        format!("{HOST}-shadow"),
        HOST.to_owned(),
        "copy.example".to_owned(),
    ];
    for (host, expected) in hosts.into_iter().zip(expected) {
        let mirror = Mirror {
            host,
            ..Mirror::to(COPIES)
        };
        let front = mirrored(app.address(), copies.address(), vec![mirror]);
        let (sent, long) = (bodies.lock().unwrap().len(), vec![b'x'; 200_000]);
        let request = post_request(HOST, "/a?b", full(long));
        let answer = Client::http1(front.address).await.call(request).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 200_000));
        eventually("the copy", async || {
            (bodies.lock().unwrap().len() > sent).then_some(())
        })
        .await;
        assert_eq!(bodies.lock().unwrap().last(), Some(&200_000));
        let copy = copies.seen().pop().unwrap();
        assert_eq!(
            (copy.method.as_str(), copy.uri.to_string()),
            ("POST", "/a?b".into())
        );
        assert_eq!(copy.header("host"), Some(&*expected));
    }
}

#[tokio::test]
async fn nobody_waits_for_a_copy_or_sees_its_answer() {
    let app = Upstream::fixed(StatusCode::OK, "fine").await;
    let gate = Gate::closed();
    let stuck = Upstream::held(&gate).await;
    let refusing = Upstream::fixed(StatusCode::INTERNAL_SERVER_ERROR, "no").await;
    for copies in [stuck.address(), refusing.address(), nobody().await] {
        let front = mirrored(app.address(), copies, vec![Mirror::to(COPIES)]);
        assert_eq!(get(front.address, HOST, "/").await.text(), "fine");
    }
    let missing = mirrored(app.address(), nobody().await, vec![Mirror::to("missing")]);
    assert_eq!(get(missing.address, HOST, "/").await.text(), "fine");
}

#[tokio::test]
async fn a_copy_that_nobody_reads_is_given_up_and_the_request_goes_on() {
    let gate = Gate::closed();
    let (app, stuck) = (Upstream::echo().await, Upstream::held(&gate).await);
    let front = mirrored(app.address(), stuck.address(), vec![Mirror::to(COPIES)]);
    let long = vec![b'x'; 16 * limits::MIRROR_BODY_BYTES_MAX];
    let request = post_request(HOST, "/", full(long.clone()));
    let answer = Client::http1(front.address).await.call(request).await;
    assert_eq!(answer.body.len(), long.len());
}

#[tokio::test]
async fn a_share_or_a_field_may_say_which_requests_are_copied() {
    let (app, copies) = (Upstream::echo().await, Upstream::echo().await);
    let none = Mirror {
        share: Some(Fraction { take: 0, of: 100 }),
        ..Mirror::to(COPIES)
    };
    let named = Mirror {
        to: MirrorTo::Header("x-copy".parse().unwrap()),
        ..Mirror::to(COPIES)
    };
    let front = mirrored(app.address(), copies.address(), vec![none, named]);
    assert_eq!(get(front.address, HOST, "/one").await.status, 200);
    let mut request = get_request(HOST, "/two");
    let name = HeaderValue::from_static(COPIES);
    request.headers_mut().insert("x-copy", name);
    assert_eq!(Client::http1(front.address).await.call(request).await.status, 200);
    eventually("the copy", async || {
        (copies.counts().requests() > 0).then_some(())
    })
    .await;
    let seen: Vec<_> = copies.seen().iter().map(|seen| seen.uri.to_string()).collect();
    assert_eq!(seen, ["/two"]);
}
