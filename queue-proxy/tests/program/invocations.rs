//! What does Prometheus scrape?

use tidegate_testkit::client::get;
use tidegate_testkit::upstream::{self, Upstream};
use tidegate_testkit::wait::eventually;

use crate::rig::{HOST, PROBER, Sidecar, listening};

const CONFIG: &str = r#"{"requestMetrics":{"protocol":"prometheus","endpoint":":0"}}"#;

/// Scrapes until the page has these lines.
async fn scraped(sidecar: &mut Sidecar, lines: &[&str]) -> String {
    let address = listening(&mut sidecar.program, "metrics").await;
    eventually("the numbers", async || {
        let page = get(address, HOST, "/metrics").await.text();
        let missing = lines.iter().find(|line| !page.contains(**line));
        missing.map_or(Ok(page.clone()), |line| Err(format!("no {line} in\n{page}")))
    })
    .await
}

#[tokio::test]
async fn qp_19_invocations_are_measured_by_status_and_probes_are_not() {
    let app = Upstream::fixed(http::StatusCode::CREATED, "made").await;
    let variables = [("OBSERVABILITY_CONFIG", CONFIG), ("CONTAINER_CONCURRENCY", "5")];
    let mut sidecar = Sidecar::start(app.address(), &variables).await;
    sidecar.get(&[]).await;
    for probe in [
        ("k-kubelet-probe", "1"),
        ("k-network-probe", "queue"),
        ("user-agent", PROBER),
    ] {
        sidecar.get(&[probe]).await;
    }
    let page = scraped(
        &mut sidecar,
        &[
            r#"kn_serving_invocation_duration_seconds_count{http_response_status_code="201","#,
            r#"kn_serving_queue_depth{otel_scope_name="knative.dev/serving/pkg/queue","#,
            r#"kn_revision_name="hello-00001""#,
        ],
    )
    .await;
    let count = page
        .lines()
        .find(|line| line.contains("seconds_count"))
        .expect("it is there");
    assert!(count.ends_with(" 1"), "{count}");
}

#[tokio::test]
async fn an_application_that_does_not_listen_counts_as_502() {
    let nobody = upstream::nobody().await;
    let mut sidecar = Sidecar::start(nobody, &[("OBSERVABILITY_CONFIG", CONFIG)]).await;
    sidecar.get(&[]).await;
    let page = scraped(
        &mut sidecar,
        &[r#"seconds_count{http_response_status_code="502","#],
    )
    .await;
    assert!(!page.contains("queue_depth"), "there is no queue");
}
