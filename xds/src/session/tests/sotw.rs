//! Streams of whole states.

use super::*;
use Variant::StateOfTheWorld;

const ALL: &[&str] = &[];

#[test]
fn a_stream_begins_with_clusters_and_ends_with_routes_and_says_who_asks_once() {
    let mut talk = Talk::new(|_| {});
    talk.want(&[
        (Kind::Routes, &["r"]),
        (Kind::Listener, ALL),
        (Kind::Secret, &["s"]),
        (Kind::Endpoints, &["e2", "e1"]),
        (Kind::Cluster, ALL),
    ]);
    talk.session.connected();
    let Some(Request::StateOfTheWorld(first)) = talk.session.next_request(talk.now) else {
        panic!("nothing is asked");
    };
    assert_eq!(first.node.map(|node| node.id).as_deref(), Some("node"));
    let Some(Request::StateOfTheWorld(second)) = talk.session.next_request(talk.now) else {
        panic!("nothing else is asked");
    };
    assert_eq!(
        (second.node, second.resource_names),
        (None, vec!["e1".into(), "e2".into()])
    );
    let rest = ["Secret s v'' n''", "Listener  v'' n''", "Routes r v'' n''"];
    assert_eq!(talk.ask(), rest);
}

#[test]
fn a_node_may_be_asked_for_on_every_request() {
    let mut talk = Talk::new(|settings| settings.node_on = NodeOn::All);
    talk.want(&[(Kind::Cluster, ALL), (Kind::Listener, ALL)]);
    talk.session.connected();
    for _ in 0..2 {
        let request = talk.session.next_request(talk.now);
        assert!(matches!(request, Some(Request::StateOfTheWorld(request)) if request.node.is_some()));
    }
}

#[test]
fn an_ack_has_the_new_version_and_a_nack_the_one_before() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Cluster, ALL)]);
    talk.hear(Kind::Cluster, "1", "a", &["x", "y"]);
    assert!(talk.ask().is_empty(), "nobody has judged it");
    assert_eq!(talk.accept(), "Cluster x@1 y@1 alone");
    assert_eq!(talk.ask(), ["Cluster  v'1' n'a'"]);
    talk.hear(Kind::Cluster, "2", "b", &["x"]);
    talk.reject("no", &["x"]);
    assert_eq!(talk.ask(), ["Cluster  v'1' n'b' !13 no"]);
    assert!(talk.ask().is_empty());
    assert_eq!(talk.status.of(Kind::Cluster).update_rejected.get(), 1);
    assert_eq!(talk.status.of(Kind::Cluster).update_success.get(), 1);
}

#[test]
fn versions_outlive_a_stream_and_nonces_do_not() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Cluster, ALL), (Kind::Routes, &["r"])]);
    talk.hear(Kind::Cluster, "1", "a", &[]);
    talk.accept();
    talk.ask();
    talk.session.disconnected(0.0);
    assert!(talk.ask().is_empty(), "there is no stream");
    talk.session.connected();
    assert_eq!(talk.ask(), ["Cluster  v'1' n''", "Routes r v'' n''"]);
}

#[test]
fn names_that_never_came_are_asked_for_on_a_new_stream_as_if_nothing_had_come() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Endpoints, &["a", "b"])]);
    talk.hear(Kind::Endpoints, "1", "n", &["a"]);
    talk.accept();
    talk.ask();
    talk.session.connected();
    assert_eq!(talk.ask(), ["Endpoints a,b v'' n''"]);
    talk.hear(Kind::Endpoints, "1", "n", &["a", "b"]);
    talk.accept();
    talk.session.connected();
    assert_eq!(talk.ask(), ["Endpoints a,b v'1' n''"]);
}

#[test]
fn a_verdict_for_a_stream_that_is_over_is_no_answer_but_counts() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Cluster, ALL)]);
    talk.hear(Kind::Cluster, "1", "a", &["x"]);
    talk.session.disconnected(0.0);
    talk.session.connected();
    assert_eq!(talk.ask(), ["Cluster  v'' n''"]);
    assert_eq!(talk.accept(), "Cluster x@1 alone");
    assert!(talk.ask().is_empty());
    assert_eq!(&*talk.session.version(Kind::Cluster), "1");
}

#[test]
fn changed_names_go_out_at_once_with_the_newest_nonce() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Routes, &["a"])]);
    talk.hear(Kind::Routes, "1", "n1", &["a"]);
    talk.want(&[(Kind::Routes, &["a", "b"])]);
    assert_eq!(
        talk.ask(),
        ["Routes a,b v'' n'n1'"],
        "while the response is judged"
    );
    talk.accept();
    assert_eq!(talk.ask(), ["Routes a,b v'1' n'n1'"]);
    talk.want(&[(Kind::Routes, &["a", "b"])]);
    assert!(talk.ask().is_empty(), "nothing has changed");
}

