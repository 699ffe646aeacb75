use std::time::Duration;

use super::*;
use crate::load::{Class, Doors, Report};

fn subject(name: &'static str, costs_ms: &[u64]) -> Subject {
    let sample = |cpu_ms: &u64| Sample {
        report: Report {
            requests: 1_000,
            elapsed_us: 2_000_000,
            p50_ns: 5_000,
            p99_ns: 9_000,
            ..Report::default()
        },
        cpu: Some(Duration::from_millis(*cpu_ms)),
        ..Sample::default()
    };
    Subject {
        name,
        doors: Doors::default(),
        running: None,
        idle_bytes: 0,
        samples: costs_ms.iter().map(sample).collect(),
        cluster: None,
    }
}

#[test]
fn a_bar_is_judged_by_the_interval_of_the_rounds() {
    let check = |ours: &[u64], theirs: &[u64], expected: &str| {
        let subjects = vec![subject("tidegate", ours), subject("haproxy", theirs)];
        let text = Figures::of(&Outcome {
            class: Class::H1,
            subjects,
        })
        .render();
        assert!(text.contains(expected), "{text}");
    };
    check(
        &[10; 10],
        &[20; 10],
        "CPU per request by haproxy's: 0.50 [0.50, 0.50], bar at most 1.00: met",
    );
    check(&[30; 10], &[20; 10], "bar at most 1.00: MISSED");
    check(&[10; 2], &[20; 2], "a first impression");
}

#[test]
fn rows_that_others_disturbed_do_not_count() {
    let mut disturbed = subject("tidegate", &[10; 4]);
    for sample in &mut disturbed.samples {
        sample.foreign = 0.5;
    }
    let text = Figures::of(&Outcome {
        class: Class::H1,
        subjects: vec![disturbed],
    })
    .render();
    assert!(
        text.contains("tidegate does not count: others used the machine in 4 of 4 repeats"),
        "{text}"
    );
}
