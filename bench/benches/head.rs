//! What does making a request's head trustworthy cost?
//!
//! `answer` is the whole proxy without sockets: head, route among 1 000 hosts, and an answer of the route's own.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use http::{Request, StatusCode};
use tidegate_bench::fixture;
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::normalize::host::Host;
use tidegate_proxy::normalize::path;
use tidegate_proxy::route::Route;
use tidegate_proxy::{Body, Proxy};
use tower::Service;

fn host(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head-host");
    for (kind, field) in [("name", "Hello.default.example.com:8080"), ("ipv6", "[::1]:8080")] {
        let parse = || Host::parse(black_box(field.as_bytes()));
        group.bench_function(kind, |bencher| bencher.iter(parse));
    }
    group.finish();
}

fn path(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head-path");
    for (kind, target) in [
        ("plain", "/api/v1/namespaces/default/services"),
        ("dots", "/api/../v1/./a/%2e%2e/b"),
    ] {
        let resolve = || path::resolve(black_box(target));
        group.bench_function(kind, |bencher| bencher.iter(resolve));
    }
    group.finish();
}

/// As many fields as a browser sends.
fn request() -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static("/api/v1/items?page=2");
    for (name, value) in [
        ("host", "host-00007.default.example.com:8080"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"),
        (
            "accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("connection", "keep-alive"),
        ("cookie", "session=0123456789abcdef0123456789abcdef"),
        ("x-request-id", "0af7651916cd43dd8448eb211c80319c"),
    ] {
        request
            .headers_mut()
            .insert(name, http::HeaderValue::from_static(value));
    }
    request
}

fn answer(criterion: &mut Criterion) {
    let respond = || Route::respond(StatusCode::NO_CONTENT, "");
    let hosts = fixture::virtual_hosts((0..fixture::HOSTS).map(fixture::host), respond).unwrap_or_default();
    let (_drain, watch) = Drain::new();
    let mut proxy = Proxy::new(Handle::new(Snapshot::new(hosts, [])), watch);
    criterion.bench_function("head-to-answer", |bencher| {
        bencher.iter_batched(
            request,
            |request| {
                let answer = proxy.call(request).now_or_never();
                assert!(answer.is_some_and(|answer| answer.is_ok_and(|answer| answer.status() == 204)));
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, host, path, answer);
criterion_main!(benches);
