//! The breaker against a simple model, and under real threads.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

use proptest::{collection::vec, prelude::*};

use super::{Full, Limit, Permit};

type Acquire = Pin<Box<dyn Future<Output = Result<Permit, Full>> + Send>>;

fn acquire(limit: &Arc<Limit>) -> Acquire {
    let limit = Arc::clone(limit);
    Box::pin(async move { limit.acquire().await })
}

fn poll(acquire: &mut Acquire) -> Poll<Result<Permit, Full>> {
    acquire.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn pending(limit: &Arc<Limit>) -> Acquire {
    let mut acquire = acquire(limit);
    assert!(poll(&mut acquire).is_pending());
    acquire
}

fn now(limit: &Arc<Limit>) -> Result<Permit, Full> {
    match poll(&mut acquire(limit)) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn what_exceeds_permits_and_queue_is_turned_away_at_once() {
    let limit = Limit::new(1, 1);
    let first = now(&limit).unwrap();
    let mut second = pending(&limit);
    assert_eq!(now(&limit).unwrap_err(), Full);
    drop(first);
    assert!(matches!(poll(&mut second), Poll::Ready(Ok(_))));
    assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
}

#[test]
fn slots_that_have_no_permit_yet_may_wait() {
    let limit = Limit::new(1, 1);
    limit.set_permits(0);
    let (mut first, mut second) = (pending(&limit), pending(&limit));
    assert_eq!(now(&limit).unwrap_err(), Full);
    limit.set_permits(1);
    assert!(matches!(poll(&mut first), Poll::Ready(Ok(_))));
    assert!(matches!(poll(&mut second), Poll::Ready(Ok(_))));
}

#[test]
fn a_cancelled_waiter_frees_its_slot_again_and_again() {
    let limit = Limit::new(1, 1);
    let _held = now(&limit).unwrap();
    for _ in 0..3 {
        drop(pending(&limit));
        assert_eq!(limit.waiting(), 0);
    }
    let _second = pending(&limit);
    assert_eq!(now(&limit).unwrap_err(), Full);
}

#[test]
fn reserving_never_waits_and_never_overtakes() {
    let limit = Limit::new(1, 1);
    let held = limit.try_reserve().unwrap();
    assert!(limit.try_reserve().is_none());
    let mut waiting = pending(&limit);
    drop(held);
    assert!(
        limit.try_reserve().is_none(),
        "the permit belongs to the one who waited"
    );
    assert!(matches!(poll(&mut waiting), Poll::Ready(Ok(_))));
    assert!(limit.try_reserve().is_some());
}

#[test]
fn fewer_permits_let_what_is_in_flight_go_on() {
    let limit = Limit::new(2, 4);
    let (first, second) = (now(&limit).unwrap(), now(&limit).unwrap());
    limit.set_permits(1);
    assert_eq!((limit.permits(), limit.in_flight()), (1, 2));
    let mut third = pending(&limit);
    drop(first);
    assert!(poll(&mut third).is_pending());
    drop(second);
    assert!(matches!(poll(&mut third), Poll::Ready(Ok(_))));
}

#[test]
fn no_queue_means_that_nobody_waits() {
    let limit = Limit::new(1, 0);
    let _held = now(&limit).unwrap();
    assert_eq!(now(&limit).unwrap_err(), Full);
}

#[derive(Debug, Clone)]
enum Op {
    Arrive,
    Release(prop::sample::Index),
    Cancel(prop::sample::Index),
    SetPermits(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Arrive),
        3 => any::<prop::sample::Index>().prop_map(Op::Release),
        1 => any::<prop::sample::Index>().prop_map(Op::Cancel),
        1 => (0..4_usize).prop_map(Op::SetPermits),
    ]
}

/// What the limit should do, written without any concurrency.
struct World {
    limit: Arc<Limit>,
    permits: usize,
    permits_max: usize,
    held: Vec<Permit>,
    waiting: VecDeque<Acquire>,
}

const QUEUE_DEPTH: usize = 3;

impl World {
    fn step(&mut self, op: Op) {
        match op {
            Op::Arrive => self.arrive(),
            Op::Release(index) if !self.held.is_empty() => {
                drop(self.held.swap_remove(index.index(self.held.len())));
            }
            Op::Cancel(index) if !self.waiting.is_empty() => {
                self.waiting.remove(index.index(self.waiting.len()));
            }
            Op::SetPermits(permits) => {
                (self.permits, self.permits_max) = (permits, self.permits_max.max(permits));
                self.limit.set_permits(permits);
            }
            Op::Release(_) | Op::Cancel(_) => {}
        }
        self.settle();
    }

    fn arrive(&mut self) {
        let unused = self.permits_max.saturating_sub(self.permits.max(self.held.len()));
        let room = self.waiting.len() < QUEUE_DEPTH + unused;
        let free = self.waiting.is_empty() && self.held.len() < self.permits;
        let mut acquire = acquire(&self.limit);
        match poll(&mut acquire) {
            Poll::Ready(Ok(permit)) => {
                assert!(free, "admitted over the limit");
                self.held.push(permit);
            }
            Poll::Ready(Err(Full)) => assert!(!free && !room, "turned away with room left"),
            Poll::Pending => {
                assert!(!free && room, "waits with a permit free");
                self.waiting.push_back(acquire);
            }
        }
    }

    /// Those who should have been served are, in order, and nobody else is.
    fn settle(&mut self) {
        while self.held.len() < self.permits {
            let Some(mut first) = self.waiting.pop_front() else {
                break;
            };
            match poll(&mut first) {
                Poll::Ready(Ok(permit)) => self.held.push(permit),
                other => panic!("the first in line was not served: {other:?}"),
            }
        }
        assert!(self.waiting.iter_mut().all(|acquire| poll(acquire).is_pending()));
        assert_eq!(self.limit.in_flight(), self.held.len());
        assert_eq!(self.limit.waiting(), self.waiting.len());
    }
}

proptest! {
    #[test]
    fn it_behaves_as_its_model(permits in 0..4_usize, ops in vec(op(), 0..200)) {
        let limit = Limit::new(permits, QUEUE_DEPTH);
        let mut world =
            World { limit, permits, permits_max: permits, held: Vec::new(), waiting: VecDeque::new() };
        ops.into_iter().for_each(|op| world.step(op));
        let World { limit, held, waiting, .. } = world;
        drop((held, waiting));
        prop_assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
    }
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A lost wake-up would hang here, and the test with it.
fn block_on(mut acquire: Acquire) -> Result<Permit, Full> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match acquire.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => thread::park(),
        }
    }
}

