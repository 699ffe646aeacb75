//! The throttler without a runtime: who is served, who waits, who is refused.

mod schedules;

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tidegate_proxy::{
    cluster::{
        Cluster, ClusterSettings, Endpoint,
        breaker::{BreakerSettings, Thresholds},
    },
    limit::Waiter,
};

use super::{Dismissal, Lease, NoPlace, Pod, Refusal, Revision, RevisionSettings, Timeline, missing};

pub(crate) fn settings(container_concurrency: u32) -> RevisionSettings {
    RevisionSettings {
        namespace: "default".to_owned(),
        name: "hello-00001".to_owned(),
        service: "hello".to_owned(),
        configuration: "hello".to_owned(),
        container_concurrency,
        timeout: Duration::from_secs(300),
    }
}

/// A ready pod; its port says which one it is, and where it sorts.
pub(crate) fn pod(port: u16, container_concurrency: u32) -> Arc<Pod> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let now = Instant::now();
    let timeline = Timeline {
        launched: now,
        listening: now,
        ready: now,
    };
    Pod::new(Endpoint::new(address).into(), container_concurrency, timeline)
}

/// A cluster whose circuit breaker opens above these.
pub(crate) fn bounded(default: usize, high: usize) -> Arc<Cluster> {
    let thresholds = |requests| Thresholds {
        requests: Some(requests),
        ..Thresholds::default()
    };
    Cluster::new(ClusterSettings {
        breakers: BreakerSettings {
            default: thresholds(default),
            high: thresholds(high),
        }
        .into(),
        ..ClusterSettings::new("ns/rev")
    })
}

fn revision(container_concurrency: u32, ports: &[u16]) -> Arc<Revision> {
    let revision = Revision::new(settings(container_concurrency));
    revision.set_pods(
        ports
            .iter()
            .map(|port| pod(*port, container_concurrency))
            .collect(),
    );
    revision
}

type Parked = Waiter<Lease, Dismissal>;

fn poll(waiter: &mut Parked) -> Poll<Result<Lease, Arc<Dismissal>>> {
    Pin::new(waiter).poll(&mut Context::from_waker(Waker::noop()))
}

fn leased(waiter: &mut Parked) -> Lease {
    match poll(waiter) {
        Poll::Ready(Ok(lease)) => lease,
        other => panic!("no lease: {other:?}"),
    }
}

fn port(lease: &Lease) -> u16 {
    lease.endpoint().address().port()
}

/// The ports of as many leases as can be had at once.
fn check_order(container_concurrency: u32, ports: &[u16], requests: usize, expected: &[u16]) {
    let revision = revision(container_concurrency, ports);
    let leases: Vec<_> = (0..requests).map_while(|_| revision.try_lease()).collect();
    let got: Vec<_> = leases.iter().map(port).collect();
    assert_eq!(
        got, expected,
        "containerConcurrency {container_concurrency} on {ports:?}"
    );
}

#[test]
fn pods_are_chosen_by_container_concurrency() {
    check_order(1, &[3002, 3001], 3, &[3001, 3002]);
    check_order(3, &[3005, 3004, 3003, 3002, 3001], 3, &[3001, 3001, 3001]);
    check_order(5, &[3003, 3001, 3002], 3, &[3001, 3002, 3003]);
    check_order(5, &[], 1, &[]);
    check_order(0, &[], 1, &[]);
}

#[test]
fn after_a_replacement_only_the_new_pod_is_used() {
    let revision = revision(0, &[3001, 3002]);
    revision.set_pods(vec![pod(3003, 0)]);
    let leases: Vec<_> = (0..20).filter_map(|_| revision.try_lease()).collect();
    assert_eq!(leases.len(), 20);
    assert!(leases.iter().all(|lease| port(lease) == 3003));
}

#[test]
fn any_number_is_let_through_by_a_revision_without_a_limit_and_none_without_a_pod() {
    let revision = Revision::new(settings(0));
    assert!(revision.try_lease().is_none());
    let mut waiters: Vec<_> = (0..100).map(|_| revision.park().unwrap()).collect();
    revision.set_pods(vec![pod(3001, 0)]);
    let leases: Vec<_> = waiters.iter_mut().map(leased).collect();
    assert_eq!(leases.len(), 100);
    revision.set_pods(Vec::new());
    assert!(revision.try_lease().is_none());
}

#[test]
fn a_ready_pod_is_used_the_moment_it_is_known_in_order_of_arrival() {
    let revision = Revision::new(settings(1));
    let mut waiters: Vec<_> = (0..3).map(|_| revision.park().unwrap()).collect();
    revision.set_pods(vec![pod(3001, 1), pod(3002, 1)]);
    let leases = [leased(&mut waiters[0]), leased(&mut waiters[1])];
    assert!(poll(&mut waiters[2]).is_pending());
    assert_eq!(revision.parked(), 1);
    drop(leases);
    assert!(revision.try_lease().is_some(), "the other slot is free");
    drop(leased(&mut waiters[2]));
}

#[test]
fn nobody_overtakes_those_who_wait() {
    let revision = revision(1, &[3001]);
    let lease = revision.try_lease().unwrap();
    let mut waiting = revision.park().unwrap();
    drop(lease);
    assert!(revision.try_lease().is_none());
    drop(leased(&mut waiting));
    assert!(revision.try_lease().is_some());
}

