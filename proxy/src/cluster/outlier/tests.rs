//! When endpoints are ejected, how many, for how long, and when they come back.

use std::net::SocketAddr;

use super::*;

fn detector(settings: OutlierSettings) -> Detector {
    let detector = Detector::new(settings, 1);
    assert!(detector.start());
    detector
}

fn endpoints(count: u16) -> Vec<Arc<Endpoint>> {
    let endpoint = |port| Arc::new(Endpoint::new(SocketAddr::from(([10, 0, 0, 1], port))));
    (1..=count).map(endpoint).collect()
}

/// Whether an endpoint with this history is to go, and why.
fn verdict(settings: OutlierSettings, outcomes: &[Outcome]) -> Option<Reason> {
    let (detector, endpoint) = (detector(settings), &endpoints(1)[0]);
    let notes = outcomes.iter().map(|outcome| detector.note(endpoint, *outcome));
    notes.last().flatten().map(|(reason, _)| reason)
}

#[test]
fn five_failures_in_a_row_are_too_many() {
    use Outcome::{GatewayError, LocalFailure, ServerError, Success};
    let check = |outcomes: &[Outcome], expected| {
        assert_eq!(
            verdict(OutlierSettings::default(), outcomes),
            expected,
            "{outcomes:?}"
        );
    };
    check(&[ServerError; 4], None);
    check(&[ServerError; 5], Some(Reason::Consecutive5xx));
    check(&[ServerError; 6], None);
    check(
        &[GatewayError, LocalFailure, ServerError, LocalFailure, ServerError],
        Some(Reason::Consecutive5xx),
    );
    check(
        &[
            ServerError,
            ServerError,
            ServerError,
            ServerError,
            Success,
            ServerError,
        ],
        None,
    );
}

#[test]
fn gateway_failures_are_told_from_other_errors() {
    use Outcome::{GatewayError, LocalFailure, ServerError};
    let settings = OutlierSettings {
        consecutive_5xx: None,
        consecutive_gateway_failure: Some(Consecutive {
            failures: 2,
            ..Consecutive::default()
        }),
        ..OutlierSettings::default()
    };
    assert_eq!(
        verdict(settings, &[GatewayError, LocalFailure]),
        Some(Reason::ConsecutiveGatewayFailure)
    );
    assert_eq!(
        verdict(settings, &[GatewayError, ServerError, GatewayError]),
        None
    );
}

#[test]
fn failures_to_get_a_response_may_count_apart() {
    use Outcome::{LocalFailure, ServerError, Success};
    let settings = OutlierSettings {
        local_origin_apart: true,
        ..OutlierSettings::default()
    };
    assert_eq!(
        verdict(settings, &[LocalFailure; 5]),
        Some(Reason::ConsecutiveLocalFailure)
    );
    let mixed = [
        LocalFailure,
        LocalFailure,
        ServerError,
        LocalFailure,
        LocalFailure,
        LocalFailure,
    ];
    assert_eq!(verdict(settings, &mixed), None);
    assert_eq!(verdict(settings, &[LocalFailure, LocalFailure, Success]), None);
}

#[test]
fn only_a_tenth_is_ejected_but_always_one() {
    let check = |count: u16, percent, expected: usize| {
        let (all, now) = (endpoints(count), Instant::now());
        let settings = OutlierSettings {
            ejected_percent_max: percent,
            ..OutlierSettings::default()
        };
        let detector = detector(settings);
        let ejected = all
            .iter()
            .filter(|endpoint| detector.eject(endpoint, &all, 100, now))
            .count();
        assert_eq!(ejected, expected, "{count} {percent}");
    };
    check(1, 10, 1);
    check(5, 10, 1);
    check(30, 10, 3);
    check(10, 100, 10);
    check(10, 0, 0);
}

#[test]
fn chance_may_spare_an_endpoint() {
    let (all, detector) = (endpoints(1), detector(OutlierSettings::default()));
    assert!(!detector.eject(&all[0], &all, 0, Instant::now()));
}

#[test]
fn each_ejection_in_a_row_lasts_longer_until_the_longest() {
    let (all, detector) = (endpoints(1), detector(OutlierSettings::default()));
    let mut now = Instant::now();
    for seconds in [30, 60, 90] {
        assert!(detector.eject(&all[0], &all, 100, now));
        now += Duration::from_secs(seconds - 1);
        assert_eq!(detector.sweep(&all, now), (vec![], false), "{seconds}");
        now += Duration::from_secs(1);
        assert_eq!(detector.sweep(&all, now), (vec![], true), "{seconds}");
        assert!(!all[0].is_ejected());
    }
    // Three good intervals later it is as if nothing had been.
    for _ in 0..3 {
        detector.sweep(&all, now);
    }
    detector.eject(&all[0], &all, 100, now);
    assert_eq!(
        detector.sweep(&all, now + Duration::from_secs(30)),
        (vec![], true)
    );
}

#[test]
fn who_comes_back_starts_over() {
    let (all, detector) = (endpoints(1), detector(OutlierSettings::default()));
    for _ in 0..5 {
        detector.note(&all[0], Outcome::ServerError);
    }
    detector.eject(&all[0], &all, 100, Instant::now());
    assert!(detector.forgive(&all[0], None));
    let again: Vec<_> = (0..5)
        .map(|_| detector.note(&all[0], Outcome::ServerError).is_some())
        .collect();
    assert_eq!(again, [false, false, false, false, true]);
}

#[test]
fn rates_are_of_one_interval() {
    let (all, detector) = (endpoints(5), detector(OutlierSettings::default()));
    let now = Instant::now();
    let answer = |endpoint: usize, outcome, count| {
        for _ in 0..count {
            detector.note(&all[endpoint], outcome);
        }
    };
    for endpoint in 0..4 {
        answer(endpoint, Outcome::Success, 100);
    }
    for _ in 0..50 {
        answer(4, Outcome::ServerError, 1);
        answer(4, Outcome::Success, 1);
    }
    assert_eq!(detector.sweep(&all, now), (vec![Reason::SuccessRate], true));
    assert!(all[4].is_ejected());
    assert_eq!(detector.sweep(&all, now), (vec![], false));
}

#[test]
fn nothing_is_kept_of_who_never_had_a_request() {
    let (all, detector) = (endpoints(2), detector(OutlierSettings::default()));
    detector.note(&all[0], Outcome::Success);
    assert_eq!(detector.sweep(&all, Instant::now()), (vec![], false));
    assert!(!detector.forgive(&all[1], None));
    let kept = all.iter().map(|endpoint| endpoint.state().recorded().is_some());
    assert_eq!(kept.collect::<Vec<_>>(), [true, false]);
}
