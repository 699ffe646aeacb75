//! Bounds, the gate before zero and the active condition (checks AS-43 to AS-45, contract tables 3.8 and 3.9).

use proptest::prelude::*;

use super::*;

const GRACE: Duration = Duration::from_secs(30);
const STABLE_WINDOW: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(600);

fn at(seconds: u64) -> Time {
    Time::from_secs(seconds)
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

fn spec() -> ScalerSpec {
    ScalerSpec {
        min_scale: 0,
        max_scale: 0,
        initial_scale: 1,
        scale_to_zero: ScaleToZero::After {
            grace: GRACE,
            retention: Duration::ZERO,
        },
        stable_window: STABLE_WINDOW,
        progress_deadline: DEADLINE,
    }
}

fn retained(retention: u64) -> ScalerSpec {
    let retention = Duration::from_secs(retention);
    ScalerSpec {
        scale_to_zero: ScaleToZero::After {
            grace: GRACE,
            retention,
        },
        ..spec()
    }
}

fn facts(desired: impl Into<Option<u32>>, ready_pods: u32) -> ScaleFacts {
    ScaleFacts {
        desired: desired.into(),
        ready_pods,
        reachability: Reachability::Reachable,
        path: ActivatorPath::Confirmed { since: at(1000) },
    }
}

fn unreachable(facts: ScaleFacts) -> ScaleFacts {
    ScaleFacts {
        reachability: Reachability::Unreachable,
        ..facts
    }
}

/// A proven scaler with `replicas`, of this activity.
fn scaler(spec: ScalerSpec, replicas: u32, activity: Activity) -> Scaler {
    Scaler {
        spec,
        replicas,
        activity,
        is_proven: true,
    }
}

fn active(spec: ScalerSpec, replicas: u32) -> Scaler {
    scaler(spec, replicas, Activity::Active { since: at(1000) })
}

fn inactive(spec: ScalerSpec) -> Scaler {
    scaler(
        spec,
        1,
        Activity::Inactive {
            since: at(1000),
            reason: InactiveReason::NoTraffic,
        },
    )
}

fn activating(spec: ScalerSpec) -> Scaler {
    scaler(spec, 1, Activity::Activating { since: at(1000) })
}

/// Reconciles once at `second` and compares wish, replicas and recheck.
fn check(
    mut scaler: Scaler,
    second: u64,
    facts: ScaleFacts,
    expected: (Option<u32>, u32, Option<Duration>),
) -> Scaler {
    let scaled = scaler.reconcile(at(second), &facts);
    assert_eq!(
        (scaled.want, scaled.replicas, scaled.recheck_after),
        expected,
        "{scaler:?} {facts:?}"
    );
    scaler
}

#[test]
fn as_43_an_active_revision_keeps_one_replica_until_the_stable_window_is_over() {
    check(active(spec(), 1), 1059, facts(0, 1), (Some(1), 1, seconds(1)));
    check(active(spec(), 10), 1001, facts(0, 10), (Some(1), 1, seconds(59)));
}

#[test]
fn as_43_an_idle_revision_is_inactive_first_and_loses_its_replica_later() {
    let scaler = check(
        active(spec(), 1),
        1060,
        facts(0, 1),
        (Some(0), 1, Some(PROXIED_RECHECK)),
    );
    let inactive = Activity::Inactive {
        since: at(1060),
        reason: InactiveReason::NoTraffic,
    };
    assert_eq!(scaler.activity(), inactive);
    let scaler = check(scaler, 1062, facts(0, 1), (Some(0), 0, None));
    assert_eq!(scaler.activity(), inactive);
}

#[test]
fn as_43_without_a_confirmed_activator_the_last_replica_stays() {
    let unconfirmed = ScaleFacts {
        path: ActivatorPath::Unconfirmed,
        ..facts(0, 1)
    };
    check(active(spec(), 1), 1060, unconfirmed, (Some(0), 1, None));
    check(inactive(spec()), 9000, unconfirmed, (Some(0), 1, None));
}

#[test]
fn as_43_the_last_replica_goes_after_grace() {
    let late_path = ScaleFacts {
        path: ActivatorPath::Confirmed { since: at(1010) },
        ..facts(0, 1)
    };
    check(inactive(spec()), 1030, late_path, (Some(0), 0, None));
    check(inactive(spec()), 1029, late_path, (Some(0), 1, seconds(11)));
    let early_path = ScaleFacts {
        path: ActivatorPath::Confirmed { since: at(900) },
        ..facts(0, 1)
    };
    check(inactive(spec()), 1001, early_path, (Some(0), 0, None));
}

#[test]
fn as_43_the_last_replica_goes_after_retention() {
    let early_path = ScaleFacts {
        path: ActivatorPath::Confirmed { since: at(900) },
        ..facts(0, 1)
    };
    check(inactive(retained(20)), 1019, early_path, (Some(0), 1, seconds(1)));
    check(inactive(retained(20)), 1020, early_path, (Some(0), 0, None));
    check(inactive(retained(90)), 1089, early_path, (Some(0), 1, seconds(1)));
    check(inactive(retained(90)), 1090, early_path, (Some(0), 0, None));
    check(
        inactive(retained(20)),
        1025,
        facts(0, 1),
        (Some(0), 1, seconds(5)),
    );
    check(
        inactive(retained(90)),
        1030,
        unreachable(facts(0, 1)),
        (Some(0), 0, None),
    );
}

#[test]
fn as_43_an_activation_is_given_up_after_the_deadline_and_its_slack() {
    let scaler = check(activating(spec()), 1629, facts(0, 0), (None, 1, seconds(1)));
    let scaler = check(scaler, 1630, facts(0, 0), (Some(0), 0, None));
    let timed_out = Activity::Inactive {
        since: at(1630),
        reason: InactiveReason::TimedOut,
    };
    assert_eq!(scaler.activity(), timed_out);
    let hasty = ScalerSpec {
        progress_deadline: Duration::from_secs(10),
        ..spec()
    };
    check(activating(hasty), 1040, facts(0, 0), (Some(0), 0, None));
}

#[test]
fn as_44_bounds_hold_for_reachable_revisions() {
    let spec = ScalerSpec {
        min_scale: 2,
        max_scale: 8,
        ..spec()
    };
    check(active(spec.clone(), 5), 1001, facts(1, 5), (Some(2), 2, None));
    check(active(spec.clone(), 5), 1001, facts(0, 5), (Some(2), 2, None));
    check(active(spec.clone(), 5), 1001, facts(9, 5), (Some(8), 8, None));
    check(
        active(spec.clone(), 5),
        1001,
        unreachable(facts(1, 5)),
        (Some(1), 1, None),
    );
    check(
        active(spec, 5),
        1001,
        unreachable(facts(9, 5)),
        (Some(8), 8, None),
    );
}

#[test]
fn as_44_without_data_nothing_moves_except_a_first_scale() {
    check(active(spec(), 5), 1001, facts(None, 5), (None, 5, None));
    check(inactive(spec()), 1001, facts(None, 0), (None, 1, None));
    let two = ScalerSpec {
        initial_scale: 2,
        ..spec()
    };
    check(
        Scaler::new(two, at(1000)),
        1001,
        facts(None, 0),
        (Some(2), 2, None),
    );
    check(
        Scaler::new(spec(), at(1000)),
        1001,
        facts(None, 0),
        (None, 1, seconds(629)),
    );
}

#[test]
fn as_44_an_initial_scale_of_zero_stays_zero() {
    let zero = ScalerSpec {
        initial_scale: 0,
        ..spec()
    };
    let scaler = check(
        Scaler::new(zero, at(1000)),
        1000,
        facts(None, 0),
        (None, 0, seconds(630)),
    );
    assert!(scaler.is_proven(), "nothing had to be reached");
    let no_traffic = Activity::Inactive {
        since: at(1000),
        reason: InactiveReason::NoTraffic,
    };
    assert_eq!(scaler.activity(), no_traffic);
    check(scaler, 1002, facts(None, 0), (None, 0, None));
}

#[test]
fn as_45_scaling_to_zero_can_be_off() {
    let never = ScalerSpec {
        scale_to_zero: ScaleToZero::Never,
        ..spec()
    };
    check(active(never.clone(), 1), 2000, facts(0, 1), (Some(1), 1, None));
    check(active(never.clone(), 7), 2000, facts(None, 7), (None, 7, None));
    check(
        active(
            ScalerSpec {
                min_scale: 2,
                ..never
            },
            2,
        ),
        2000,
        facts(0, 2),
        (Some(2), 2, None),
    );
}

#[test]
fn the_initial_scale_is_a_minimum_until_it_was_reached_once() {
    let three = ScalerSpec {
        initial_scale: 3,
        ..spec()
    };
    let scaler = check(
        Scaler::new(three, at(1000)),
        1002,
        facts(1, 0),
        (Some(3), 3, None),
    );
    assert_eq!(scaler.activity(), Activity::Activating { since: at(1000) });
    let scaler = check(scaler, 1004, facts(1, 2), (Some(3), 3, None));
    assert!(!scaler.is_proven());
    let scaler = check(scaler, 1006, facts(1, 3), (Some(3), 3, None));
    assert_eq!(scaler.activity(), Activity::Active { since: at(1006) });
    check(scaler, 1008, facts(1, 3), (Some(1), 1, None));
}

#[test]
fn an_initial_scale_beyond_the_maximum_is_the_maximum() {
    let spec = ScalerSpec {
        initial_scale: 5,
        max_scale: 2,
        ..spec()
    };
    let scaler = check(
        Scaler::new(spec, at(1000)),
        1000,
        facts(None, 2),
        (Some(2), 2, None),
    );
    assert!(scaler.is_proven());
}

#[test]
fn a_request_at_zero_activates_and_a_ready_replica_makes_active() {
    let mut scaler = inactive(spec());
    for (second, facts, expected) in [
        (1100, facts(1, 0), Activity::Activating { since: at(1100) }),
        (1102, facts(1, 0), Activity::Activating { since: at(1100) }),
        (1104, facts(1, 1), Activity::Active { since: at(1104) }),
        (1106, facts(2, 1), Activity::Active { since: at(1104) }),
        (1108, facts(1, 0), Activity::Activating { since: at(1108) }),
    ] {
        scaler.reconcile(at(second), &facts);
        assert_eq!(scaler.activity(), expected, "at second {second}");
    }
}

prop_compose! {
    fn any_facts()(
        desired in prop::option::of(0_u32..12),
        ready_pods in 0_u32..12,
        is_reachable in any::<bool>(),
        is_confirmed in any::<bool>(),
    ) -> ScaleFacts {
        ScaleFacts {
            desired,
            ready_pods,
            reachability: if is_reachable { Reachability::Reachable } else { Reachability::Unreachable },
            path: if is_confirmed { ActivatorPath::Confirmed { since: at(0) } } else { ActivatorPath::Unconfirmed },
        }
    }
}

proptest! {
    #[test]
    fn replicas_stay_within_the_bounds(
        steps in prop::collection::vec((any_facts(), 0_u64..100), 1..60),
        (min_scale, max_scale, initial_scale) in (0_u32..4, 4_u32..8, 0_u32..12),
    ) {
        let spec = ScalerSpec { min_scale, max_scale, initial_scale, ..spec() };
        let (mut scaler, mut now) = (Scaler::new(spec, at(0)), 0);
        for (facts, step) in steps {
            now += step;
            let scaled = scaler.reconcile(at(now), &facts);
            prop_assert!(scaled.replicas <= max_scale);
            if facts.reachability == Reachability::Reachable && facts.desired.is_some() {
                prop_assert!(scaled.replicas >= min_scale);
            }
        }
    }

    #[test]
    fn the_last_replica_goes_only_from_an_inactive_revision_or_a_failed_activation(
        steps in prop::collection::vec((any_facts(), 0_u64..100), 1..60),
    ) {
        let (mut scaler, mut now) = (Scaler::new(spec(), at(0)), 0);
        for (facts, step) in steps {
            now += step;
            let (before, replicas) = (scaler.activity(), scaler.replicas);
            if scaler.reconcile(at(now), &facts).replicas == 0 && replicas > 0 {
                match before {
                    Activity::Active { .. } => prop_assert!(false, "an active revision went to zero"),
                    Activity::Inactive { .. } => prop_assert!(facts.path != ActivatorPath::Unconfirmed),
                    Activity::Activating { since } => prop_assert!(at(now).since(since) >= DEADLINE),
                }
            }
        }
    }
}