#[test]
fn a_retired_pod_gets_no_new_lease_and_keeps_the_old_ones() {
    let revision = revision(2, &[3001]);
    let pod = Arc::clone(&revision.pods()[0]);
    let lease = revision.try_lease().unwrap();
    revision.set_pods(Vec::new());
    assert!(pod.is_retired() && revision.try_lease().is_none());
    assert_eq!(pod.in_flight(), 1);
    drop(lease);
    assert_eq!(pod.in_flight(), 0);
    revision.set_pods(vec![pod]);
    assert!(revision.try_lease().is_some(), "it came back");
}

#[tokio::test]
async fn a_retired_pod_says_when_its_last_request_has_ended() {
    let revision = revision(2, &[3001]);
    let pod = Arc::clone(&revision.pods()[0]);
    let lease = revision.try_lease().unwrap();
    let (retired, drained) = (pod.retired(), pod.drained());
    tokio::pin!(retired, drained);
    assert!(futures_now(retired.as_mut()).is_pending() && futures_now(drained.as_mut()).is_pending());
    revision.set_pods(Vec::new());
    retired.await;
    assert!(futures_now(drained.as_mut()).is_pending());
    drop(lease);
    drained.await;
}

fn futures_now(future: Pin<&mut impl Future<Output = ()>>) -> Poll<()> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn the_queue_is_bounded() {
    let revision = Revision::with_queue(settings(1), 2);
    let places = [revision.park().unwrap(), revision.park().unwrap()];
    assert!(matches!(revision.park(), Err(NoPlace::Full)));
    drop(places);
    assert!(revision.park().is_ok());
}

fn crashed() -> Refusal {
    Refusal {
        message: "it exits at once".to_owned(),
        retry_after: Duration::from_secs(5),
    }
}

#[test]
fn a_refusal_answers_all_who_wait_and_those_who_would() {
    let revision = Revision::new(settings(1));
    let mut waiters: Vec<_> = (0..3).map(|_| revision.park().unwrap()).collect();
    assert_eq!(revision.refuse(crashed()), 3);
    for waiter in &mut waiters {
        assert!(matches!(poll(waiter), Poll::Ready(Err(dismissal))
                if matches!(&*dismissal, Dismissal::Refused(refusal) if **refusal == crashed())));
    }
    assert!(matches!(revision.park(), Err(NoPlace::Dismissed(_))));
    assert_eq!(revision.refusal().as_deref(), Some(&crashed()));
    revision.accept();
    assert!(revision.park().is_ok());
}

#[test]
fn a_new_pod_ends_a_refusal_and_a_known_one_does_not() {
    let revision = revision(1, &[3001]);
    let pods = Vec::clone(&revision.pods());
    revision.refuse(crashed());
    revision.set_pods(pods);
    assert!(revision.refusal().is_some());
    assert!(
        revision.try_lease().is_some(),
        "a pod with capacity is used all the same"
    );
    revision.set_pods(vec![pod(3002, 1)]);
    assert!(revision.refusal().is_none());
}

#[test]
fn who_waits_can_be_failed_without_refusing_who_comes() {
    let revision = Revision::new(settings(1));
    let mut waiter = revision.park().unwrap();
    assert_eq!(revision.fail_parked(crashed()), 1);
    assert!(matches!(poll(&mut waiter), Poll::Ready(Err(_))));
    assert!(revision.park().is_ok());
}

#[test]
fn a_request_whose_pod_did_not_take_it_goes_elsewhere_first() {
    let revision = revision(1, &[3001, 3002]);
    let lease = revision.try_lease().unwrap();
    let other = revision.lease_elsewhere(lease.pod()).unwrap();
    assert_eq!((port(&lease), port(&other)), (3001, 3002));
    assert!(revision.lease_elsewhere(lease.pod()).is_none());
}

/// A number that counts how often it is compared with another.
#[derive(Clone, Copy)]
struct Counting<'a>(usize, &'a Cell<usize>);

impl PartialEq for Counting<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.1.set(self.1.get() + 1);
        self.0 == other.0
    }
}

impl Eq for Counting<'_> {}

impl Hash for Counting<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn what_of_many_pods_is_new_or_gone_is_found_by_looking_at_each_once() {
    const PODS: usize = 10_000;
    let compared = Cell::new(0);
    let before: Vec<_> = (0..PODS).collect();
    let after: Vec<_> = (PODS / 2..PODS + PODS / 2).collect();
    let key = |number: &usize| Counting(*number, &compared);
    let gone: Vec<_> = missing(&before, &after, key).copied().collect();
    let new: Vec<_> = missing(&after, &before, key).copied().collect();
    assert_eq!(gone, before[..PODS / 2]);
    assert_eq!(new, after[PODS / 2..]);
    // Each is met at most once, by itself; a table of hashes may have a few neighbours alike.
    assert!(compared.get() < 2 * PODS, "{}", compared.get());
}

#[test]
fn ten_thousand_pods_are_replaced_by_others_and_those_that_stay_are_the_same() {
    let revision = Revision::new(settings(0));
    let pods: Vec<_> = (0..15_000).map(|port| pod(port, 0)).collect();
    revision.set_pods(pods[..10_000].to_vec());
    revision.set_pods(pods[5_000..].to_vec());
    let retired = pods.iter().filter(|pod| pod.is_retired()).count();
    assert_eq!((retired, revision.pods().len()), (5_000, 10_000));
    assert!(pods[..5_000].iter().all(|pod| pod.is_retired()));
}
