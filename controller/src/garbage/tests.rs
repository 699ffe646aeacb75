use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_knative::{Defaults, Object, load};

use super::*;

const HOUR: u64 = 3600;

/// A configuration with these revisions: name, hours since it was made, hours since it went into reserve.
fn configuration(revisions: &[(&str, u64, u64)], now: UnixTime) -> ConfigurationState {
    let yaml = "apiVersion: serving.knative.dev/v1
kind: Configuration
metadata: { name: a }
spec: { template: { spec: { containers: [{ image: app }] } } }";
    let objects = load("a.yaml", yaml, &Defaults::default()).unwrap();
    let Some(Object::Configuration(object)) = objects.first() else {
        panic!()
    };
    let template = Arc::new(object.template.clone());
    let known = revisions
        .iter()
        .zip(1..)
        .map(|((name, created, inactive), generation)| {
            let revision = RevisionState {
                generation,
                template: Arc::clone(&template),
                created: UnixTime(now.0 - created * HOUR),
                proven: true,
                routing: RoutingState::Reserve,
                routing_since: UnixTime(now.0 - inactive * HOUR),
            };
            ((*name).to_owned(), revision)
        });
    ConfigurationState {
        revisions: known.collect::<BTreeMap<_, _>>(),
        ..ConfigurationState::default()
    }
}

const NOW: UnixTime = UnixTime(1_000_000);

fn rules(min_non_active: usize, max_non_active: usize) -> Garbage {
    Garbage {
        min_non_active,
        max_non_active,
        ..Garbage::default()
    }
}

fn collect(state: &mut ConfigurationState, rules: &Garbage) {
    let held = BTreeSet::from([ObjectName::new("default", "held")]);
    let collector = Collector {
        rules,
        now: NOW,
        held: &held,
    };
    collector.collect_from(&ObjectName::new("default", "a"), state);
}

fn check(rules: &Garbage, revisions: &[(&str, u64, u64)], expected: &[&str]) {
    let mut state = configuration(revisions, NOW);
    collect(&mut state, rules);
    assert_eq!(state.revisions.keys().collect::<Vec<_>>(), expected);
}

#[test]
fn stale_revisions_go_until_the_minimum_is_left() {
    let old = [("a", 60, 50), ("b", 59, 40), ("c", 58, 30)];
    check(&rules(3, 10), &old, &["a", "b", "c"]);
    check(&rules(1, 10), &old, &["c"]);
    check(&rules(0, 10), &old, &[]);
}

#[test]
fn a_young_or_lately_active_revision_is_not_stale() {
    check(
        &rules(0, 10),
        &[("young", 47, 40), ("lately", 90, 14), ("stale", 48, 15)],
        &["lately", "young"],
    );
}

#[test]
fn above_the_maximum_the_longest_inactive_goes_first() {
    check(
        &rules(0, 2),
        &[("a", 9, 1), ("b", 8, 3), ("c", 7, 2), ("d", 6, 4)],
        &["a", "c"],
    );
}

#[test]
fn what_is_latest_active_held_or_marked_stays() {
    let mut state = configuration(
        &[
            ("a", 99, 99),
            ("b", 99, 99),
            ("c", 99, 99),
            ("d", 99, 99),
            ("held", 99, 99),
        ],
        NOW,
    );
    state.latest_ready = Some("a".to_owned());
    state.latest_created = Some("b".to_owned());
    state.revisions.get_mut("c").unwrap().routing = RoutingState::Active;
    let marked = &mut state.revisions.get_mut("d").unwrap().template;
    Arc::make_mut(marked)
        .metadata
        .annotations
        .insert(NO_GC.to_owned(), NO_GC_YES.to_owned());
    let rules = Garbage {
        retain_since_create: Duration::ZERO,
        ..rules(0, 0)
    };
    collect(&mut state, &rules);
    assert_eq!(state.revisions.len(), 5);
}
