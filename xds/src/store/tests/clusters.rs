//! Clusters: partial apply, what a change keeps, warming, removal.

use proptest::prelude::*;

use super::*;
use crate::limits;

fn clusters(version: &str, clusters: &[(&str, Vec<u8>)]) -> Update {
    state(Kind::Cluster, version, clusters.to_vec())
}

#[test]
fn endpoints_alone_change_in_place() {
    let mut rig = Rig::new();
    rig.accepts(&clusters("1", &[("a", static_cluster("a", 1, &[80]))]));
    let before = rig.cluster("a").unwrap();
    rig.accepts(&clusters("2", &[("a", static_cluster("a", 1, &[80, 81]))]));
    assert!(Arc::ptr_eq(&before, &rig.cluster("a").unwrap()));
    assert_eq!(before.endpoints().len(), 2);
    rig.accepts(&clusters("3", &[("a", static_cluster("a", 2, &[80, 81]))]));
    assert!(!Arc::ptr_eq(&before, &rig.cluster("a").unwrap()));
}

#[test]
fn one_bad_cluster_leaves_the_others_in_force_and_the_version_behind() {
    let mut rig = Rig::new();
    rig.accepts(&clusters(
        "1",
        &[
            ("a", static_cluster("a", 1, &[80])),
            ("b", static_cluster("b", 1, &[80])),
        ],
    ));
    let rejection = rig.refuses(&clusters(
        "2",
        &[("a", bad_cluster("a")), ("c", static_cluster("c", 1, &[80]))],
    ));
    assert!(
        rejection
            .message
            .starts_with("Error adding/updating cluster(s) a: "),
        "{rejection:?}"
    );
    assert_eq!((rejection.failed, rejection.whole), (vec!["a".into()], false));
    let view = rig.store.view().load_full();
    assert_eq!(*view.versions[&Kind::Cluster], *"1");
    assert!(rig.cluster("a").is_some() && rig.cluster("c").is_some());
    assert_eq!(
        rig.states(Kind::Cluster),
        [("a".to_owned(), State::Active), ("c".to_owned(), State::Active)]
    );
    assert!(view.resources[&Kind::Cluster][0].error.is_some());
    rig.accepts(&clusters("3", &[("a", static_cluster("a", 1, &[80]))]));
    assert!(
        rig.store.view().load().resources[&Kind::Cluster][0]
            .error
            .is_none()
    );
}

