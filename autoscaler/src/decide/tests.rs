//! Decisions: vectors, rates, panic, delay, activation scale (checks AS-07 to AS-16, AS-18, AS-19).

use proptest::prelude::*;

use super::*;

const STABLE_WINDOW: Duration = Duration::from_secs(60);

fn at(seconds: u64) -> Time {
    Time::from_secs(seconds)
}

/// Rates of ten, utilisation of 75 %, panic at 200 %.
fn spec(aimed: f64, burst: f64) -> DeciderSpec {
    DeciderSpec {
        target: Target {
            aimed,
            total: aimed / 0.75,
        },
        burst_capacity: burst.into(),
        max_scale_up_rate: 10.0,
        max_scale_down_rate: 10.0,
        panic_threshold: 2.0,
        stable_window: STABLE_WINDOW,
        scale_down_delay: Duration::ZERO,
        activation_scale: 0,
    }
}

fn load(ready_pods: u32, stable: f64, panic: f64) -> Observation {
    Observation {
        ready_pods,
        stable,
        panic,
        reachability: Reachability::Reachable,
    }
}

fn unreachable(seen: Observation) -> Observation {
    Observation {
        reachability: Reachability::Unreachable,
        ..seen
    }
}

fn calm(spec: DeciderSpec) -> Decider {
    Decider::new(spec, at(0), 0)
}

/// A decider that panics since second 0 and has held `pods` replicas in this panic.
fn panicking(spec: DeciderSpec, pods: u32) -> Decider {
    Decider {
        panic_since: Some(at(0)),
        panic_pods_max: pods,
        ..calm(spec)
    }
}

fn desired(decider: &mut Decider, second: u64, seen: Observation) -> u32 {
    decider.decide(at(second), &seen).desired.unwrap()
}

/// One evaluation at second 1: the desired count and the excess burst capacity.
fn check(mut decider: Decider, seen: Observation, expected: (u32, i32)) {
    let decision = decider.decide(at(1), &seen);
    assert_eq!(
        (decision.desired, decision.excess_burst_capacity),
        (Some(expected.0), expected.1),
        "{seen:?}"
    );
}

#[test]
fn as_07_vectors() {
    check(calm(spec(10.0, 100.0)), load(1, 0.0, 0.0), (0, -87));
    check(calm(spec(181.0, -1.0)), load(1, 21.0, 26.0), (1, -1));
    check(calm(spec(10.0, 0.0)), load(1, 50.0, 49.0), (5, 0));
    check(calm(spec(10.0, 100.0)), load(1, 50.0, 50.0), (5, -137));
    check(panicking(spec(1.0, 100.0), 5), load(5, 50.0, 30.0), (50, -124));
    check(panicking(spec(1.0, 100.0), 5), load(5, 20.0, 30.0), (30, -124));
    check(calm(spec(10.0, 84.0)), load(1, 50.0, 100.0), (10, -171));
}

#[test]
fn as_07_small_rates_still_move_by_one() {
    let slow_up = DeciderSpec {
        max_scale_up_rate: 1.1,
        ..spec(1.0, 0.0)
    };
    check(calm(slow_up), load(2, 3.0, 3.1), (3, 0));
    let slow_down = DeciderSpec {
        max_scale_down_rate: 1.1,
        ..spec(10.0, 0.0)
    };
    check(calm(slow_down.clone()), load(100, 1.0, 1.0), (90, 0));
    check(calm(slow_down), unreachable(load(100, 1.0, 1.0)), (1, 0));
}

#[test]
fn as_08_excess_capacity_counts_replicas_that_are_really_ready() {
    let spec = DeciderSpec {
        target: Target {
            aimed: 7.0,
            total: 10.0,
        },
        ..spec(7.0, 71.0)
    };
    check(calm(spec.clone()), load(0, 5.0, 3.5), (1, -75));
    check(calm(spec.clone()), load(10, 70.0, 20.5), (10, 8));
    check(calm(spec), load(1, 1.0, 1.0), (1, -62));
}

#[test]
fn as_09_panic_begins_at_twice_the_ready_replicas() {
    let mut decider = calm(spec(1.0, 0.0));
    assert!(!decider.decide(at(1), &load(10, 10.0, 19.0)).is_panicking);
    assert!(decider.decide(at(2), &load(10, 10.0, 19.1)).is_panicking);
}

