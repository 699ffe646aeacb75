//! What does finding a request's virtual host cost, by how many there are?

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use tidegate_bench::fixture;
use tidegate_proxy::route::{VirtualHost, VirtualHosts};

const SIZES: [usize; 3] = [10, 1_000, 100_000];
/// How many different hosts one round asks for: enough that not each look-up finds its entry in a cache.
const ASKED: usize = 64;

fn hosts(size: usize, name: impl Fn(usize) -> String) -> Vec<VirtualHost> {
    fixture::virtual_hosts((0..size).map(name), || fixture::forward(fixture::CLUSTER)).unwrap_or_default()
}

fn asked(size: usize, name: impl Fn(usize) -> String) -> Vec<String> {
    // A step that shares no divisor with the sizes visits hosts far apart.
    (0..ASKED).map(|turn| name(turn * 7_919 % size)).collect()
}

fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route-find");
    let below = |number| fixture::suffix(number).replacen('*', "www", 1);
    let missing = |number| format!("www.missing-{number:05}.example.net");
    for size in SIZES {
        let mut both = hosts(size, fixture::host);
        both.extend(hosts(size, fixture::suffix));
        both.extend(hosts(size, |number| format!("prefix-{number:05}.example.*")));
        let index = VirtualHosts::new(both);
        for (kind, asked) in [
            ("exact", asked(size, fixture::host)),
            ("suffix", asked(size, below)),
            (
                "prefix",
                asked(size, |number| format!("prefix-{number:05}.example.net")),
            ),
            ("missing", asked(size, missing)),
        ] {
            let mut turn = asked.iter().cycle();
            group.bench_function(BenchmarkId::new(kind, size), |bencher| {
                bencher.iter(|| index.find(black_box(turn.next().map_or("", String::as_str))));
            });
        }
    }
    group.finish();
}

fn build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route-build");
    group.sample_size(10);
    for size in SIZES {
        group.bench_function(BenchmarkId::new("exact", size), |bencher| {
            bencher.iter_batched(
                || hosts(size, fixture::host),
                VirtualHosts::new,
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, find, build);
criterion_main!(benches);
