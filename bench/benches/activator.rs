//! What does the activator cost a request whose revision has capacity, and one that has to wait for it?
//!
//! In front of a service that answers at once: what is measured is the layer alone.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use tidegate_bench::fixture::Activated;
use tidegate_proxy::Body;
use tidegate_proxy::route::{Route, Split};
use tidegate_proxy::upstream::{Client, Target};
use tower::{Layer, Service, service_fn};

/// First available, round robin and power of two choices, as Knative chooses them by containerConcurrency.
const POLICIES: [(&str, u32); 3] = [("first-available", 3), ("round-robin", 100), ("power-of-two", 0)];

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn replicas(count: u16) -> impl Iterator<Item = SocketAddr> {
    (1..=count).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

fn lease(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("activator-lease");
    for (policy, container_concurrency) in POLICIES {
        let activated = Activated::new(container_concurrency);
        for pods in [1, 10, 100] {
            activated.ready(replicas(pods));
            group.bench_function(BenchmarkId::new(policy, pods), |bencher| {
                bencher.iter(|| activated.revision.try_lease().is_some());
            });
        }
    }
    group.finish();
}

fn answer(_request: Request<Body>) -> Ready<Result<Response<Body>, Infallible>> {
    ready(Ok(Response::new(Body::empty())))
}

fn request(activated: &Activated) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(Target {
        route: Arc::new(Route::forward(Split::single("unused", [].into()))),
        cluster: Arc::clone(&activated.cluster),
        endpoint: None,
        hash: None,
        received: Instant::now(),
        waited: Duration::ZERO,
        client: Client::default(),
    });
    request
}

fn warm(criterion: &mut Criterion) {
    let activated = Activated::new(100);
    activated.ready(replicas(10));
    let mut service = activated.layer.layer(service_fn(answer));
    criterion.bench_function("activator-warm", |bencher| {
        bencher.iter_batched(
            || request(&activated),
            |request| assert!(poll(&mut service.call(request)).is_ready(), "there is capacity"),
            BatchSize::SmallInput,
        );
    });
}

/// From the arrival of a request at zero to its answer, once a replica is ready.
fn cold(criterion: &mut Criterion) {
    let activated = Activated::new(100);
    let mut service = activated.layer.layer(service_fn(answer));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    // The deadline of a wait is a timer of the runtime.
    let _entered = runtime.as_ref().map(|runtime| runtime.enter());
    criterion.bench_function("activator-park-and-release", |bencher| {
        bencher.iter_batched(
            || {
                activated.ready([]);
                request(&activated)
            },
            |request| {
                let mut answer = service.call(request);
                assert!(poll(&mut answer).is_pending(), "there is no replica");
                activated.ready(replicas(1));
                assert!(poll(&mut answer).is_ready(), "there is one");
            },
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, lease, warm, cold);
criterion_main!(benches);