#[test]
fn what_is_kept_of_a_response_does_not_hold_the_rest_of_it() {
    let mut rig = Rig::new();
    let good = cluster::Cluster {
        name: "a".to_owned(),
        metadata: Some(core::Metadata {
            filter_metadata: [("example".to_owned(), Default::default())].into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let bodies = [("a", good.encode_to_vec()), ("b", bad_cluster("b"))];
    let response = bytes::Bytes::from(
        bodies
            .iter()
            .flat_map(|(_, body)| body.clone())
            .collect::<Vec<u8>>(),
    );
    let mut update = clusters("1", &bodies);
    let mut at = 0;
    for raw in &mut update.resources {
        raw.body = response.slice(at..at + raw.body.len());
        at += raw.body.len();
    }
    assert_eq!(rig.refuses(&update).failed, ["b".into()]);
    drop(update);
    assert_eq!(rig.states(Kind::Cluster).len(), 2);
    assert!(response.is_unique());
}

#[test]
fn what_cannot_be_decoded_refuses_all() {
    let mut rig = Rig::new();
    let rejection = rig.refuses(&clusters(
        "1",
        &[("a", static_cluster("a", 1, &[80])), ("b", b"\xff\xff".to_vec())],
    ));
    assert!(rejection.whole);
    assert!(rig.cluster("a").is_none());
}

#[test]
fn messages_with_unknown_fields_are_counted_once_each() {
    let unknown = |name: &str, numbers: &[u32]| {
        let mut body = static_cluster(name, 1, &[80]);
        for number in numbers {
            prost::encoding::uint32::encode(*number, &7, &mut body);
        }
        body
    };
    let mut rig = Rig::new();
    let bodies = [
        ("a", unknown("a", &[1000])),
        ("b", unknown("b", &[1000])),
        ("c", unknown("c", &[1000, 1001])),
    ];
    rig.accepts(&clusters("1", &bodies));
    assert_eq!(rig.store.counts().unknown_fields.get(), 2);
    rig.accepts(&clusters("2", &[("a", unknown("a", &[1000, 1001]))]));
    assert_eq!(rig.store.counts().unknown_fields.get(), 2);
}

#[test]
fn a_name_twice_is_refused_and_the_first_counts() {
    let mut rig = Rig::new();
    let rejection = rig.refuses(&clusters(
        "1",
        &[
            ("c1", static_cluster("c1", 1, &[80])),
            ("c1", static_cluster("c1", 2, &[80])),
        ],
    ));
    assert_eq!(
        rejection.message,
        "Error adding/updating cluster(s) c1: duplicate cluster c1 found"
    );
    assert!(rig.cluster("c1").is_some());
}

#[test]
fn an_empty_set_deletes_but_not_at_once_and_not_what_is_static() {
    let mut rig = Rig::new();
    let raw = Raw::new("s", "", static_cluster("s", 1, &[80]).into());
    rig.store.add_static(Kind::Cluster, raw, rig.now).unwrap();
    rig.accepts(&clusters(
        "1",
        &[("a", static_cluster("a", 1, &[80])), ("s", bad_cluster("s"))],
    ));
    rig.accepts(&clusters("2", &[]));
    assert!(rig.cluster("a").is_some(), "routes may still lead to it");
    rig.pass(limits::CLUSTERS_LINGER);
    assert!(rig.cluster("a").is_none() && rig.cluster("s").is_some());
}

#[test]
fn a_guarded_store_refuses_an_empty_set() {
    let mut rig = Rig::with(Settings {
        empty: Empty::Refused,
        ..settings()
    });
    rig.accepts(&clusters("0", &[]));
    rig.accepts(&clusters("1", &[("a", static_cluster("a", 1, &[80]))]));
    assert!(rig.refuses(&clusters("2", &[])).message.contains("--guard-empty"));
    rig.pass(limits::CLUSTERS_LINGER);
    assert!(rig.cluster("a").is_some());
}

#[test]
fn a_cluster_warms_until_its_endpoints_come_while_the_one_before_serves() {
    let mut rig = Rig::new();
    rig.accepts(&clusters("1", &[("a", static_cluster("a", 1, &[80]))]));
    let before = rig.cluster("a").unwrap();
    rig.accepts(&clusters("2", &[("a", eds_cluster("a", 1))]));
    assert!(Arc::ptr_eq(&before, &rig.cluster("a").unwrap()));
    assert!(rig.store.wanted()[&Kind::Endpoints].contains("a"));
    rig.accepts(&state(
        Kind::Endpoints,
        "1",
        vec![("a", assignment("a", &[81, 82]))],
    ));
    let after = rig.cluster("a").unwrap();
    assert!(!Arc::ptr_eq(&before, &after));
    assert_eq!(after.endpoints().len(), 2);
    rig.accepts(&state(Kind::Endpoints, "2", vec![("a", assignment("a", &[81]))]));
    assert!(Arc::ptr_eq(&after, &rig.cluster("a").unwrap()));
    assert_eq!(after.endpoints().len(), 1);
    rig.accepts(&state(Kind::Endpoints, "3", Vec::new()));
    assert_eq!(after.endpoints().len(), 1);
}

#[test]
fn a_cluster_without_endpoints_goes_on_when_its_time_is_over_or_it_hears_that_there_are_none() {
    let mut rig = Rig::new();
    rig.accepts(&clusters(
        "1",
        &[("a", eds_cluster("a", 1)), ("b", eds_cluster("b", 1))],
    ));
    assert_eq!(rig.store.stage(), Stage::PreInitializing);
    let mut gone = state(Kind::Endpoints, "1", Vec::new());
    gone.gone = crate::resource::Gone::Named(vec!["a".into()]);
    rig.accepts(&gone);
    assert!(rig.cluster("a").is_some() && rig.cluster("b").is_none());
    assert!(rig.store.deadline(rig.now.at).is_some());
    rig.pass(TIMEOUT);
    assert!(rig.cluster("b").is_some());
    assert_eq!(rig.store.stage(), Stage::Initializing);
    assert!(rig.store.wanted().contains_key(&Kind::Listener));
}

#[test]
fn the_world_is_told_of_clusters_that_come_into_force_change_and_go() {
    let mut rig = Rig::new();
    let told = |rig: &mut Rig| {
        std::mem::take(&mut rig.store.outside().told)
            .into_iter()
            .collect::<Vec<_>>()
    };
    let both = |ports: &[u16]| [("a", static_cluster("a", 1, ports)), ("b", eds_cluster("b", 1))];
    rig.accepts(&clusters("1", &both(&[80])));
    assert_eq!(told(&mut rig), [("a".to_owned(), Some(1))], "the other one warms");
    rig.accepts(&state(Kind::Endpoints, "1", vec![("b", assignment("b", &[81]))]));
    assert_eq!(told(&mut rig), [("b".to_owned(), Some(1))]);
    rig.accepts(&clusters("2", &both(&[80])));
    assert_eq!(told(&mut rig), []);
    rig.accepts(&clusters("3", &both(&[80, 81])));
    assert_eq!(told(&mut rig), [("a".to_owned(), Some(2))]);
    rig.accepts(&state(Kind::Endpoints, "2", vec![("b", assignment("b", &[]))]));
    assert_eq!(told(&mut rig), [("b".to_owned(), Some(0))]);
    rig.accepts(&clusters("4", &[("b", eds_cluster("b", 1))]));
    assert_eq!(told(&mut rig), [], "it takes requests for a moment longer");
    rig.pass(limits::CLUSTERS_LINGER);
    assert_eq!(told(&mut rig), [("a".to_owned(), None)]);
}

#[test]
fn refused_endpoints_change_nothing() {
    let mut rig = Rig::new();
    rig.accepts(&clusters("1", &[("a", eds_cluster("a", 1))]));
    rig.accepts(&state(Kind::Endpoints, "1", vec![("a", assignment("a", &[81]))]));
    rig.refuses(&state(Kind::Endpoints, "2", vec![("a", b"\xff".to_vec())]));
    assert_eq!(rig.cluster("a").unwrap().endpoints().len(), 1);
}

/// One step of a control plane.
#[derive(Clone, Debug)]
enum Step {
    Clusters(Vec<(usize, Shape)>),
    Endpoints(Vec<(usize, Vec<u16>)>),
    Pass(u64),
}

#[derive(Clone, Debug)]
enum Shape {
    Static(i64, Vec<u16>),
    Eds(i64),
    Bad,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ports = || prop::collection::vec(1..5_u16, 0..3);
    let shape = prop_oneof![
        3 => (1..3_i64, ports()).prop_map(|(connect, ports)| Shape::Static(connect, ports)),
        2 => (1..3_i64).prop_map(Shape::Eds),
        1 => Just(Shape::Bad),
    ];
    let clusters = prop::collection::btree_map(0..3_usize, shape, 0..3);
    let endpoints = prop::collection::btree_map(0..3_usize, ports(), 0..3);
    let step = prop_oneof![
        3 => clusters.prop_map(|map| Step::Clusters(map.into_iter().collect())),
        2 => endpoints.prop_map(|map| Step::Endpoints(map.into_iter().collect())),
        1 => (0..20_u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..12)
}

impl Shape {
    fn body(&self, name: &str) -> Vec<u8> {
        match self {
            Self::Static(connect, ports) => static_cluster(name, *connect, ports),
            Self::Eds(connect) => eds_cluster(name, *connect),
            Self::Bad => bad_cluster(name),
        }
    }
}

/// What decides about requests: name, settings and endpoints of each cluster in force.
fn in_force(rig: &Rig) -> Vec<(String, Duration, Vec<String>)> {
    let told = NAMES.iter().filter_map(|name| {
        let cluster = rig.cluster(name)?;
        let endpoints = cluster.endpoints();
        let addresses = endpoints.iter().map(|endpoint| endpoint.address().to_string());
        let timeout = cluster.settings().transport.connect_timeout;
        Some(((*name).to_owned(), timeout, addresses.collect()))
    });
    told.collect()
}

proptest! {
    /// However it came to be, what is in force is what a store makes of the same resources that hears of nothing else.
    #[test]
    fn the_way_there_makes_no_difference(steps in steps()) {
        let mut rig = Rig::new();
        for (number, step) in steps.iter().enumerate() {
            let version = number.to_string();
            match step {
                Step::Clusters(list) => {
                    let list: Vec<_> = list.iter().map(|(at, shape)| (NAMES[*at], shape.body(NAMES[*at]))).collect();
                    let before = in_force(&rig);
                    let answer = rig.apply(&clusters(&version, &list));
                    if let Answer::Now(Verdict::Rejected(rejection)) = answer {
                        for failed in &rejection.failed {
                            let of = |told: &[(String, Duration, Vec<String>)]| told.iter().find(|one| *one.0 == **failed).cloned();
                            prop_assert_eq!(of(&before), of(&in_force(&rig)));
                        }
                    }
                }
                Step::Endpoints(list) => {
                    let list: Vec<_> = list.iter().map(|(at, ports)| (NAMES[*at], assignment(NAMES[*at], ports))).collect();
                    rig.accepts(&state(Kind::Endpoints, &version, list));
                }
                Step::Pass(seconds) => rig.pass(Duration::from_secs(*seconds)),
            }
        }
        rig.pass(2 * TIMEOUT);
        let mut fresh = Rig::new();
        for update in rig.store.accepted() {
            fresh.apply(&update.update());
        }
        fresh.pass(2 * TIMEOUT);
        prop_assert_eq!(in_force(&rig), in_force(&fresh));
    }
}
