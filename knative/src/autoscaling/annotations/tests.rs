//! The rules of Knative's webhook for autoscaling annotations, one table row each.

use super::*;

const PREFIX: &str = "autoscaling.knative.dev/";

fn parse(
    pairs: &[(&str, &str)],
    config: &AutoscalerConfig,
) -> Result<ScaleAnnotations, Vec<AnnotationError>> {
    let annotations = pairs
        .iter()
        .map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned()))
        .collect();
    ScaleAnnotations::parse(&annotations, config)
}

fn parsed(pairs: &[(&str, &str)]) -> ScaleAnnotations {
    parse(pairs, &AutoscalerConfig::default()).unwrap()
}

fn check_error(pairs: &[(&str, &str)], expected: &str) {
    let errors = parse(pairs, &AutoscalerConfig::default()).expect_err(expected);
    let text: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(text, [format!("{PREFIX}{expected}")], "{pairs:?}");
}

#[test]
fn nothing_said_is_nothing_set() {
    assert_eq!(parsed(&[]), ScaleAnnotations::default());
}

#[test]
fn values_are_read() {
    let scale = parsed(&[
        ("class", "kpa.autoscaling.knative.dev"),
        ("metric", "rps"),
        ("target", "0.5"),
        ("target-burst-capacity", "-1"),
        ("min-scale", "1"),
        ("max-scale", "5"),
        ("activation-scale", "2"),
        ("window", "1m"),
        ("metric-aggregation-algorithm", "weightedExponential"),
    ]);
    assert_eq!(scale.class, Some(Class::Kpa));
    assert_eq!(scale.metric, Some(Metric::Rps));
    assert_eq!(scale.target, Some(0.5));
    assert_eq!(scale.target_burst_capacity, Some(BURST_CAPACITY_UNLIMITED));
    assert_eq!(
        (scale.min_scale, scale.max_scale, scale.activation_scale),
        (Some(1), Some(5), Some(2))
    );
    assert_eq!(scale.window, Some(Duration::from_secs(60)));
    assert_eq!(scale.aggregation, Some(Aggregation::WeightedExponential));
}

#[test]
fn camel_case_works_and_the_dashed_spelling_wins() {
    assert_eq!(parsed(&[("minScale", "2")]).min_scale, Some(2));
    assert_eq!(
        parsed(&[("minScale", "2"), ("min-scale", "3")]).min_scale,
        Some(3)
    );
    check_error(
        &[("maxScale", "x")],
        "maxScale: invalid value: x: expected a whole number",
    );
}

#[test]
fn another_class_keeps_its_words() {
    let scale = parsed(&[
        ("class", "cats.example.com"),
        ("metric", "meows"),
        ("metricAggregationAlgorithm", "x"),
    ]);
    assert_eq!(scale.metric, Some(Metric::Other("meows".to_owned())));
    assert_eq!(
        parsed(&[("class", "hpa.autoscaling.knative.dev"), ("metric", "cpu")]).class,
        Some(Class::Hpa)
    );
}

#[test]
fn single_annotations_out_of_bounds() {
    for (key, value, expected) in [
        ("metric", "cpu", "invalid value: cpu: expected concurrency or rps"),
        ("target", "0.001", "target 0.001 should be at least 0.01"),
        ("target", "many", "invalid value: many: expected a number"),
        ("target", "NaN", "invalid value: NaN: expected a number"),
        ("target-utilization-percentage", "101", "expected 1 <= 101 <= 100"),
        (
            "target-burst-capacity",
            "-2",
            "invalid value: -2: expected a number of at least 0, or -1 for unlimited",
        ),
        ("min-scale", "-1", "expected 0 <= -1 <= 2147483647"),
        ("min-scale", "1.5", "invalid value: 1.5: expected a whole number"),
        (
            "initial-scale",
            "0",
            "initial-scale=0 not allowed by cluster: set allow-zero-initial-scale to true",
        ),
        (
            "activation-scale",
            "1",
            "activation-scale=1 must be greater than 1",
        ),
        ("scale-down-delay", "61m", "expected 0s <= 61m <= 1h0m0s"),
        (
            "scale-down-delay",
            "1500ms",
            "must be specified with at most second precision",
        ),
        (
            "scale-to-zero-pod-retention-period",
            "-1s",
            "invalid value: -1s: must not be negative",
        ),
        ("window", "5s", "expected 6s <= 5s <= 1h0m0s"),
        (
            "window",
            "6500ms",
            "must be specified with at most second precision",
        ),
        ("panic-window-percentage", "0.9", "expected 1 <= 0.9 <= 100"),
        ("panic-threshold-percentage", "109", "expected 110 <= 109 <= 1000"),
    ] {
        check_error(&[(key, value)], &format!("{key}: {expected}"));
    }
}

#[test]
fn annotations_that_contradict_each_other() {
    check_error(
        &[("min-scale", "3"), ("max-scale", "2")],
        "max-scale: max-scale=2 is less than min-scale=3",
    );
    check_error(
        &[("activation-scale", "3"), ("min-scale", "4")],
        "activation-scale: min-scale=4 is greater than activation-scale=3",
    );
    check_error(
        &[("activation-scale", "3"), ("max-scale", "2")],
        "activation-scale: max-scale=2 is less than activation-scale=3",
    );
    check_error(
        &[
            ("class", "kpa.autoscaling.knative.dev"),
            ("metric-aggregation-algorithm", "x"),
        ],
        "metric-aggregation-algorithm: invalid value: x: expected linear or weighted-exponential",
    );
    check_error(
        &[("class", "x.knative.dev")],
        "class: invalid value: x.knative.dev: expected kpa.autoscaling.knative.dev, hpa.autoscaling.knative.dev \
         or a class of another domain",
    );
}

#[test]
fn the_configuration_bounds_what_a_revision_may_ask_for() {
    let mut config = AutoscalerConfig {
        allow_zero_initial_scale: true,
        ..AutoscalerConfig::default()
    };
    assert_eq!(
        parse(&[("initial-scale", "0")], &config).unwrap().initial_scale,
        Some(0)
    );
    (config.max_scale, config.max_scale_limit) = (5, 10);
    assert!(parse(&[("max-scale", "10")], &config).is_ok());
    assert!(parse(&[("max-scale", "11")], &config).is_err());
    assert!(parse(&[("max-scale", "0")], &config).is_err());
}
