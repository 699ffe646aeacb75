//! Does the model keep to what go-control-plane does?

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};

use super::model::{CLUSTER, DeltaStream, Gate, Item, ROUTES, Snapshot, SotwStream};

fn ask(url: &str, version: &str, nonce: &str, names: &[&str]) -> DiscoveryRequest {
    DiscoveryRequest {
        version_info: version.to_owned(),
        resource_names: names.iter().map(|&name| name.to_owned()).collect(),
        type_url: url.to_owned(),
        response_nonce: nonce.to_owned(),
        ..DiscoveryRequest::default()
    }
}

fn clusters(version: &str, names: &[&str]) -> Snapshot {
    let items: Vec<Item> = names.iter().map(|name| Item::named(CLUSTER, name, 1)).collect();
    Snapshot::new(version, &items)
}

#[test]
fn a_nack_is_answered_with_the_same_at_once_and_a_stale_nonce_not_at_all() {
    let snapshot = clusters("v1", &["a"]);
    let mut stream = SotwStream::new(Gate::Keeps);
    let mut answer = |version, nonce| {
        let answer = stream.on_request(&ask(CLUSTER, version, nonce, &[]), Some(&snapshot));
        answer.map(|answer| answer.nonce)
    };
    assert_eq!(answer("", ""), Some("1".to_owned()));
    assert_eq!(answer("", "1"), Some("2".to_owned()), "a NACK");
    assert_eq!(answer("v1", "1"), None, "stale");
    assert_eq!(answer("v1", "2"), None, "accepted");
}

#[test]
fn a_request_that_lacks_a_name_is_kept_or_discarded() {
    let both = Snapshot::new("v1", &["a", "b"].map(|name| Item::named(ROUTES, name, 1)));
    let one = Snapshot::new("v2", &[Item::named(ROUTES, "a", 2)]);
    for (gate, at_once, later) in [(Gate::Keeps, 0, 1), (Gate::Discards, 0, 0), (Gate::Absent, 1, 0)] {
        let mut stream = SotwStream::new(gate);
        let answer = stream.on_request(&ask(ROUTES, "", "", &["a"]), Some(&both));
        assert_eq!(answer.iter().len(), at_once, "{gate:?}");
        assert_eq!(stream.on_snapshot(&one).len(), later, "{gate:?}");
    }
}

#[test]
fn delta_sends_what_changed_and_nothing_again_for_a_nack() {
    let mut stream = DeltaStream::default();
    let ask = DeltaDiscoveryRequest {
        type_url: CLUSTER.to_owned(),
        ..DeltaDiscoveryRequest::default()
    };
    let first = stream.on_request(&ask, Some(&clusters("v1", &["a"])));
    assert_eq!(first.map(|first| first.resources.len()), Some(1));
    assert!(stream.on_request(&ask, Some(&clusters("v1", &["a"]))).is_none());
    let [answer] = stream
        .on_snapshot(&clusters("v2", &["b"]))
        .try_into()
        .expect("one");
    assert_eq!(
        (answer.resources.len(), answer.removed_resources),
        (1, vec!["a".to_owned()])
    );
}