#[test]
fn the_last_name_that_goes_is_said_too() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Routes, &["a"])]);
    talk.want(&[]);
    assert_eq!(talk.ask(), ["Routes  v'' n''"]);
    assert!(talk.ask().is_empty());
    talk.session.connected();
    assert!(talk.ask().is_empty(), "on a new stream nothing was asked for");
}

#[test]
fn all_is_spelt_out_once_a_name_was_asked_for() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Cluster, &["a"])]);
    talk.want(&[(Kind::Cluster, ALL)]);
    assert_eq!(talk.ask(), ["Cluster * v'' n''"]);
}

#[test]
fn a_name_that_came_before_is_asked_for_as_if_nothing_had_come() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Routes, &["a", "b"])]);
    talk.hear(Kind::Routes, "1", "n1", &["a", "b"]);
    talk.accept();
    talk.ask();
    talk.want(&[(Kind::Routes, &["a"])]);
    assert_eq!(talk.ask(), ["Routes a v'1' n'n1'"]);
    talk.want(&[(Kind::Routes, &["a", "b"])]);
    assert_eq!(talk.ask(), ["Routes a,b v'' n'n1'"]);
}

#[test]
fn names_that_nobody_asked_for_are_left_out_and_the_rest_is_accepted() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Routes, &["a"])]);
    talk.hear(Kind::Routes, "1", "n1", &["a", "z"]);
    assert_eq!(talk.accept(), "Routes a@1");
    assert_eq!(talk.ask(), ["Routes a v'1' n'n1'"]);
}

#[test]
fn of_a_burst_the_newest_clusters_are_judged_alone() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Cluster, ALL)]);
    talk.hear(Kind::Cluster, "1", "n1", &["a"]);
    let (first, _) = talk.take();
    for (version, nonce, name) in [("2", "n2", "b"), ("3", "n3", "c")] {
        talk.hear(Kind::Cluster, version, nonce, &[name]);
    }
    assert!(talk.session.take_delivery().is_none(), "one at a time");
    talk.session.judged(first, Some(&Verdict::Accepted));
    assert!(talk.ask().is_empty(), "its nonce is old");
    assert_eq!(talk.accept(), "Cluster c@3 alone");
    assert_eq!(talk.ask(), ["Cluster  v'3' n'n3'"]);
}

#[test]
fn of_a_burst_of_partial_routes_each_is_judged_in_its_newest_form() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Routes, &["a", "b"])]);
    talk.hear(Kind::Routes, "1", "n1", &["a", "b"]);
    talk.hear(Kind::Routes, "2", "n2", &["b"]);
    assert_eq!(talk.accept(), "Routes a@1 b@2");
    assert_eq!(talk.ask(), ["Routes a,b v'2' n'n2'"]);
}

#[test]
fn an_update_that_is_held_blocks_no_other_kind_and_comes_again_with_the_next() {
    let mut talk = Talk::begun(
        StateOfTheWorld,
        &[(Kind::Cluster, ALL), (Kind::Routes, &["a", "b"])],
    );
    talk.hear(Kind::Routes, "1", "n1", &["a"]);
    let (held, _) = talk.take();
    talk.hear(Kind::Cluster, "1", "n2", &["c"]);
    assert_eq!(talk.accept(), "Cluster c@1 alone");
    assert_eq!(talk.ask(), ["Cluster  v'1' n'n2'"]);
    talk.session.judged(held, None);
    assert!(
        talk.ask().is_empty() && !talk.session.has_delivery(),
        "neither ACK nor NACK"
    );
    talk.hear(Kind::Routes, "2", "n3", &["b"]);
    assert_eq!(talk.accept(), "Routes a@1 b@2");
}

#[test]
fn clusters_are_judged_before_the_routes_that_came_first() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Cluster, ALL), (Kind::Routes, &["r"])]);
    talk.hear(Kind::Routes, "1", "n1", &["r"]);
    talk.hear(Kind::Cluster, "1", "n2", &["c"]);
    assert_eq!(talk.accept(), "Cluster c@1 alone");
    assert_eq!(talk.accept(), "Routes r@1");
}

