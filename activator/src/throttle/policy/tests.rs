//! Knative's three policies (contract of `pkg/activator/net/lb_policy.go`).

use super::*;
use crate::throttle::tests::pod;

fn pods(count: u16, container_concurrency: u32) -> Vec<Arc<Pod>> {
    (0..count)
        .map(|index| pod(3000 + index, container_concurrency))
        .collect()
}

fn draw(balancer: &Balancer, pods: &[Arc<Pod>]) -> Option<u16> {
    balancer
        .reserve(pods)
        .map(|pod| pod.endpoint().address().port() - 3000)
}

#[test]
fn power_of_two_never_picks_the_busier_of_two() {
    let (balancer, pods) = (Balancer::new(0), pods(2, 0));
    assert!(pods[1].reserve());
    for _ in 0..100 {
        assert_eq!(draw(&balancer, &pods), Some(0));
        pods[0].release();
    }
    assert_eq!([pods[0].in_flight(), pods[1].in_flight()], [0, 1]);
}

#[test]
fn power_of_two_uses_all_of_equals() {
    for count in [2, 5] {
        let (balancer, pods) = (Balancer::new(0), pods(count, 0));
        let mut drawn = vec![0; pods.len()];
        for _ in 0..100 {
            let pod = balancer.reserve(&pods).unwrap();
            drawn[usize::from(pod.endpoint().address().port() - 3000)] += 1;
            pod.release();
        }
        let fair = 100 / drawn.len();
        assert!(drawn.iter().all(|times| *times > fair / 2), "{drawn:?}");
    }
}

#[test]
fn power_of_two_passes_over_pods_that_were_just_retired() {
    let (balancer, pods) = (Balancer::new(0), pods(2, 0));
    pods[0].retire();
    for _ in 0..10 {
        assert_eq!(draw(&balancer, &pods), Some(1));
    }
    pods[1].retire();
    assert_eq!(draw(&balancer, &pods), None);
}

#[test]
fn first_available_fills_pods_in_order() {
    let (balancer, pods) = (Balancer::new(2), pods(2, 2));
    let order: Vec<_> = (0..5).map(|_| draw(&balancer, &pods)).collect();
    assert_eq!(order, [Some(0), Some(0), Some(1), Some(1), None]);
}

#[test]
fn round_robin_takes_turns_and_skips_the_full() {
    let (balancer, pods) = (Balancer::new(4), pods(3, 4));
    let order: Vec<_> = (0..4).map(|_| draw(&balancer, &pods)).collect();
    assert_eq!(order, [Some(0), Some(1), Some(2), Some(0)]);
    while pods[1].reserve() {}
    let order: Vec<_> = (0..5).map(|_| draw(&balancer, &pods)).collect();
    assert_eq!(order, [Some(2), Some(0), Some(2), Some(0), Some(2)]);
    assert_eq!(draw(&balancer, &pods), None);
}

#[test]
fn round_robin_survives_a_list_that_became_shorter() {
    let (balancer, pods) = (Balancer::new(4), pods(3, 4));
    for expected in [0, 1, 2] {
        assert_eq!(draw(&balancer, &pods), Some(expected));
    }
    assert_eq!(draw(&balancer, &pods[..2]), Some(0));
}
