//! One revision as a shell drives it: no data, pokes, windows, the way to zero and back (AS-06, AS-17).

use proptest::prelude::*;

use super::*;
use crate::InactiveReason;

const DEADLINE: Duration = Duration::from_secs(600);

fn at(seconds: u64) -> Time {
    Time::from_secs(seconds)
}

/// From zero, one request at a time and replica, a stable window of six seconds.
fn spec(pairs: &[(&str, &str)]) -> RevisionSpec {
    let mut all = vec![
        ("allow-zero-initial-scale", "true"),
        ("initial-scale", "0"),
        ("stable-window", "6s"),
        ("container-concurrency-target-percentage", "100"),
    ];
    all.extend_from_slice(pairs);
    let config = AutoscalerConfig::from_pairs(all).unwrap();
    RevisionSpec::new(&config, &ScaleAnnotations::default(), 1, DEADLINE)
}

fn load(concurrency: f64) -> Load {
    Load {
        concurrency,
        requests_per_second: concurrency,
    }
}

/// Runs a shell for the seconds in `span`: reports `concurrency` each second, ticks when due, and makes all
/// replicas ready at once. Returns the replicas at the end.
fn run(revision: &mut Revision, span: std::ops::Range<u64>, concurrency: f64, mut replicas: u32) -> u32 {
    for second in span {
        revision.record(at(second), load(concurrency));
        if revision.next_wakeup() <= at(second) {
            replicas = revision.tick(at(second), replicas).replicas;
        }
    }
    replicas
}

#[test]
fn as_06_without_data_nothing_is_scaled() {
    let mut revision = Revision::new(spec(&[("initial-scale", "3")]), at(0));
    for second in [0, 2, 4] {
        let tick = revision.tick(at(second), 3);
        assert_eq!(
            (tick.replicas, tick.decision.desired, tick.is_news),
            (3, None, false)
        );
    }
    revision.record(at(5), load(0.0));
    assert_eq!(
        revision.tick(at(6), 3).decision.desired,
        Some(1),
        "three replicas, halved"
    );
    let silent = revision.tick(at(20), 3);
    assert_eq!(
        (silent.replicas, silent.decision.desired),
        (1, Some(1)),
        "the data has gone: as before"
    );
}

#[test]
fn as_06_with_an_unlimited_burst_capacity_silence_is_no_load() {
    let mut revision = Revision::new(spec(&[("target-burst-capacity", "-1")]), at(0));
    assert_eq!(revision.tick(at(0), 0).decision.desired, Some(0));
}

#[test]
fn as_17_a_revision_is_decided_on_every_two_seconds() {
    let mut revision = Revision::new(spec(&[]), at(10));
    assert_eq!(revision.next_wakeup(), at(10));
    revision.tick(at(10), 0);
    assert_eq!(revision.next_wakeup(), at(12));
}

#[test]
fn as_17_load_at_zero_is_decided_on_at_once_and_other_load_at_the_next_tick() {
    let mut revision = Revision::new(spec(&[]), at(0));
    revision.tick(at(0), 0);
    revision.record(at(1), load(0.0));
    assert_eq!(revision.next_wakeup(), at(2));
    revision.record(at(1), load(1.0));
    assert_eq!(revision.next_wakeup(), at(1));
    assert_eq!(revision.tick(at(1), 0).replicas, 1);
    revision.record(at(2), load(9.0));
    assert_eq!(revision.next_wakeup(), at(3));
}

#[test]
fn as_17_news_is_told_once() {
    let mut revision = Revision::new(spec(&[]), at(0));
    revision.record(at(0), load(1.0));
    assert!(revision.tick(at(0), 0).is_news);
    revision.record(at(2), load(1.0));
    assert!(!revision.tick(at(2), 0).is_news);
}

