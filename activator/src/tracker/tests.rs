//! Which pods a revision has here, as pods and activators come and go.

use std::{collections::HashSet, net::Ipv4Addr};

use tidegate_proxy::cluster::ClusterSettings;

use super::*;
use crate::throttle::tests::settings;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

fn tracker(container_concurrency: u32) -> Tracker {
    Tracker::new(Revision::new(settings(container_concurrency)), Ports::Same)
}

fn pods(ports: &[u16]) -> Destinations {
    Destinations::Pods(ports.iter().copied().map(address).collect())
}

fn service(ready: usize) -> Destinations {
    let address = address(80);
    Destinations::ClusterIp { address, ready }
}

/// How many requests can be under way at once.
fn room(tracker: &Tracker) -> usize {
    let leases: Vec<_> = (0..1_000).map_while(|_| tracker.revision().try_lease()).collect();
    leases.len()
}

fn check_room(container_concurrency: u32, to: &Destinations, share: (Option<usize>, usize), expected: usize) {
    let tracker = tracker(container_concurrency);
    tracker.update(to);
    tracker.share(share.0, share.1);
    assert_eq!(
        room(&tracker),
        expected,
        "containerConcurrency {container_concurrency}, {to:?}, {share:?}"
    );
}

#[test]
fn ac_16_each_activator_uses_its_slice() {
    check_room(10, &pods(&[1]), (None, 1), 10);
    check_room(10, &pods(&[1, 2]), (None, 1), 20);
    check_room(10, &pods(&[1, 2]), (Some(0), 2), 10);
    check_room(10, &pods(&[1, 2, 3]), (Some(0), 2), 20);
    check_room(10, &pods(&[1, 2, 3]), (Some(1), 2), 10);
    check_room(1, &pods(&[1, 2, 3, 4, 5]), (Some(0), 2), 3);
    check_room(1, &pods(&[1, 2, 3, 4, 5]), (Some(1), 2), 2);
    // Not found among the activators yet: all pods, in full.
    check_room(10, &pods(&[1, 2, 3]), (None, 2), 30);
}

#[test]
fn ac_16_without_a_limit_all_pods_are_used_by_all() {
    let tracker = tracker(0);
    tracker.update(&pods(&[1, 2, 3]));
    tracker.share(Some(1), 2);
    assert_eq!(tracker.revision().pods().len(), 3);
}

#[test]
fn ac_14_one_address_for_all_pods_is_shared_by_number() {
    check_room(10, &service(10), (Some(0), 5), 20);
    check_room(10, &service(10), (None, 1), 100);
    check_room(10, &service(10), (Some(3), 200), 1);
    check_room(10, &service(0), (None, 1), 0);
    check_room(0, &service(0), (None, 1), 0);
    check_room(0, &service(1), (Some(0), 5), 1_000);
}

#[test]
fn ac_20_a_change_of_activators_changes_the_share() {
    let tracker = tracker(1);
    tracker.update(&pods(&[1, 2, 3, 4, 5, 6]));
    for (share, expected) in [
        ((Some(0), 1), 6),
        ((Some(0), 2), 3),
        ((Some(2), 3), 2),
        ((None, 1), 6),
    ] {
        tracker.share(share.0, share.1);
        assert_eq!(room(&tracker), expected, "{share:?}");
    }
    tracker.update(&service(6));
    for (activators, expected) in [(1, 6), (2, 3), (4, 1)] {
        tracker.share(Some(0), activators);
        assert_eq!(room(&tracker), expected, "{activators}");
    }
}

#[test]
fn ac_24_one_address_for_all_pods_replaces_the_pods_and_back() {
    let tracker = tracker(1);
    let used = || {
        tracker
            .revision()
            .try_lease()
            .map(|lease| lease.endpoint().address().to_string())
    };
    tracker.update(&pods(&[8012]));
    assert_eq!(used().as_deref(), Some("10.0.0.1:8012"));
    tracker.update(&service(2));
    assert_eq!(used().as_deref(), Some("10.0.0.1:80"));
    tracker.update(&pods(&[8013]));
    assert_eq!(used().as_deref(), Some("10.0.0.1:8013"));
    tracker.update(&Destinations::None);
    assert_eq!(used(), None);
}

#[test]
fn ac_20_a_pod_that_stays_keeps_its_requests_through_every_change() {
    let tracker = tracker(1);
    tracker.update(&pods(&[1, 2]));
    let lease = tracker.revision().try_lease().unwrap();
    tracker.update(&pods(&[1, 2, 3]));
    tracker.share(Some(0), 2);
    tracker.share(Some(0), 1);
    assert_eq!(room(&tracker), 2, "the pod of {lease:?} is taken");
}

#[test]
fn each_of_ten_thousand_pods_is_the_endpoint_of_its_address() {
    let at = |number: u32| SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + number), 8012));
    let listed: Vec<_> = (0..10_000)
        .map(|number| Arc::new(Endpoint::new(at(number))))
        .collect();
    let cluster = Cluster::new(ClusterSettings::new("ns/rev-private"));
    cluster.set_endpoints(listed.clone());
    let looked_up = Places::of(Some(&cluster));
    assert_eq!(
        looked_up.endpoints.len(),
        listed.len(),
        "one table for all of them"
    );
    let tracker = Tracker::with_cluster(Revision::new(settings(0)), Ports::Same, cluster);
    tracker.update(&Destinations::Pods((0..10_000).map(at).collect()));
    let pods = tracker.revision().pods();
    let taken: HashSet<_> = pods
        .iter()
        .map(|pod| Arc::as_ptr(&pod.place().endpoint))
        .collect();
    assert_eq!(taken, listed.iter().map(Arc::as_ptr).collect());
}

#[test]
fn ac_09_over_tls_requests_go_to_the_ports_for_it() {
    let tracker = Tracker::new(Revision::new(settings(1)), Ports::Tls);
    let used = || {
        tracker
            .revision()
            .try_lease()
            .map(|lease| lease.endpoint().address().to_string())
    };
    tracker.update(&pods(&[8012]));
    assert_eq!(used().as_deref(), Some("10.0.0.1:8112"));
    tracker.update(&service(1));
    assert_eq!(used().as_deref(), Some("10.0.0.1:443"));
}
