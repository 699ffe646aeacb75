//! Windows: sums, averages, gaps, weights, resizing (checks AS-01 to AS-04 and AS-21).

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const WINDOW: Duration = Duration::from_secs(5);

fn at(seconds: u64) -> Time {
    Time::from_secs(seconds)
}

fn linear(values: &[(u64, f64)]) -> Window {
    filled(Aggregation::Linear, values)
}

fn filled(aggregation: Aggregation, values: &[(u64, f64)]) -> Window {
    let mut window = Window::new(WINDOW, aggregation);
    for &(second, value) in values {
        window.record(at(second), value);
    }
    window
}

/// Records `(second, value)` pairs in a linear window of five seconds, then compares its average at `now`.
fn check(values: &[(u64, f64)], now: u64, expected: f64) {
    assert_eq!(linear(values).average(at(now)), expected, "{values:?} at {now}");
}

#[test]
fn as_01_values_of_one_second_are_summed() {
    check(&[(7, 1.0), (7, 2.5)], 7, 3.5);
    let mut window = Window::new(WINDOW, Aggregation::Linear);
    window.record(Time::after_origin(Duration::from_millis(7_001)), 1.0);
    window.record(Time::after_origin(Duration::from_millis(7_999)), 2.0);
    assert_eq!(window.average(at(7)), 3.0);
}

#[test]
fn as_01_a_partial_window_averages_over_the_seconds_seen() {
    check(&[(100, 10.0)], 100, 10.0);
    check(&[(100, 10.0), (101, 20.0)], 101, 15.0);
    check(&[(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0), (4, 5.0)], 4, 3.0);
}

#[test]
fn as_01_gaps_count_as_zeros_but_the_silence_after_the_last_value_does_not() {
    check(&[(10, 4.0), (13, 4.0)], 13, 2.0);
    check(&[(10, 4.0), (11, 4.0)], 13, 4.0);
    check(
        &[(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0), (4, 5.0), (8, 2.0)],
        8,
        7.0 / 5.0,
    );
}

#[test]
fn as_01_data_older_than_the_window_vanishes() {
    check(
        &[(10, 100.0), (11, 1.0), (12, 1.0), (13, 1.0), (14, 1.0), (15, 1.0)],
        15,
        1.0,
    );
    check(&[(10, 100.0), (12, 4.0)], 16, 4.0);
    check(&[(10, 100.0)], 15, 0.0);
    check(&[(10, 100.0), (15, 3.0)], 15, 3.0);
}

#[test]
fn as_01_late_values_are_added_while_their_second_is_in_the_window() {
    check(&[(10, 1.0), (14, 1.0), (12, 3.0)], 14, 1.0);
    check(&[(14, 1.0), (12, 2.0)], 14, 1.0);
    check(&[(14, 1.0), (9, 50.0)], 14, 1.0);
    check(&[(14, 1.0), (10, 4.0)], 14, 1.0);
}

#[test]
fn as_02_a_linear_average_is_rounded_to_six_decimals() {
    check(&[(1, 1.0), (2, 0.0), (3, 0.0)], 3, 0.333_333);
    check(&[(1, 1.0), (2, 1.0), (3, 0.0)], 3, 0.666_667);
    check(&[(1, 0.000_000_4)], 1, 0.0);
}

#[test]
fn as_03_smoothing_has_a_floor() {
    for (buckets, expected) in [(100, 0.2), (60, 0.2), (40, 0.205_67), (6, 0.784_56)] {
        let got = smoothing_coefficient(buckets);
        assert!((got - expected).abs() < 1e-5, "{buckets} buckets: {got}");
    }
}

#[test]
fn as_03_a_weighted_window_favours_the_newest_second() {
    let smoothing = smoothing_coefficient(5);
    let window = filled(Aggregation::WeightedExponential, &[(10, 2.0), (11, 6.0)]);
    let fresh = 6.0 * smoothing + 2.0 * smoothing * (1.0 - smoothing);
    assert!((window.average(at(11)) - fresh).abs() < 1e-12);
    assert!((window.average(at(13)) - fresh * (1.0 - smoothing).powi(2)).abs() < 1e-12);
    assert_eq!(window.average(at(16)), 0.0, "nothing of the window is left");
}

