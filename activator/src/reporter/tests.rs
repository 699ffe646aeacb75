//! What reaches the sink, for which revision, and when.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use super::*;
use crate::throttle::{RevisionSettings, tests::settings};

type Seen = Arc<Mutex<Vec<(String, Stat)>>>;

fn reporter(registry: &Arc<Registry>) -> (Arc<Reporter>, Seen) {
    let seen = Seen::default();
    let sink = Arc::clone(&seen);
    let sink = move |revision: &Arc<Revision>, stat: Stat| {
        sink.lock().unwrap().push((revision.key().to_string(), stat));
    };
    (Reporter::new(Arc::clone(registry), "activator", sink), seen)
}

fn revision(registry: &Registry, name: &str) -> Arc<Revision> {
    let revision = Revision::new(RevisionSettings {
        name: name.to_owned(),
        ..settings(1)
    });
    registry.insert(&revision);
    revision
}

fn stat(average: f64, count: f64) -> Stat {
    Stat {
        pod_name: "activator".to_owned(),
        average_concurrent_requests: average,
        request_count: count,
        ..Stat::default()
    }
}

#[test]
fn each_revision_is_reported_at_its_first_request_and_then_by_period() {
    let registry = Registry::new();
    let (reporter, seen) = reporter(&registry);
    let [blue, green] = ["blue", "green"].map(|name| revision(&registry, name));
    let now = Instant::now() + Duration::from_secs(1);
    let held = [
        reporter.arrive(&blue, now),
        reporter.arrive(&blue, now),
        reporter.arrive(&green, now),
    ];
    let pokes = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(
        pokes,
        [
            ("default/blue".to_owned(), stat(1.0, 1.0)),
            ("default/green".to_owned(), stat(1.0, 1.0))
        ]
    );
    reporter.tick(now + Duration::from_secs(1));
    let mut period = std::mem::take(&mut *seen.lock().unwrap());
    period.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        period,
        [
            ("default/blue".to_owned(), stat(1.0, 1.0)),
            ("default/green".to_owned(), stat(0.0, 0.0))
        ]
    );
    drop(held);
    assert_eq!(blue.load().concurrency(), 0);
}

#[tokio::test(start_paused = true)]
async fn running_it_ends_a_period_each_second() {
    let registry = Registry::new();
    let (reporter, seen) = reporter(&registry);
    let revision = revision(&registry, "blue");
    let _held = reporter.arrive(&revision, Instant::now());
    let ran = tokio::time::timeout(Duration::from_millis(2500), reporter.run()).await;
    assert!(ran.is_err(), "it runs until it is dropped");
    assert_eq!(
        seen.lock().unwrap().len(),
        3,
        "at once, and after one and two seconds"
    );
}
