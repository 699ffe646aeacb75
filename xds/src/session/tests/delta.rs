//! Streams of changes.

use super::*;
use Variant::Delta;

const ALL: &[&str] = &[];

#[test]
fn a_stream_begins_with_what_is_wanted_and_held() {
    let mut talk = Talk::new(|settings| settings.variant = Delta);
    talk.want(&[(Kind::Cluster, ALL), (Kind::Routes, &["a", "b"])]);
    talk.session.connected();
    assert_eq!(talk.ask(), ["Cluster + - {} n''", "Routes +a,b - {} n''"]);
    talk.hear_changes(Kind::Cluster, "1", &[("c", "7")], &[]);
    talk.hear_changes(Kind::Routes, "2", &[("a", "8")], &[]);
    assert_eq!([talk.accept(), talk.accept()], ["Cluster c@7", "Routes a@8"]);
    assert_eq!(talk.ask(), ["Cluster + - {} n'1'", "Routes + - {} n'2'"]);
    talk.session.disconnected(0.0);
    talk.session.connected();
    let again = [
        "Cluster + - {\"c\": \"7\"} n''",
        "Routes +a,b - {\"a\": \"8\"} n''",
    ];
    assert_eq!(talk.ask(), again);
}

#[test]
fn only_changed_names_are_said_and_without_a_nonce_unless_they_answer() {
    let mut talk = Talk::begun(Delta, &[(Kind::Routes, &["a", "b"])]);
    talk.want(&[(Kind::Routes, &["b", "c"])]);
    assert_eq!(talk.ask(), ["Routes +c -a {} n''"]);
    talk.hear_changes(Kind::Routes, "1", &[("b", "1")], &[]);
    talk.accept();
    talk.want(&[(Kind::Routes, &["b"])]);
    assert_eq!(talk.ask(), ["Routes + -c {} n'1'"], "an answer takes them along");
}

#[test]
fn a_refused_resource_keeps_its_version_and_the_rest_of_its_response_advances() {
    let mut talk = Talk::begun(Delta, &[(Kind::Cluster, ALL)]);
    talk.hear_changes(Kind::Cluster, "1", &[("old", "1"), ("gone", "1")], &[]);
    talk.accept();
    talk.hear_changes(
        Kind::Cluster,
        "2",
        &[("old", "2"), ("bad", "2"), ("good", "2")],
        &["gone"],
    );
    assert_eq!(
        talk.reject("no", &["old", "bad"]),
        "Cluster old@2 bad@2 good@2 -gone"
    );
    assert_eq!(talk.ask(), ["Cluster + - {} n'1'", "Cluster + - {} n'2' !13 no"]);
    talk.session.connected();
    assert_eq!(talk.ask(), ["Cluster + - {\"good\": \"2\", \"old\": \"1\"} n''"]);
}

#[test]
fn a_response_that_is_refused_whole_advances_nothing() {
    let mut talk = Talk::begun(Delta, &[(Kind::Cluster, ALL)]);
    talk.hear_changes(Kind::Cluster, "1", &[("a", "1")], &[]);
    talk.accept();
    talk.hear_changes(Kind::Cluster, "2", &[("b", "1")], &["a"]);
    talk.reject("no", &[]);
    talk.session.connected();
    assert_eq!(talk.ask(), ["Cluster + - {\"a\": \"1\"} n''"]);
}

#[test]
fn each_response_is_judged_and_answered_in_turn() {
    let mut talk = Talk::begun(Delta, &[(Kind::Cluster, ALL)]);
    talk.hear_changes(Kind::Cluster, "1", &[("a", "1")], &[]);
    talk.hear_changes(Kind::Cluster, "2", &[("b", "1")], &[]);
    talk.reject("no", &["a"]);
    talk.accept();
    assert_eq!(talk.ask(), ["Cluster + - {} n'1' !13 no", "Cluster + - {} n'2'"]);
}

#[test]
fn too_many_responses_become_one() {
    let mut talk = Talk::begun(Delta, &[(Kind::Cluster, ALL)]);
    let responses = crate::limits::RESPONSES_WAITING_MAX + 2;
    for number in 1..=responses {
        let (name, nonce) = (format!("c{}", number % 3), number.to_string());
        talk.hear_changes(Kind::Cluster, &nonce, &[(&name, &nonce)], &[]);
    }
    let mut judged = 0;
    while talk.session.has_delivery() {
        talk.accept();
        judged += 1;
    }
    assert_eq!(judged, crate::limits::RESPONSES_WAITING_MAX);
    assert_eq!(talk.ask().len(), responses, "each is answered");
}

#[test]
fn what_came_and_is_not_judged_yet_is_not_asked_for_again() {
    let mut talk = Talk::begun(Delta, &[(Kind::Cluster, ALL)]);
    talk.hear_changes(Kind::Cluster, "1", &[("a", "1"), ("b", "1")], &[]);
    talk.accept();
    talk.hear_changes(Kind::Cluster, "2", &[("a", "2")], &["b"]);
    talk.session.connected();
    assert_eq!(talk.ask(), ["Cluster + - {\"a\": \"2\"} n''"]);
}

#[test]
fn names_that_are_gone_or_never_were_are_told_if_somebody_wants_them() {
    let mut talk = Talk::begun(Delta, &[(Kind::Endpoints, &["a", "b"])]);
    talk.hear_changes(Kind::Endpoints, "1", &[("a", "1"), ("z", "1")], &["b", "y"]);
    assert_eq!(talk.accept(), "Endpoints a@1 -b");
}

#[test]
fn what_breaks_the_protocol_is_refused_whole() {
    let check = |changed: &[(&str, &str)], removed: &[&str], expected: &str| {
        let mut talk = Talk::begun(Delta, &[(Kind::Cluster, ALL)]);
        talk.hear_changes(Kind::Cluster, "n", changed, removed);
        assert!(!talk.session.has_delivery());
        assert_eq!(talk.ask(), [format!("Cluster + - {{}} n'n' !13 {expected}")]);
    };
    let twice = "duplicate name c5 found among added/updated resources";
    check(&[("c5", "1"), ("c5", "2")], &[], twice);
    let both = "duplicate name c5 found in the union of added+removed resources";
    check(&[("c5", "1")], &["c5"], both);
}

#[test]
fn a_resource_has_the_name_of_its_wrapper() {
    let mut talk = Talk::begun(Delta, &[(Kind::Cluster, ALL)]);
    talk.receive(&DeltaDiscoveryResponse {
        resources: vec![Resource {
            name: "wrapper".into(),
            version: "1".into(),
            resource: Some(any(Kind::Cluster, "inner")),
            ..Resource::default()
        }],
        type_url: Kind::Cluster.type_url().to_owned(),
        nonce: "n".into(),
        ..DeltaDiscoveryResponse::default()
    });
    assert_eq!(talk.accept(), "Cluster wrapper@1");
}

#[test]
fn a_heartbeat_needs_no_verdict() {
    let mut talk = Talk::begun(Delta, &[(Kind::Cluster, ALL)]);
    talk.receive(&DeltaDiscoveryResponse {
        resources: vec![Resource {
            name: "a".into(),
            version: "1".into(),
            ..Resource::default()
        }],
        type_url: Kind::Cluster.type_url().to_owned(),
        nonce: "n".into(),
        ..DeltaDiscoveryResponse::default()
    });
    assert!(!talk.session.has_delivery());
    assert_eq!(talk.ask(), ["Cluster + - {} n'n'"]);
    assert_eq!(talk.status.of(Kind::Cluster).heartbeats.get(), 1);
}
