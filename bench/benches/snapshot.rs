//! What does reading the configuration cost a request: `ArcSwap::load` as the proxy does, or a `Cache` per worker?
//!
//! `quiet` reads alone, `second-reader` beside a thread that reads without a pause, `publishing` while another thread publishes a snapshot every millisecond, which is far above
//! what a control plane does.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_bench::fixture;
use tidegate_proxy::config::{Handle, Snapshot};

const PUBLISH_EVERY: Duration = Duration::from_millis(1);
/// Few enough that building a snapshot does not keep the machine busy.
const HOSTS: usize = 10;

fn snapshot() -> Snapshot {
    let backend = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    fixture::snapshot(HOSTS, backend).unwrap_or_default()
}

/// Runs `measure` while another thread calls `publish` again and again.
fn while_publishing(publish: impl Fn() + Send, measure: impl FnOnce()) {
    thread::scope(|scope| {
        let (stop, stopped) = channel::<()>();
        scope.spawn(move || {
            while stopped.recv_timeout(PUBLISH_EVERY) == Err(RecvTimeoutError::Timeout) {
                publish();
            }
        });
        measure();
        drop(stop);
    });
}

/// Runs `measure` while another thread, as a second worker would, runs `read` without a pause.
fn beside(mut read: impl FnMut() + Send, measure: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                read();
            }
        });
        measure();
        stop.store(true, Ordering::Relaxed);
    });
}

/// Reads once, as a request does, and lets the snapshot go.
fn by_handle(handle: &Handle) -> usize {
    std::ptr::from_ref::<Snapshot>(&handle.load()).addr()
}

fn by_cache(cache: &mut Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>) -> usize {
    std::ptr::from_ref::<Snapshot>(cache.load()).addr()
}

fn load(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot-load");
    let mut measure = |name, routine: &mut dyn FnMut() -> usize| {
        group.bench_function(name, |bencher| bencher.iter(&mut *routine));
    };
    let handle = Handle::new(snapshot());
    let bare = Arc::new(ArcSwap::from_pointee(snapshot()));
    let (mut cache, mut second) = (Cache::new(Arc::clone(&bare)), Cache::new(Arc::clone(&bare)));
    let mut read_handle = || by_handle(&handle);
    let mut read_cache = || by_cache(&mut cache);

    measure("handle/quiet", &mut read_handle);
    measure("cache/quiet", &mut read_cache);
    let busy = || _ = black_box(by_handle(&handle));
    beside(busy, || measure("handle/second-reader", &mut read_handle));
    let busy = || _ = black_box(by_cache(&mut second));
    beside(busy, || measure("cache/second-reader", &mut read_cache));
    let publish = || handle.publish(snapshot());
    while_publishing(publish, || measure("handle/publishing", &mut read_handle));
    let publish = || bare.store(Arc::new(snapshot()));
    while_publishing(publish, || measure("cache/publishing", &mut read_cache));
}

/// What the load is a part of: the route's `Arc` is cloned out of the snapshot.
fn load_and_find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot-load-and-find");
    let host = fixture::host(7);
    let handle = Handle::new(snapshot());
    let mut cache = Cache::new(Arc::new(ArcSwap::from_pointee(snapshot())));
    group.bench_function("handle", |bencher| {
        bencher.iter(|| handle.load().hosts().find(black_box(&host)).map(Arc::clone));
    });
    group.bench_function("cache", |bencher| {
        bencher.iter(|| cache.load().hosts().find(black_box(&host)).map(Arc::clone));
    });
    group.finish();
}

criterion_group!(benches, load, load_and_find);
criterion_main!(benches);
