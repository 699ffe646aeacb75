//! What can foreign layers do between a route and its upstream, and how often are they built?

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use support::{CLUSTER, Front, GRACE, HOST, cluster, everything_to, with_endpoints};
use tidegate_proxy::cluster::{ClusterSettings, Endpoint, Protocol};
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::error::{BoxError, Kind, Worded};
use tidegate_proxy::layers::Layers;
use tidegate_proxy::route::{Domain, ForwardPolicy, Route, Split, VirtualHost};
use tidegate_proxy::upstream::{Target, Timing, Upstream as Sender};
use tidegate_proxy::{Body, Error};
use tidegate_testkit::body::full;
use tidegate_testkit::client::{Client, get, get_request, post_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::soon;
use tower::layer::layer_fn;
use tower::util::{MapRequestLayer, MapResponseLayer};
use tower::{ServiceBuilder, service_fn};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use tower_http::trace::TraceLayer;

const SEEN: HeaderName = HeaderName::from_static("x-seen");

/// A layer that counts how often it is built.
fn counted(built: &Arc<AtomicUsize>) -> Layers {
    let built = Arc::clone(built);
    Layers::new(layer_fn(move |upstream: Sender| {
        built.fetch_add(1, Ordering::SeqCst);
        upstream
    }))
}

/// A layer in the place of the upstream.
fn failing(fail: impl Fn() -> BoxError + Clone + Send + Sync + 'static) -> Layers {
    Layers::new(layer_fn(move |_upstream: Sender| {
        let fail = fail.clone();
        service_fn(move |_: Request<Body>| {
            let failed = Err::<Response<Body>, _>(fail());
            async move { failed }
        })
    }))
}

#[tokio::test]
async fn a_stack_of_towers_own_layers_works() {
    let upstream = Upstream::echo().await;
    let seen = |by| SetResponseHeaderLayer::appending(SEEN, HeaderValue::from_static(by));
    let stack = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(seen("outside"))
        .layer(seen("inside"))
        .layer(RequestBodyTimeoutLayer::new(Duration::from_secs(600)));
    let front = Front::through(Layers::new(stack), upstream.address());
    for mut client in [
        Client::http1(front.address).await,
        Client::http2(front.address).await,
    ] {
        let answer = client.call(post_request(HOST, "/", full("hello"))).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "hello"));
        let seen: Vec<_> = answer.headers.get_all(SEEN).iter().collect();
        assert_eq!(seen, ["inside", "outside"]);
    }
    assert_eq!(
        upstream.counts().connections(),
        1,
        "the pool is shared with what a layer sends"
    );
}

#[tokio::test]
async fn a_stack_is_built_once_and_outlives_its_snapshot() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let built = Arc::new(AtomicUsize::new(0));
    let (layers, cluster) = (counted(&built), cluster(Protocol::Http1, &[upstream.address()]));
    let front = Front::start(everything_to(&cluster, Some(layers.clone())));
    assert_eq!(built.load(Ordering::SeqCst), 0, "nobody asked yet");
    for _ in 0..5 {
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
        front
            .config
            .publish(everything_to(&cluster, Some(layers.clone())));
    }
    assert_eq!(built.load(Ordering::SeqCst), 1);
    front
        .config
        .publish(everything_to(&cluster, Some(counted(&built))));
    assert_eq!(get(front.address, HOST, "/").await.status, 200);
    assert_eq!(built.load(Ordering::SeqCst), 2, "other layers, another stack");
}

#[tokio::test]
async fn each_worker_builds_its_own() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let built = Arc::new(AtomicUsize::new(0));
    let cluster = cluster(Protocol::Http1, &[upstream.address()]);
    let (front, workers) = Front::on_workers(everything_to(&cluster, Some(counted(&built))), 2);
    for _ in 0..64 {
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
    }
    assert_eq!(built.load(Ordering::SeqCst), 2);
    assert_eq!(front.finish(GRACE).await.forced, 0);
    assert_eq!(tokio::task::spawn_blocking(|| workers.join()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_foreign_error_is_an_internal_one_and_ours_keeps_its_kind() {
    let check = async |layers: Layers, status: u16, text: &str, retry_after: Option<&str>| {
        let front = Front::through(layers, "127.0.0.1:9".parse().unwrap());
        let answer = get(front.address, HOST, "/").await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, text));
        assert_eq!(answer.header("retry-after"), retry_after);
    };
    check(
        failing(|| "boom".into()),
        500,
        "a layer of this route failed\n",
        None,
    )
    .await;
    let full = || Error::new(Kind::QueueFull).into();
    check(failing(full), 503, "pending request queue full\n", None).await;
    let crashed = || {
        let error = Error::new(Kind::CapacityRefused).with_detail("app exits at once: 'no such file'");
        error.with_retry_after(Duration::from_secs(5)).into()
    };
    check(
        failing(crashed),
        503,
        "app exits at once: 'no such file'\n",
        Some("5"),
    )
    .await;
}

#[tokio::test]
async fn a_layer_sees_the_target_and_may_choose_the_endpoint() {
    let (chosen, other) = (Upstream::echo().await, Upstream::echo().await);
    let endpoint = Arc::new(Endpoint::new(chosen.address()));
    let held = Arc::clone(&endpoint);
    let choose = MapRequestLayer::new(move |mut request: Request<Body>| {
        let target = request.extensions_mut().get_mut::<Target>().unwrap();
        assert_eq!(&**target.cluster.name(), CLUSTER);
        assert!(target.route.layers.is_some() && target.endpoint.is_none());
        assert!(target.received.elapsed() < Duration::from_secs(5));
        target.endpoint = Some(Arc::clone(&held));
        request
    });
    let front = Front::through(Layers::new(choose), other.address());
    for _ in 0..3 {
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
    }
    assert_eq!((chosen.counts().requests(), other.counts().requests()), (3, 0));
    assert_eq!(endpoint.in_flight(), 0);
}

