//! What becomes of who waits, and of what is counted, when requests are not held for a revision any more?

use tidegate_testkit::client::get;
use tidegate_testkit::control_plane::model::ENDPOINTS;
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::{eventually, soon};

use crate::rig::{NAME, Rig};

#[tokio::test]
async fn who_waits_for_want_of_endpoints_is_sent_to_them_once_they_are_back() {
    let mut rig = Rig::start().await;
    let standalone = std::mem::take(&mut rig.service.pods);
    rig.said = rig.forget().await;
    rig.push();
    eventually("the revision is known", async || {
        rig.lines("active").await == ["true"]
    })
    .await;
    let mut answers = rig.get(2);
    rig.parked(2).await;
    rig.service.pods = standalone;
    rig.push();
    while let Some(answer) = soon("an answer", answers.join_next()).await {
        assert_eq!(answer.expect("no panic").text(), "standalone");
    }
    assert_eq!(
        get(rig.gateway.external(), &rig.host(), "/").await.text(),
        "standalone"
    );
    let seen = &rig.standalone.seen()[0];
    assert!(seen.header("knative-serving-revision").is_some());
    assert_eq!(seen.header("k-proxy-request"), None);
}

#[tokio::test]
async fn more_than_the_circuit_breaker_allows_are_all_answered_in_turn() {
    let mut rig = Rig::start().await;
    let gate = Gate::closed();
    let own = Upstream::held(&gate).await;
    (rig.service.pods, rig.requests_max) = (vec![own.address()], Some(4));
    let version = rig.push();
    rig.control_plane.accepted(ENDPOINTS, &version).await;
    let mut answers = rig.get(9);
    rig.parked(9).await;
    _ = rig.forget().await;
    own.runs(2).await;
    gate.open();
    while let Some(answer) = soon("an answer", answers.join_next()).await {
        let answer = answer.expect("no panic");
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "held"));
    }
    assert_eq!(own.counts().running_max(), 2);
    let refused = format!("cluster.{NAME}.upstream_rq_pending_overflow");
    assert_eq!(rig.gateway.stat(&refused).await, 0);
}

#[tokio::test]
async fn who_waits_for_a_revision_that_is_not_held_any_more_goes_where_its_cluster_sends_it() {
    let mut rig = Rig::start().await;
    let mut answers = rig.get(1);
    rig.parked(1).await;
    let said = rig.forget().await;
    let answer = soon("the answer", answers.join_next()).await;
    assert_eq!(answer.expect("one").expect("no panic").text(), "standalone");
    let counted = format!("tidegate_activator.{NAME}.parked_requests_total");
    let refused = format!("tidegate_activator.{NAME}.refused_requests_total.capacity_refused");
    let counts = async || (rig.gateway.stat(&counted).await, rig.gateway.stat(&refused).await);
    assert_eq!(counts().await, (1, 0));
    (rig.said, rig.lists_pods) = (said, true);
    rig.push();
    eventually("it is held again", async || rig.lines("active").await == ["true"]).await;
    let _answers = rig.get(1);
    rig.parked(1).await;
    assert_eq!(counts().await, (2, 0), "it goes on where it was");
    rig.forget().await;
    rig.control_plane.set(&[]);
    eventually("nothing is told of it any more", async || {
        !rig.gateway.asks("/stats").await.text().contains(&counted)
    })
    .await;
}

#[tokio::test]
async fn a_revision_that_was_said_again_without_its_pods_is_gone_with_its_cluster() {
    let mut rig = Rig::start().await;
    let counted = format!("tidegate_activator.{NAME}.parked_requests_total");
    rig.said = rig.forget().await;
    rig.push();
    eventually("it is said again", async || {
        rig.lines("active").await == ["false"]
    })
    .await;
    assert!(rig.gateway.asks("/stats").await.text().contains(&counted));
    rig.control_plane.set(&[]);
    eventually("nothing is told of it any more", async || {
        !rig.gateway.asks("/stats").await.text().contains(&counted)
    })
    .await;
}
