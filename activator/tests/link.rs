//! Does the autoscaler hear of load, and what happens when it is not there?

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails there")]

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tidegate_activator::{
    Registry, Revision,
    health::Health,
    link::Link,
    reporter::{Reporter, StatSink},
};
use tidegate_knative::stat::{Stat, WireStatMessage, WireStatMessages};
use tidegate_proxy::drain::Drain;
use tidegate_testkit::{knative::autoscaler::Autoscaler, upstream::bind, wait::eventually};

async fn connected(health: &Health, expected: bool) {
    eventually("the link to be as expected", async || {
        health.is_connected() == expected
    })
    .await;
}

fn message(namespace: &str, name: &str, average: f64) -> WireStatMessage {
    WireStatMessage {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        stat: Some(Stat {
            pod_name: "activator-1".to_owned(),
            average_concurrent_requests: average,
            request_count: average,
            ..Stat::default()
        }),
    }
}

#[tokio::test]
async fn ac_39_a_batch_is_one_binary_frame_and_none_waits_for_a_connection() {
    let (_drain, watch) = Drain::new();
    let listener = bind().await;
    let health = Health::default();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let link = Link::start(url.parse().unwrap(), health.clone(), &watch);
    let batch = |average| WireStatMessages {
        messages: vec![message("ns", "a", average), message("ns", "b", average)],
    };
    link.send(batch(1.0));
    let autoscaler = Autoscaler::on(listener);
    connected(&health, true).await;
    link.send(batch(2.0));
    autoscaler
        .frame("the second batch", |frame| *frame == batch(2.0))
        .await;
    assert_eq!(autoscaler.frames(), [batch(2.0)], "the first was dropped");
    autoscaler.restart();
    eventually("another connection", async || autoscaler.connections() == 2).await;
    connected(&health, true).await;
    // A frame that a lost connection took with it is missed by nobody.
    eventually("a third batch", async || {
        link.send(batch(3.0));
        autoscaler.frames().contains(&batch(3.0))
    })
    .await;
}

#[tokio::test]
async fn ac_40_health_follows_the_connection_which_is_made_anew() {
    let (_drain, watch) = Drain::new();
    let autoscaler = Autoscaler::start().await;
    let health = Health::default();
    let _link = Link::start(autoscaler.url(), health.clone(), &watch);
    connected(&health, true).await;
    autoscaler.restart();
    eventually("another connection", async || autoscaler.connections() == 2).await;
    connected(&health, true).await;
    drop(autoscaler);
    connected(&health, false).await;
    assert!(health.check().is_err());
}

#[tokio::test]
async fn ac_41_one_frame_has_all_revisions_of_a_period() {
    let (_drain, watch) = Drain::new();
    let autoscaler = Autoscaler::start().await;
    let health = Health::default();
    let link = Link::start(autoscaler.url(), health.clone(), &watch);
    connected(&health, true).await;
    let names = ["a", "b", "c"];
    let stats = names.map(|name| {
        let settings = tidegate_activator::RevisionSettings {
            name: name.to_owned(),
            ..support::settings(1)
        };
        (
            Revision::new(settings),
            Stat {
                pod_name: "p".to_owned(),
                ..Stat::default()
            },
        )
    });
    link.batch(stats.to_vec());
    let frame = autoscaler.frame("the frame", |_| true).await;
    let told: Vec<_> = frame.messages.iter().map(|message| &*message.name).collect();
    assert_eq!(told, names);
}

#[tokio::test]
async fn a_reporter_without_load_sends_no_frame() {
    let registry = Registry::new();
    registry.insert(&Revision::new(support::settings(1)));
    let batches = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&batches);
    let reporter = Reporter::new(registry, "p", move |_: &Arc<Revision>, stat| {
        seen.lock().unwrap().push(stat);
    });
    reporter.tick(Instant::now() + Duration::from_secs(1));
    assert_eq!(*batches.lock().unwrap(), []);
}