#[test]
fn what_breaks_the_protocol_is_refused_before_anybody_looks_at_it() {
    let check = |resource: Any, expected: &str| {
        let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Cluster, ALL)]);
        talk.receive(&DiscoveryResponse {
            version_info: "1".into(),
            resources: vec![any(Kind::Cluster, "good"), resource],
            type_url: Kind::Cluster.type_url().to_owned(),
            nonce: "n".into(),
            ..DiscoveryResponse::default()
        });
        assert!(!talk.session.has_delivery());
        let [said] = talk.ask().try_into().expect("one answer");
        assert!(said.starts_with(expected), "{said}");
    };
    let mismatch = "Cluster  v'' n'n' !13 type.googleapis.com/envoy.config.listener.v3.Listener does not match the \
                    message-wide type URL type.googleapis.com/envoy.config.cluster.v3.Cluster in DiscoveryResponse";
    check(any(Kind::Listener, "l"), mismatch);
    let broken = Any {
        value: Bytes::from_static(b"\x0a\x09x"),
        ..any(Kind::Cluster, "")
    };
    check(
        broken,
        "Cluster  v'' n'n' !13 Unable to unpack as envoy.config.cluster.v3.Cluster: ",
    );
}

#[test]
fn heartbeats_are_accepted_and_change_nothing() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Cluster, ALL)]);
    let wrapped = |name: &str, body: Option<Any>| {
        let resource = Resource {
            name: name.to_owned(),
            resource: body,
            ttl: Some(wire::Duration { seconds: 9, nanos: 0 }),
            ..Resource::default()
        };
        Any {
            type_url: wire::RESOURCE_TYPE_URL.to_owned(),
            value: resource.encode_to_vec().into(),
        }
    };
    let mut hear = |nonce: &str, resources: Vec<Any>| {
        talk.receive(&DiscoveryResponse {
            version_info: "1".into(),
            resources,
            type_url: Kind::Cluster.type_url().to_owned(),
            nonce: nonce.to_owned(),
            ..DiscoveryResponse::default()
        });
        let said = talk.session.has_delivery().then(|| talk.accept());
        (said, talk.ask())
    };
    let both = vec![
        wrapped("a", Some(any(Kind::Cluster, "a"))),
        wrapped("b", Some(any(Kind::Cluster, "b"))),
    ];
    assert_eq!(hear("1", both).0.as_deref(), Some("Cluster a@1 b@1 alone"));
    assert_eq!(
        hear("2", vec![wrapped("a", None)]),
        (None, vec!["Cluster  v'1' n'2'".to_owned()])
    );
    let mixed = vec![wrapped("a", None), wrapped("c", Some(any(Kind::Cluster, "c")))];
    assert_eq!(
        hear("3", mixed).0.as_deref(),
        Some("Cluster c@1 -b"),
        "a lives on, b is gone"
    );
}

#[test]
fn what_is_no_message_ends_the_stream_and_unknown_types_are_ignored() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Cluster, ALL)]);
    assert!(
        talk.session
            .receive(Bytes::from_static(b"\x0a\x09"), talk.now)
            .is_err()
    );
    talk.receive(&DiscoveryResponse {
        type_url: "type.googleapis.com/nobody".into(),
        ..DiscoveryResponse::default()
    });
    assert_eq!(talk.status.unknown_types.get(), 1);
    assert!(talk.ask().is_empty() && !talk.session.has_delivery());
}

#[test]
fn names_that_nobody_wants_are_not_remembered_without_end() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Routes, &["r"])]);
    let many: Vec<String> = (0..crate::limits::NAMES_REMEMBERED_MAX)
        .map(|n| n.to_string())
        .collect();
    let names: Vec<&str> = many.iter().map(String::as_str).chain(["r", "last"]).collect();
    talk.hear(Kind::Routes, "1", "n", &names);
    talk.accept();
    assert_eq!(talk.ask(), ["Routes r v'1' n'n'"]);
    // It came, and is forgotten: the server has to send it again.
    talk.want(&[(Kind::Routes, &["r", "last"])]);
    assert_eq!(talk.ask(), ["Routes last,r v'' n'n'"]);
}

#[test]
fn a_nack_is_cut_where_envoys_is() {
    let mut talk = Talk::begun(StateOfTheWorld, &[(Kind::Cluster, ALL)]);
    talk.hear(Kind::Cluster, "1", "n", &["a"]);
    // A letter of two bytes stands where it is cut.
    let said = format!("{}\u{e4}and more", "x".repeat(crate::limits::NACK_BYTES_MAX - 1));
    talk.reject(&said, &["a"]);
    let expected = format!(
        "Cluster  v'' n'n' !13 {}...(truncated)",
        "x".repeat(crate::limits::NACK_BYTES_MAX - 1)
    );
    assert_eq!(talk.ask(), [expected]);
}