const THREADS: usize = 8;
const ROUNDS: usize = 5_000;

/// One thread's share: every third arrival polls once and leaves, which may be just when it is served.
fn arrive_and_leave(limit: &Arc<Limit>, inside: &AtomicUsize, permits_max: usize) -> usize {
    let mut done = 0;
    for round in 0..ROUNDS {
        if round % 3 == 0 {
            drop(poll(&mut acquire(limit)));
            continue;
        }
        let permit = block_on(acquire(limit)).unwrap();
        assert!(inside.fetch_add(1, SeqCst) < permits_max, "over the limit");
        if round % 7 == 0 {
            thread::yield_now();
        }
        inside.fetch_sub(1, SeqCst);
        drop(permit);
        done += 1;
    }
    done
}

#[test]
fn threads_are_never_over_the_limit_and_none_is_lost() {
    for permits in [1, 3] {
        let limit = Limit::new(permits, THREADS);
        let inside = AtomicUsize::new(0);
        let done: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| scope.spawn(|| arrive_and_leave(&limit, &inside, permits)))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(done, THREADS * (0..ROUNDS).filter(|round| round % 3 != 0).count());
        assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
    }
}

#[test]
fn permits_that_come_and_go_lose_nobody() {
    const PERMITS: usize = 4;
    let limit = Limit::new(PERMITS, THREADS);
    let inside = AtomicUsize::new(0);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| arrive_and_leave(&limit, &inside, PERMITS)))
            .collect();
        let mut permits = 0;
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            limit.set_permits(permits % (PERMITS + 1));
            permits += 1;
            thread::yield_now();
        }
        limit.set_permits(PERMITS);
    });
    assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
}
