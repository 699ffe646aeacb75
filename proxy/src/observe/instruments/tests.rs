//! Are numbers told as OpenTelemetry's own exporters tell them?

use super::*;

const SCOPE: Scope = Scope {
    name: "scope",
    version: "1",
};
const OF_SCOPE: &str = r#"otel_scope_name="scope",otel_scope_schema_url="",otel_scope_version="1""#;

const TOOK: Definition = Definition {
    name: "a.duration",
    unit: "s",
    description: "How long.",
    form: Form::Durations(&DURATIONS),
};
const SIZE: Definition = Definition {
    name: "a.body.size",
    unit: "By",
    description: "How large.",
    form: Form::Sizes(&USUAL),
};
const NOW: Definition = Definition {
    name: "a.now",
    unit: "{request}",
    description: "How many.",
    form: Form::UpDownCounter,
};
const ERRORS: Definition = Definition {
    name: "a.errors",
    unit: "{error}",
    description: "How often.",
    form: Form::Counter,
};

fn page(group: Arc<Group>) -> String {
    Instruments::new([("service.name".to_owned(), "a\"b".to_owned())], [group]).text()
}

fn assert_shows(page: &str, line: &str) {
    assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
}

#[test]
fn buckets_add_up_and_every_series_has_its_scope() {
    let group = Group::new(SCOPE, &[TOOK, SIZE], 10);
    let series = group.series(&[("z.text", Value::Text("x")), ("b.code", Value::Int(200))]);
    for millis in [4, 5, 80, 20_000] {
        series.took(0, Duration::from_millis(millis));
    }
    let page = page(group);
    let labels = format!(r#"b_code="200",{OF_SCOPE},z_text="x""#);
    for line in [
        format!(r#"a_duration_seconds_bucket{{{labels},le="0.005"}} 2"#),
        format!(r#"a_duration_seconds_bucket{{{labels},le="0.1"}} 3"#),
        format!(r#"a_duration_seconds_bucket{{{labels},le="10"}} 3"#),
        format!(r#"a_duration_seconds_bucket{{{labels},le="+Inf"}} 4"#),
        format!("a_duration_seconds_sum{{{labels}}} 20.089"),
        format!("a_duration_seconds_count{{{labels}}} 4"),
        r#"target_info{service_name="a\"b"} 1"#.to_owned(),
    ] {
        assert_shows(&page, &line);
    }
    assert!(!page.contains("a_body_size"), "nothing was recorded:\n{page}");
}

#[test]
fn counters_are_totals_and_what_goes_down_is_a_gauge() {
    let group = Group::new(SCOPE, &[NOW, ERRORS], 10);
    let series = group.series(&[]);
    series.add(0, 3);
    series.add(0, -1);
    series.add(1, 1);
    let page = page(group);
    assert_shows(&page, &format!("a_now{{{OF_SCOPE}}} 2"));
    assert_shows(&page, "# TYPE a_now gauge");
    assert_shows(&page, &format!("a_errors_total{{{OF_SCOPE}}} 1"));
}

#[test]
fn what_finds_no_room_is_counted_without_its_attributes() {
    let group = Group::new(SCOPE, &[ERRORS], 2);
    for host in ["a", "b", "c", "d", "a"] {
        group.series(&[("host", Value::Text(host))]).add(0, 1);
    }
    let page = page(group);
    assert_shows(&page, &format!(r#"a_errors_total{{host="a",{OF_SCOPE}}} 2"#));
    let overflow = r#"otel_metric_overflow="true""#;
    let labels = format!("{overflow},{OF_SCOPE}");
    assert_shows(&page, &format!("a_errors_total{{{labels}}} 2"));
}

#[test]
fn a_text_that_is_too_long_is_not_kept() {
    let group = Group::new(SCOPE, &[ERRORS], 10);
    let longest = "a".repeat(limits::ATTRIBUTE_BYTES_MAX);
    for host in [longest.clone(), format!("{longest}a"), format!("{longest}b")] {
        group.series(&[("host", Value::Text(&host))]).add(0, 1);
    }
    let page = page(group);
    assert_shows(
        &page,
        &format!(r#"a_errors_total{{host="{longest}",{OF_SCOPE}}} 1"#),
    );
    assert_shows(
        &page,
        &format!(r#"a_errors_total{{otel_metric_overflow="true",{OF_SCOPE}}} 2"#),
    );
}

#[test]
fn a_full_group_has_one_series_for_all_that_comes() {
    let group = Group::new(SCOPE, &[ERRORS], 1);
    let known = group.series(&[("host", Value::Text("a"))]);
    let later = ["b", "c"].map(|host| group.series(&[("host", Value::Text(host))]));
    assert!(Arc::ptr_eq(&later[0], &later[1]));
    assert!(Arc::ptr_eq(&known, &group.series(&[("host", Value::Text("a"))])));
}

#[test]
fn an_export_tells_whose_numbers_and_of_which_scope() {
    let group = Group::new(SCOPE, &[TOOK, SIZE, ERRORS], 10);
    group.series(&[("host", Value::Text("a"))]).sized(1, 7);
    let all = Instruments::new([("service.name".to_owned(), "demo".to_owned())], [group]);
    let bytes = all.export();
    let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    for text in ["service.name", "demo", "scope", "a.body.size", "host"] {
        assert!(has(text), "{text}");
    }
    assert!(!has("a.duration"), "nothing was recorded");
}

#[test]
fn series_that_are_let_go_make_room_for_others() {
    let group = Group::new(Scope::named("test"), &[ERRORS], 2);
    let of = |name| group.series(&[("name", Value::Text(name))]);
    of("old").add(0, 1);
    let kept = of("kept");
    kept.add(0, 2);
    group.retain(|series| series.text("name") != Some("old"));
    of("new").add(0, 3);
    assert!(Arc::ptr_eq(&kept, &of("kept")));
    let shown: Vec<_> = group
        .all()
        .iter()
        .map(|series| (series.text("name").map(str::to_owned), series.read(0)))
        .collect();
    let expected = [("kept", 2.0), ("new", 3.0)];
    assert_eq!(
        shown,
        expected.map(|(name, sum)| (Some(name.to_owned()), Some(Reading::Number(sum))))
    );
}
