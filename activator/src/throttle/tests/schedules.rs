//! The throttler's promises for any schedule: of operations one by one, and of real threads.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{Lease, NoPlace, Parked, Pod, Revision, crashed, pod, poll, settings};

#[derive(Debug, Clone)]
enum Op {
    Arrive,
    Release(Index),
    Cancel(Index),
    /// Which of the pods are ready, as bits.
    SetPods(u8),
    Refuse,
    Accept,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => Just(Op::Arrive),
        6 => any::<Index>().prop_map(Op::Release),
        2 => any::<Index>().prop_map(Op::Cancel),
        2 => (0..1_u8 << PODS).prop_map(Op::SetPods),
        1 => Just(Op::Refuse),
        1 => Just(Op::Accept),
    ]
}

const PODS: u16 = 3;
const PARKED_MAX: usize = 4;

struct World {
    revision: Arc<Revision>,
    container_concurrency: u32,
    pods: Vec<Arc<Pod>>,
    ready: Vec<Arc<Pod>>,
    leases: Vec<Lease>,
    parked: VecDeque<Parked>,
    refusing: bool,
}

impl World {
    fn new(container_concurrency: u32) -> Self {
        Self {
            revision: Revision::with_queue(settings(container_concurrency), PARKED_MAX),
            container_concurrency,
            pods: (0..PODS)
                .map(|index| pod(3000 + index, container_concurrency))
                .collect(),
            ready: Vec::new(),
            leases: Vec::new(),
            parked: VecDeque::new(),
            refusing: false,
        }
    }

    fn in_flight(&self, pod: &Arc<Pod>) -> usize {
        self.leases
            .iter()
            .filter(|lease| Arc::ptr_eq(lease.pod(), pod))
            .count()
    }

    fn has_room(&self, pod: &Arc<Pod>) -> bool {
        self.container_concurrency == 0 || self.in_flight(pod) < self.container_concurrency as usize
    }

    fn free(&self) -> bool {
        self.ready.iter().any(|pod| self.has_room(pod))
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Arrive => self.arrive(),
            Op::Release(index) if !self.leases.is_empty() => {
                drop(self.leases.swap_remove(index.index(self.leases.len())));
            }
            Op::Cancel(index) if !self.parked.is_empty() => {
                drop(self.parked.remove(index.index(self.parked.len())));
            }
            Op::SetPods(bits) => self.set_pods(bits),
            Op::Refuse => self.refuse(),
            Op::Accept => {
                self.refusing = false;
                self.revision.accept();
            }
            Op::Release(_) | Op::Cancel(_) => {}
        }
        self.settle();
    }

    fn arrive(&mut self) {
        if let Some(lease) = self.revision.try_lease() {
            assert!(self.parked.is_empty(), "overtook");
            return self.serve(lease);
        }
        assert!(
            !self.parked.is_empty() || !self.free(),
            "waits while capacity is free"
        );
        match self.revision.park() {
            Ok(waiter) => {
                assert!(!self.refusing && self.parked.len() < PARKED_MAX);
                self.parked.push_back(waiter);
            }
            Err(NoPlace::Dismissed(_)) => assert!(self.refusing),
            Err(NoPlace::Full) => assert_eq!(self.parked.len(), PARKED_MAX),
        }
    }

    fn set_pods(&mut self, bits: u8) {
        let ready = self
            .pods
            .iter()
            .enumerate()
            .filter(|(index, _)| bits & (1 << index) != 0);
        let ready: Vec<_> = ready.map(|(_, pod)| Arc::clone(pod)).collect();
        let known = |pod: &Arc<Pod>| self.ready.iter().any(|other| Arc::ptr_eq(pod, other));
        self.refusing &= ready.iter().all(known);
        self.revision.set_pods(ready.clone());
        self.ready = ready;
    }

    fn refuse(&mut self) {
        self.refusing = true;
        assert_eq!(self.revision.refuse(crashed()), self.parked.len());
        for mut waiter in self.parked.drain(..) {
            assert!(matches!(poll(&mut waiter), Poll::Ready(Err(_))));
        }
    }

    fn serve(&mut self, lease: Lease) {
        assert!(
            self.ready.iter().any(|pod| Arc::ptr_eq(pod, lease.pod())),
            "a retired pod"
        );
        assert!(self.has_room(lease.pod()), "over containerConcurrency");
        self.leases.push(lease);
    }

    /// Those for whom there is capacity were served, in order, and nobody else.
    fn settle(&mut self) {
        while self.free() {
            let Some(mut first) = self.parked.pop_front() else {
                break;
            };
            match poll(&mut first) {
                Poll::Ready(Ok(lease)) => self.serve(lease),
                other => panic!("the first in line is left behind: {other:?}"),
            }
        }
        assert!(
            self.parked.iter_mut().all(|waiter| poll(waiter).is_pending()),
            "out of turn"
        );
        assert_eq!(self.revision.parked(), self.parked.len());
        for pod in &self.pods {
            assert_eq!(pod.in_flight(), self.in_flight(pod));
        }
    }
}

proptest! {
    #[test]
    fn any_schedule_keeps_limits_order_and_leaves_nobody_behind(
        container_concurrency in 0..6_u32,
        ops in vec(op(), 0..200),
    ) {
        let mut world = World::new(container_concurrency);
        ops.into_iter().for_each(|op| world.step(op));
        let World { revision, pods, leases, parked, .. } = world;
        drop((leases, parked));
        prop_assert_eq!(revision.parked(), 0);
        prop_assert!(pods.iter().all(|pod| pod.in_flight() == 0));
    }
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A lost wake-up would hang here, and the test with it.
fn lease(revision: &Arc<Revision>) -> Lease {
    if let Some(lease) = revision.try_lease() {
        return lease;
    }
    let mut waiter = revision.park().unwrap();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match std::pin::Pin::new(&mut waiter).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(lease) => return lease.unwrap(),
            Poll::Pending => thread::park(),
        }
    }
}

const THREADS: usize = 8;
const ROUNDS: usize = 3_000;

fn visit(revision: &Arc<Revision>, inside: &[AtomicUsize; PODS as usize], limit: usize) {
    for round in 0..ROUNDS {
        if round % 5 == 0 {
            drop(revision.try_lease());
            drop(revision.park());
            continue;
        }
        let lease = lease(revision);
        let inside = &inside[usize::from(lease.endpoint().address().port() - 3000)];
        assert!(inside.fetch_add(1, SeqCst) < limit, "over containerConcurrency");
        if round % 7 == 0 {
            thread::yield_now();
        }
        inside.fetch_sub(1, SeqCst);
    }
}

#[test]
fn threads_lose_nobody_while_pods_come_and_go() {
    for container_concurrency in [1, 2, 4] {
        let revision = Revision::with_queue(settings(container_concurrency), THREADS);
        let pods: Vec<_> = (0..PODS)
            .map(|index| pod(3000 + index, container_concurrency))
            .collect();
        let inside = Default::default();
        thread::scope(|scope| {
            let visit = || visit(&revision, &inside, container_concurrency as usize);
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(visit)).collect();
            let mut bits = 0_usize;
            while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
                bits += 1;
                let ready = (0..).zip(&pods).filter(|(index, _)| bits & (1 << index) != 0);
                revision.set_pods(ready.map(|(_, pod)| Arc::clone(pod)).collect());
                thread::yield_now();
            }
        });
        assert_eq!(revision.parked(), 0);
        assert!(pods.iter().all(|pod| pod.in_flight() == 0));
    }
}