#[tokio::test]
async fn a_layer_sees_how_long_the_upstream_took() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let timings = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&timings);
    let note = MapResponseLayer::new(move |response: Response<Body>| {
        noted
            .lock()
            .unwrap()
            .push(*response.extensions().get::<Timing>().unwrap());
        response
    });
    let front = Front::through(Layers::new(note), upstream.address());
    for _ in 0..2 {
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
    }
    let [dialled, pooled] = timings.lock().unwrap().clone().try_into().unwrap();
    assert!(dialled.connect > pooled.connect, "{dialled:?} {pooled:?}");
    assert!(dialled.first_byte > Duration::ZERO);
}

#[tokio::test]
async fn a_layer_that_loses_the_target_is_told_so_and_serves_nobody() {
    let upstream = Upstream::echo().await;
    let lose = MapRequestLayer::new(|mut request: Request<Body>| {
        request.extensions_mut().clear();
        request
    });
    let front = Front::through(Layers::new(lose), upstream.address());
    assert_eq!(get(front.address, HOST, "/").await.status, 500);
    assert_eq!(upstream.counts().requests(), 0);
}

#[tokio::test]
async fn a_layer_may_answer_by_itself() {
    let answer = Layers::new(layer_fn(|_upstream: Sender| {
        service_fn(async |request: Request<Body>| Ok::<_, BoxError>(Response::new(request.into_body())))
    }));
    let front = Front::through(answer, "127.0.0.1:9".parse().unwrap());
    let mut client = Client::http1(front.address).await;
    assert_eq!(
        client.call(post_request(HOST, "/", full("hello"))).await.text(),
        "hello"
    );
    let switch = Layers::new(layer_fn(|_upstream: Sender| {
        service_fn(async |_: Request<Body>| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            Ok::<_, BoxError>(response)
        })
    }));
    let front = Front::through(switch, "127.0.0.1:9".parse().unwrap());
    for mut client in [
        Client::http1(front.address).await,
        Client::http2(front.address).await,
    ] {
        assert_eq!(
            client.get(HOST, "/").await.status,
            500,
            "there is nothing to switch to"
        );
    }
}

#[tokio::test]
async fn a_layer_that_panics_takes_one_connection_with_it() {
    let upstream = Upstream::echo().await;
    let picky = MapRequestLayer::new(|request: Request<Body>| {
        assert_ne!(request.uri().path(), "/panic", "this test wants it so");
        request
    });
    let front = Front::through(Layers::new(picky), upstream.address());
    let mut other = Client::http1(front.address).await;
    assert_eq!(other.get(HOST, "/").await.status, 200);
    for mut client in [
        Client::http1(front.address).await,
        Client::http2(front.address).await,
    ] {
        client.send(get_request(HOST, "/panic")).await.unwrap_err();
    }
    assert_eq!(other.get(HOST, "/").await.status, 200);
    assert_eq!(front.finish(GRACE).await.forced, 0);
}

#[tokio::test]
async fn a_clusters_layers_are_inside_of_its_routes() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let seen = |by| {
        let seen = SetResponseHeaderLayer::appending(SEEN, HeaderValue::from_static(by));
        Layers::new(seen)
    };
    for (of_route, expected) in [
        (Some(seen("route")), &["cluster", "route"][..]),
        (None, &["cluster"]),
    ] {
        let settings = ClusterSettings {
            layers: Some(seen("cluster")),
            ..ClusterSettings::new(CLUSTER)
        };
        let cluster = with_endpoints(settings, &[upstream.address()]);
        let front = Front::start(everything_to(&cluster, of_route));
        let answer = get(front.address, HOST, "/").await;
        let seen = answer.headers.get_all(SEEN).iter();
        let seen: Vec<_> = seen.filter_map(|seen| seen.to_str().ok()).collect();
        assert_eq!((answer.status.as_u16(), &*seen), (200, expected));
    }
}

#[tokio::test]
async fn the_time_that_a_layer_let_a_request_wait_is_part_of_its_routes() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let wait = MapRequestLayer::new(|mut request: Request<Body>| {
        if let Some(target) = request.extensions_mut().get_mut::<Target>() {
            target.waited = DAY;
        }
        request
    });
    let settings = ClusterSettings {
        layers: Some(Layers::new(wait)),
        ..ClusterSettings::new(CLUSTER)
    };
    let mut policy = ForwardPolicy::default();
    policy.timeouts.request = Some(DAY);
    let route = Route {
        policy: Some(policy.into()),
        ..Route::forward(Split::single(CLUSTER, [].into()))
    };
    let host = VirtualHost::new("all", [Domain::Any], [route]);
    let cluster = with_endpoints(settings, &[upstream.address()]);
    let front = Front::start(Snapshot::new([host], [cluster]));
    let answer = soon("the answer", get(front.address, HOST, "/")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (504, "request timeout\n")
    );
}

#[tokio::test]
async fn an_error_in_a_layers_own_words_is_in_the_books_as_that_error() {
    let answer = layer_fn(|_upstream: Sender| {
        service_fn(|_: Request<Body>| async {
            let mut response = Response::new(Body::from("no room"));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response.extensions_mut().insert(Worded(Kind::QueueFull));
            Ok::<_, BoxError>(response)
        })
    });
    let front = Front::through(Layers::new(answer), "127.0.0.1:9".parse().unwrap());
    let answer = get(front.address, HOST, "/").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (503, "no room"));
    front.at_rest().await;
    assert_eq!(front.books.totals().failed(Kind::QueueFull), 1);
}
