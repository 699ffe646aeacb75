//! Is an endpoint that fails put aside, and taken back?

mod support;

use std::time::Duration;

use http::StatusCode;
use support::{CLUSTER, Front, HOST, everything_to, with_endpoints};
use tidegate_proxy::cluster::outlier::{Consecutive, OutlierSettings};
use tidegate_proxy::cluster::{ClusterSettings, Health};
use tidegate_testkit::client::get;
use tidegate_testkit::upstream::{Upstream, nobody};
use tidegate_testkit::wait::eventually;

fn settings() -> ClusterSettings {
    let twice = Consecutive {
        failures: 2,
        ..Consecutive::default()
    };
    let outlier = OutlierSettings {
        consecutive_5xx: Some(twice),
        interval: Duration::from_millis(20),
        ejection_base: Duration::from_millis(300),
        ..OutlierSettings::default()
    };
    ClusterSettings {
        outlier: Some(outlier.into()),
        ..ClusterSettings::new(CLUSTER)
    }
}

#[tokio::test]
async fn who_answers_with_errors_gets_nothing_for_a_while() {
    let bad = Upstream::fixed(StatusCode::INTERNAL_SERVER_ERROR, "broken").await;
    let good = Upstream::echo().await;
    let cluster = with_endpoints(settings(), &[bad.address(), good.address(), good.address()]);
    let front = Front::start(everything_to(&cluster, None));
    cluster.watch(&front.watch);
    eventually("the ejection", async || {
        get(front.address, HOST, "/").await;
        cluster.endpoints()[0].is_ejected()
    })
    .await;
    assert_eq!(bad.seen().len(), 2);
    eventually("the return", async || {
        cluster.endpoints()[0].health() == Health::Healthy
    })
    .await;
}

#[tokio::test]
async fn who_is_not_there_counts_as_failing() {
    let good = Upstream::echo().await;
    let cluster = with_endpoints(settings(), &[nobody().await, good.address()]);
    let front = Front::start(everything_to(&cluster, None));
    cluster.watch(&front.watch);
    eventually("the ejection", async || {
        get(front.address, HOST, "/").await;
        cluster.endpoints()[0].is_ejected()
    })
    .await;
    assert_eq!(get(front.address, HOST, "/").await.status, 200);
}
