//! What does choosing cost: a cluster of a weighted split, an endpoint of a cluster?

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint};
use tidegate_proxy::filter::FilterOverrides;
use tidegate_proxy::route::{Split, WeightedCluster};

fn split(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pick-split");
    for parts in [1, 2, 10] {
        let part = |number: u32| WeightedCluster {
            cluster: format!("revision-{number:05}").into(),
            weight: 100 / parts,
            headers: [].into(),
            overrides: FilterOverrides::default(),
            host: None,
        };
        let split = Split::new((0..parts).map(part)).unwrap_or_else(|_| Split::single("one", [].into()));
        group.bench_function(BenchmarkId::from_parameter(parts), |bencher| {
            bencher.iter(|| black_box(split.pick().weight));
        });
    }
    group.finish();
}

fn round_robin(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pick-round-robin");
    for endpoints in [1, 3, 100] {
        let cluster = Cluster::new(ClusterSettings::new("measured"));
        let endpoint = |port| Arc::new(Endpoint::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
        cluster.set_endpoints((1..=endpoints).map(endpoint).collect());
        group.bench_function(BenchmarkId::from_parameter(endpoints), |bencher| {
            bencher.iter(|| cluster.pick());
        });
    }
    group.finish();
}

criterion_group!(benches, split, round_robin);
criterion_main!(benches);
