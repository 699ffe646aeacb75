//! Order, bounds, cancellation and refusal of the waiting queue.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use super::{QueueFull, WaitQueue, Waiter};

/// What the tests hand out: it counts itself back in when it is dropped.
#[derive(Debug)]
struct Lease(Arc<AtomicUsize>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

type Queue = WaitQueue<Lease, &'static str>;

struct Bench {
    queue: Queue,
    free: Arc<AtomicUsize>,
}

impl Bench {
    fn new(free: usize, waiters_max: usize) -> Self {
        Self {
            queue: WaitQueue::new(waiters_max),
            free: Arc::new(AtomicUsize::new(free)),
        }
    }

    fn park(&self) -> Waiter<Lease, &'static str> {
        self.queue.park().unwrap()
    }

    fn dispatch(&self) -> usize {
        self.queue.dispatch(|| {
            let lower = |free: usize| free.checked_sub(1);
            self.free.fetch_update(SeqCst, SeqCst, lower).ok()?;
            Some(Lease(Arc::clone(&self.free)))
        })
    }
}

fn poll<T, R>(waiter: &mut Waiter<T, R>) -> Poll<Result<T, Arc<R>>> {
    Future::poll(
        std::pin::Pin::new(waiter),
        &mut Context::from_waker(Waker::noop()),
    )
}

#[test]
fn first_come_is_first_served() {
    let bench = Bench::new(0, 10);
    let mut waiters: Vec<_> = (0..3).map(|_| bench.park()).collect();
    for turn in 0..3 {
        assert!(waiters.iter_mut().all(|waiter| poll(waiter).is_pending()));
        bench.free.store(1, SeqCst);
        assert_eq!(bench.dispatch(), 1);
        let served = waiters
            .iter_mut()
            .position(|waiter| matches!(poll(waiter), Poll::Ready(Ok(_))));
        assert_eq!(served, Some(0), "turn {turn}");
        drop(waiters.remove(0));
        bench.free.store(0, SeqCst);
    }
}

#[test]
fn nothing_is_taken_while_nobody_waits() {
    let bench = Bench::new(2, 10);
    assert_eq!(bench.dispatch(), 0);
    assert_eq!(bench.free.load(SeqCst), 2);
}

#[test]
fn a_full_queue_turns_the_next_away_until_a_place_is_free() {
    let bench = Bench::new(0, 2);
    let (first, _second) = (bench.park(), bench.park());
    assert_eq!(bench.queue.park().map(drop), Err(QueueFull));
    drop(first);
    assert_eq!(bench.queue.len(), 1);
    assert!(bench.queue.park().is_ok());
}

#[test]
fn a_dropped_waiter_leaves_its_place_to_the_next() {
    let bench = Bench::new(0, 10);
    let gone = bench.park();
    let mut next = bench.park();
    drop(gone);
    bench.free.store(1, SeqCst);
    assert_eq!(bench.dispatch(), 1);
    assert!(matches!(poll(&mut next), Poll::Ready(Ok(_))));
}

#[test]
fn what_was_handed_over_but_not_received_comes_back() {
    let bench = Bench::new(1, 10);
    let waiter = bench.park();
    assert_eq!(bench.dispatch(), 1);
    assert_eq!(bench.free.load(SeqCst), 0);
    drop(waiter);
    assert_eq!(bench.free.load(SeqCst), 1);
    assert_eq!(bench.queue.len(), 0);
}

#[test]
fn everybody_is_refused_for_one_reason_and_later_arrivals_wait() {
    let bench = Bench::new(0, 10);
    let mut waiters: Vec<_> = (0..3).map(|_| bench.park()).collect();
    assert_eq!(bench.queue.fail_all(&Arc::new("it exits at once")), 3);
    assert_eq!(bench.queue.len(), 0);
    for waiter in &mut waiters {
        assert!(matches!(poll(waiter), Poll::Ready(Err(reason)) if *reason == "it exits at once"));
    }
    assert!(poll(&mut bench.park()).is_pending());
}

#[test]
fn a_resolved_waiter_stays_pending() {
    let bench = Bench::new(1, 10);
    let mut waiter = bench.park();
    bench.dispatch();
    assert!(poll(&mut waiter).is_ready());
    assert!(poll(&mut waiter).is_pending());
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn the_waker_of_the_last_poll_is_the_one_that_is_woken() {
    let bench = Bench::new(0, 10);
    let mut waiter = bench.park();
    let wakers: [Arc<Count>; 2] = std::array::from_fn(|_| Arc::new(Count(AtomicUsize::new(0))));
    for waker in &wakers {
        let waker = Waker::from(Arc::clone(waker));
        assert!(Future::poll(std::pin::Pin::new(&mut waiter), &mut Context::from_waker(&waker)).is_pending());
    }
    bench.free.store(1, SeqCst);
    bench.dispatch();
    assert_eq!(wakers.map(|waker| waker.0.load(SeqCst)), [0, 1]);
}

#[test]
fn an_entry_stays_small() {
    let entry = size_of::<(u64, Option<Waker>)>() + size_of::<Waiter<Lease, &'static str>>();
    assert!(entry <= 64, "{entry} bytes");
}
