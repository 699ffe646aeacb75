//! What does admission cost a request that need not wait, and parking one that must?

use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidegate_proxy::limit::{Limit, WaitQueue, Waiter};

const CROWDS: [usize; 3] = [1, 100, 10_000];

type Line = WaitQueue<u64, Infallible>;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn admit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limit-admit");
    let limit = Limit::new(100, 1_000);
    let admit = || black_box(limit.try_reserve().is_some());
    group.bench_function("alone", |bencher| bencher.iter(admit));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                admit();
            }
        });
        group.bench_function("beside-another-worker", |bencher| bencher.iter(admit));
        stop.store(true, Ordering::Relaxed);
    });
    group.finish();
}

/// A permit that goes from its holder to one who waits.
fn hand_over(criterion: &mut Criterion) {
    let limit = Limit::new(1, 10);
    criterion.bench_function("limit-hand-over", |bencher| {
        bencher.iter_batched(
            || limit.try_reserve(),
            |held| {
                let mut waiter = pin!(limit.acquire());
                assert!(poll(waiter.as_mut()).is_pending(), "the one permit is held");
                drop(held);
                assert!(poll(waiter.as_mut()).is_ready(), "the permit was passed on");
            },
            BatchSize::SmallInput,
        );
    });
}

fn parked(line: &Line, crowd: usize) -> Vec<Pin<Box<Waiter<u64, Infallible>>>> {
    let waiters = (0..crowd).filter_map(|_| line.park().ok());
    let mut waiters: Vec<_> = waiters.map(Box::pin).collect();
    for waiter in &mut waiters {
        assert!(poll(waiter.as_mut()).is_pending(), "nothing was handed out yet");
    }
    waiters
}

fn crowd(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wait-queue");
    group.sample_size(20);
    for crowd in CROWDS {
        let line = Line::new(crowd);
        group.throughput(Throughput::Elements(crowd as u64));
        group.bench_function(BenchmarkId::new("park-and-leave", crowd), |bencher| {
            bencher.iter(|| parked(&line, crowd).len());
        });
        group.bench_function(BenchmarkId::new("serve-all", crowd), |bencher| {
            bencher.iter_batched(
                || parked(&line, crowd),
                |waiters| {
                    line.dispatch(|| Some(1));
                    let served = waiters
                        .into_iter()
                        .filter_map(|mut waiter| match poll(waiter.as_mut()) {
                            Poll::Ready(Ok(value)) => Some(value),
                            _ => None,
                        });
                    assert_eq!(served.sum::<u64>(), crowd as u64, "everybody was served");
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, admit, hand_over, crowd);
criterion_main!(benches);