#[test]
fn as_09_panic_holds_the_most_it_saw_and_ends_a_stable_window_after_its_last_reason() {
    let mut decider = calm(spec(1.0, 0.0));
    assert_eq!(desired(&mut decider, 0, load(2, 1.0, 8.0)), 8);
    assert_eq!(
        desired(&mut decider, 2, load(2, 1.0, 4.0)),
        8,
        "renewed at second 2"
    );
    assert_eq!(
        desired(&mut decider, 62, load(8, 3.0, 1.0)),
        8,
        "a whole stable window"
    );
    assert_eq!(desired(&mut decider, 63, load(8, 3.0, 1.0)), 3);
}

#[test]
fn as_10_a_burst_is_kept_for_the_stable_window_and_then_shrinks_at_its_rate() {
    let mut decider = calm(DeciderSpec {
        max_scale_down_rate: 2.0,
        ..spec(1.0, 0.0)
    });
    assert_eq!(desired(&mut decider, 0, load(10, 20.0, 100.0)), 100);
    assert_eq!(desired(&mut decider, 30, load(100, 1.0, 1.0)), 100);
    assert_eq!(desired(&mut decider, 61, load(100, 1.0, 1.0)), 50);
    assert_eq!(desired(&mut decider, 63, load(50, 1.0, 1.0)), 25);
}

#[test]
fn as_11_growth_is_limited_per_evaluation() {
    let mut decider = calm(spec(1.0, 0.0));
    let mut ready = 0;
    for (second, expected) in [(0, 10), (2, 100), (4, 1000), (6, 1000)] {
        ready = desired(&mut decider, second, load(ready, 1000.0, 1000.0));
        assert_eq!(ready, expected, "at second {second}");
    }
}

#[test]
fn as_11_shrinking_is_limited_per_evaluation() {
    let mut decider = calm(spec(1.0, 0.0));
    let mut ready = 1000;
    for (second, expected) in [(0, 100), (2, 10), (4, 1), (6, 0)] {
        ready = desired(&mut decider, second, load(ready, 0.0, 0.0));
        assert_eq!(ready, expected, "at second {second}");
    }
}

/// AS-12, for a count of zero; a count that cannot be had is no evaluation at all, which is the shell's part.
#[test]
fn as_12_no_replica_counts_as_one_for_the_rates() {
    check(calm(spec(10.0, 0.0)), load(0, 1000.0, 1000.0), (10, 0));
    assert!(
        calm(spec(10.0, 0.0))
            .decide(at(1), &load(0, 0.0, 20.0))
            .is_panicking
    );
}

#[test]
fn as_13_a_decider_that_finds_several_replicas_begins_in_panic() {
    for (ready, expected) in [(0, (false, 1)), (1, (false, 1)), (2, (true, 2)), (12, (true, 12))] {
        let decision = Decider::new(spec(10.0, 0.0), at(0), ready).decide(at(1), &load(ready, 1.0, 1.0));
        assert_eq!(
            (decision.is_panicking, decision.desired),
            (expected.0, Some(expected.1)),
            "{ready} ready"
        );
    }
}

#[test]
fn as_14_a_changed_target_holds_from_the_next_evaluation() {
    let mut decider = calm(spec(10.0, 0.0));
    assert_eq!(desired(&mut decider, 0, load(10, 100.0, 100.0)), 10);
    decider.update(spec(5.0, 0.0));
    assert_eq!(desired(&mut decider, 2, load(10, 100.0, 100.0)), 20);
}

#[test]
fn as_15_the_delay_keeps_the_largest_decision() {
    let five_minutes = Duration::from_secs(300);
    let mut decider = calm(DeciderSpec {
        scale_down_delay: five_minutes,
        ..spec(10.0, 0.0)
    });
    assert_eq!(desired(&mut decider, 0, load(4, 40.0, 40.0)), 4);
    for second in (2..300).step_by(2) {
        assert_eq!(
            desired(&mut decider, second, load(4, 0.0, 0.0)),
            4,
            "at second {second}"
        );
    }
    assert_eq!(desired(&mut decider, 302, load(4, 0.0, 0.0)), 0);
}