#[test]
fn as_04_a_longer_window_keeps_everything() {
    let mut window = linear(&[(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0), (4, 5.0), (5, 6.0)]);
    window.resize(at(5), Duration::from_secs(10));
    assert_eq!(window.average(at(5)), 20.0 / 5.0);
    window.record(at(6), 4.0);
    assert_eq!(window.average(at(6)), 24.0 / 6.0);
}

#[test]
fn as_04_a_shorter_window_keeps_the_newest() {
    let mut window = linear(&[(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0), (4, 5.0)]);
    window.resize(at(4), Duration::from_secs(2));
    assert_eq!(window.average(at(4)), 9.0 / 2.0);
    window.resize(at(4), Duration::from_secs(2));
    assert_eq!(
        window.average(at(4)),
        9.0 / 2.0,
        "an equal length changes nothing"
    );
}

#[test]
fn as_04_a_young_window_still_averages_over_the_seconds_seen() {
    let mut window = linear(&[(50, 8.0)]);
    window.resize(at(50), Duration::from_secs(60));
    assert_eq!(window.average(at(50)), 8.0);
}

#[test]
fn as_04_resizing_drops_what_had_left_the_window() {
    let mut window = linear(&[(50, 8.0)]);
    window.resize(at(56), Duration::from_secs(60));
    assert!(window.is_empty(at(56)));
    assert_eq!(window.average(at(56)), 0.0);
}

#[test]
fn as_04_buckets_may_be_wider_than_a_second() {
    let three = Duration::from_secs(3);
    let mut window = Window::with_buckets_of(three, Duration::from_secs(14), Aggregation::Linear);
    for second in 0..15 {
        window.record(at(second), 1.0);
    }
    assert_eq!(window.buckets.len(), 5);
    assert_eq!(window.average(at(14)), 3.0);
    window.resize(at(14), Duration::from_secs(6));
    assert_eq!(window.average(at(14)), 3.0);
    assert_eq!(window.buckets.len(), 2);
}

#[test]
fn a_window_is_empty_only_after_its_length_has_passed() {
    assert!(Window::new(WINDOW, Aggregation::Linear).is_empty(at(0)));
    let window = linear(&[(10, 0.0)]);
    assert!(!window.is_empty(at(10)));
    assert!(!window.is_empty(at(15)));
    assert!(window.is_empty(at(16)));
}

#[test]
fn what_no_replica_can_measure_is_ignored() {
    check(&[(1, f64::NAN), (1, f64::INFINITY), (1, -3.0), (1, 2.0)], 1, 2.0);
}

#[test]
fn as_21_the_panic_window_is_a_share_of_the_stable_window() {
    for (stable, percentage, expected) in [
        (60, 10.0, 6),
        (6, 10.0, 1),
        (15, 10.0, 2),
        (60, 100.0, 60),
        (6, 1.0, 1),
    ] {
        let got = panic_window(Duration::from_secs(stable), percentage);
        assert_eq!(got, Duration::from_secs(expected), "{percentage} % of {stable} s");
    }
}

proptest! {
    #[test]
    fn an_average_lies_between_zero_and_the_largest_second(
        values in prop::collection::vec((0_u64..30, 0.0..1000.0_f64), 0..80),
        length in 1_u64..12,
        resized in 1_u64..12,
        weighted in any::<bool>(),
    ) {
        let aggregation = if weighted { Aggregation::WeightedExponential } else { Aggregation::Linear };
        let mut window = Window::new(Duration::from_secs(length), aggregation);
        let mut sums = [0.0; 30];
        for &(second, value) in &values {
            window.record(at(second), value);
            sums[second as usize] += value;
        }
        window.resize(at(29), Duration::from_secs(resized));
        let largest = sums.iter().copied().fold(0.0, f64::max);
        for now in 0..45 {
            let average = window.average(at(now));
            prop_assert!((0.0..=largest + 1e-6).contains(&average), "{average} at {now}");
        }
    }
}