#[test]
fn from_zero_up_and_back_to_zero() {
    let mut revision = Revision::new(spec(&[]), at(0));
    assert_eq!(run(&mut revision, 0..40, 0.0, 0), 0);
    assert_eq!(run(&mut revision, 40..41, 1.0, 0), 1);
    assert_eq!(
        run(&mut revision, 41..47, 0.0, 1),
        1,
        "the request is still in the window"
    );
    assert_eq!(run(&mut revision, 47..56, 0.0, 1), 0);
    let no_traffic = |activity| {
        matches!(
            activity,
            Activity::Inactive {
                reason: InactiveReason::NoTraffic,
                ..
            }
        )
    };
    assert!(no_traffic(revision.tick(at(56), 0).activity));
}

#[test]
fn a_steady_trickle_keeps_the_last_replica() {
    let mut revision = Revision::new(spec(&[]), at(0));
    let mut replicas = run(&mut revision, 0..1, 1.0, 0);
    for start in (1..200).step_by(5) {
        replicas = run(&mut revision, start..start + 4, 0.0, replicas);
        replicas = run(&mut revision, start + 4..start + 5, 0.01, replicas);
        assert_eq!(replicas, 1, "at second {start}");
    }
}

#[test]
fn a_burst_grows_to_the_maximum_within_a_tick() {
    let mut revision = Revision::new(spec(&[("max-scale", "4")]), at(0));
    assert_eq!(run(&mut revision, 0..3, 200.0, 0), 4);
}

#[test]
fn a_new_revision_that_must_prove_itself_stays_until_it_was_ready_for_a_window() {
    let mut revision = Revision::new(spec(&[("initial-scale", "1")]), at(0));
    for second in 0..30 {
        revision.record(at(second), load(0.0));
        assert_eq!(revision.tick(at(second), 0).replicas, 1);
    }
    assert!(!revision.is_proven());
    assert_eq!(run(&mut revision, 30..36, 0.0, 1), 1);
    assert!(revision.is_proven());
    assert_eq!(run(&mut revision, 36..44, 0.0, 1), 0);
}

#[test]
fn a_minimum_holds_only_while_a_route_leads_here() {
    let mut revision = Revision::new(spec(&[("min-scale", "2")]), at(0));
    assert_eq!(run(&mut revision, 0..40, 0.0, 0), 2);
    revision.set_reachability(Reachability::Unreachable);
    assert_eq!(run(&mut revision, 40..60, 0.0, 2), 0);
}

#[test]
fn requests_per_second_may_be_the_measure() {
    let config = AutoscalerConfig::default();
    let mut annotations = ScaleAnnotations::default();
    annotations.metric = Some(Metric::Rps);
    annotations.target = Some(10.0);
    let mut revision = Revision::new(RevisionSpec::new(&config, &annotations, 0, DEADLINE), at(0));
    revision.record(
        at(0),
        Load {
            concurrency: 0.1,
            requests_per_second: 35.0,
        },
    );
    assert_eq!(revision.tick(at(0), 1).decision.desired, Some(5));
}

#[test]
fn a_changed_configuration_holds_from_the_next_tick() {
    let mut revision = Revision::new(spec(&[]), at(0));
    let ready = run(&mut revision, 0..5, 4.0, 0);
    assert_eq!(ready, 4);
    let halved = [
        ("container-concurrency-target-percentage", "50"),
        ("stable-window", "20s"),
    ];
    revision.update(at(5), spec(&halved));
    assert_eq!(run(&mut revision, 5..9, 4.0, ready), 8);
}

proptest! {
    #[test]
    fn replicas_stay_within_the_bounds_whatever_is_reported(
        loads in prop::collection::vec(prop_oneof![Just(0.0), 0.0..500.0_f64, Just(f64::NAN)], 1..120),
        min_scale in 0_u32..3,
    ) {
        let min = min_scale.to_string();
        let mut revision = Revision::new(spec(&[("min-scale", &min), ("max-scale", "5")]), at(0));
        let mut replicas = 0;
        for (second, concurrency) in (0..).zip(loads) {
            revision.record(at(second), load(concurrency));
            replicas = revision.tick(at(second), replicas).replicas;
            prop_assert!((min_scale..=5).contains(&replicas), "{} at {}", replicas, second);
        }
    }
}
