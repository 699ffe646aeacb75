//! What a cluster remembers about its endpoints, and how that changes where requests go.

use std::net::SocketAddr;

use super::outlier::Consecutive;
use super::*;

fn endpoint(port: u16) -> Endpoint {
    Endpoint::new(SocketAddr::from(([10, 0, 0, 1], port)))
}

fn cluster(settings: ClusterSettings, ports: impl IntoIterator<Item = u16>) -> Arc<Cluster> {
    let cluster = Cluster::new(settings);
    cluster.set_endpoints(ports.into_iter().map(|port| Arc::new(endpoint(port))).collect());
    cluster
}

fn ports(cluster: &Cluster, picks: usize) -> Vec<u16> {
    let picked = (0..picks).filter_map(|_| cluster.pick());
    let mut ports: Vec<u16> = picked.map(|endpoint| endpoint.address().port()).collect();
    ports.sort_unstable();
    ports
}

#[test]
fn everyone_gets_a_turn() {
    assert_eq!(
        ports(&cluster(ClusterSettings::new("app"), [1, 2]), 4),
        [1, 1, 2, 2]
    );
    assert!(ports(&cluster(ClusterSettings::new("app"), []), 4).is_empty());
}

#[test]
fn an_endpoint_that_stays_keeps_what_was_learned() {
    let cluster = cluster(ClusterSettings::new("app"), [1, 2]);
    let first = Arc::clone(&cluster.endpoints()[0]);
    let in_flight = first.begin();
    cluster.set_endpoints(vec![endpoint(3).into(), endpoint(1).with_weight(2).into()]);
    let kept = Arc::clone(&cluster.endpoints()[1]);
    assert_eq!((kept.in_flight(), kept.weight()), (1, 2));
    drop(in_flight);
    assert_eq!(kept.in_flight(), 0);
}

#[tokio::test]
async fn an_outlier_is_ejected_at_once() {
    let once = Consecutive {
        failures: 1,
        ..Consecutive::default()
    };
    let settings = ClusterSettings {
        outlier: Some(Box::new(OutlierSettings {
            consecutive_5xx: Some(once),
            ..OutlierSettings::default()
        })),
        ..ClusterSettings::new("app")
    };
    let cluster = cluster(settings, [1, 2, 3]);
    let bad = Arc::clone(&cluster.endpoints()[1]);
    cluster.note(&bad, Outcome::ServerError);
    assert_eq!(ports(&cluster, 3), [1, 2, 3], "nobody would take it back");
    let (_drain, watch) = crate::drain::Drain::new();
    cluster.watch(&watch);
    cluster.note(&bad, Outcome::Success);
    assert_eq!(ports(&cluster, 3), [1, 2, 3]);
    cluster.note(&bad, Outcome::ServerError);
    assert_eq!(ports(&cluster, 4), [1, 1, 3, 3]);
}

#[test]
fn another_endpoint_is_found_where_there_is_one() {
    let cluster = cluster(ClusterSettings::new("app"), [1, 2]);
    let tried = [Arc::clone(&cluster.endpoints()[0])];
    for _ in 0..10 {
        let other = cluster.pick_other(Preference::default(), &tried, 3).unwrap();
        assert_eq!(other.address().port(), 2);
    }
    let all = cluster.endpoints();
    assert!(cluster.pick_other(Preference::default(), &all, 3).is_some());
}