#[test]
fn as_15_no_delay_without_a_route_or_a_period() {
    let delayed = DeciderSpec {
        scale_down_delay: Duration::from_secs(300),
        ..spec(10.0, 0.0)
    };
    for (spec, reachability) in [
        (delayed, Reachability::Unreachable),
        (spec(10.0, 0.0), Reachability::Reachable),
    ] {
        let mut decider = calm(spec);
        assert_eq!(
            desired(
                &mut decider,
                0,
                Observation {
                    reachability,
                    ..load(4, 40.0, 40.0)
                }
            ),
            4
        );
        assert_eq!(
            desired(
                &mut decider,
                2,
                Observation {
                    reachability,
                    ..load(4, 0.0, 0.0)
                }
            ),
            0
        );
    }
}

#[test]
fn as_16_any_load_calls_for_the_activation_scale() {
    let spec = DeciderSpec {
        activation_scale: 20,
        ..spec(10.0, 0.0)
    };
    check(calm(spec.clone()), load(0, 1.0, 1.0), (20, 0));
    check(calm(spec.clone()), load(0, 0.0, 0.0), (0, 0));
    check(calm(spec), load(10, 500.0, 500.0), (50, 0));
}

#[test]
fn as_18_before_any_data_the_excess_capacity_is_that_of_the_initial_scale() {
    for (burst, initial_scale, expected) in [(42.0, 2, 158), (42.0, 0, -42), (-1.0, 5, -1), (0.0, 5, 0)] {
        let decision = Decision::initial(&spec(75.0, burst), initial_scale);
        assert_eq!(
            (decision.desired, decision.excess_burst_capacity),
            (None, expected),
            "burst {burst}"
        );
    }
}

#[test]
fn as_19_news_is_another_count_or_another_sign() {
    let decision = |desired, excess_burst_capacity| Decision {
        desired,
        excess_burst_capacity,
        is_panicking: false,
    };
    for (earlier, later, expected) in [
        (decision(Some(1), 0), decision(Some(1), 7), false),
        (decision(Some(1), -1), decision(Some(1), 0), true),
        (decision(Some(1), -9), decision(Some(1), -1), false),
        (decision(Some(1), 5), decision(Some(2), 5), true),
        (decision(None, 5), decision(Some(0), 5), true),
    ] {
        assert_eq!(
            later.is_news_after(&earlier),
            expected,
            "{earlier:?} then {later:?}"
        );
    }
}

prop_compose! {
    fn any_load()(ready in 0_u32..40, stable in 0.0..200.0_f64, panic in 0.0..200.0_f64) -> Observation {
        load(ready, stable, panic)
    }
}

proptest! {
    #[test]
    fn a_panic_never_shrinks(loads in prop::collection::vec(any_load(), 1..80)) {
        let mut decider = calm(spec(3.0, 10.0));
        let mut before: Option<Decision> = None;
        for (tick, seen) in (0..).zip(&loads) {
            let decision = decider.decide(at(tick * 2), seen);
            if let Some(before) = before.filter(|before| before.is_panicking && decision.is_panicking) {
                prop_assert!(decision.desired >= before.desired);
            }
            before = Some(decision);
        }
    }

    #[test]
    fn a_calm_decision_stays_within_the_rates(seen in any_load()) {
        let mut decider = calm(spec(3.0, 10.0));
        let decision = decider.decide(at(0), &seen);
        let pods = seen.ready_pods.max(1);
        let desired = decision.desired.unwrap();
        prop_assert!((pods / 10..=pods * 10).contains(&desired), "{} from {}", desired, pods);
    }

    #[test]
    fn a_delay_never_lowers_a_decision(loads in prop::collection::vec(any_load(), 1..60)) {
        let mut plain = calm(spec(3.0, 10.0));
        let mut delayed = calm(DeciderSpec { scale_down_delay: Duration::from_secs(10), ..spec(3.0, 10.0) });
        for (tick, seen) in (0..).zip(&loads) {
            let now = at(tick * 2);
            prop_assert!(delayed.decide(now, seen).desired >= plain.decide(now, seen).desired);
        }
    }
}
