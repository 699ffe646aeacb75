//! What does a client see when as much of a cluster is busy as may be?

mod support;

use std::net::SocketAddr;

use support::{CLUSTER, Front, HOST, everything_to, with_endpoints};
use tidegate_proxy::cluster::ClusterSettings;
use tidegate_proxy::cluster::breaker::{BreakerSettings, Thresholds};
use tidegate_testkit::client::{Client, get, get_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};

#[tokio::test]
async fn one_request_too_many_is_503_until_another_has_ended() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let settings = ClusterSettings {
        breakers: BreakerSettings {
            default: Thresholds {
                requests: Some(1),
                ..Thresholds::default()
            },
            ..BreakerSettings::default()
        }
        .into(),
        ..ClusterSettings::new(CLUSTER)
    };
    let front = Front::start(everything_to(
        &with_endpoints(settings, &[upstream.address()]),
        None,
    ));
    let mut client = Client::http2(front.address).await;
    let first = tokio::task::JoinSet::from_iter([client.send(get_request(HOST, "/"))]);
    upstream.runs(1).await;
    let answer = get(front.address, HOST, "/").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().starts_with("circuit breaker open"),
        "{}",
        answer.text()
    );
    gate.open();
    assert!(first.join_all().await.iter().all(Result::is_ok));
    upstream.runs(0).await;
    assert_eq!(get(front.address, HOST, "/").await.status, 200);
}

/// A cluster at `upstream` that may have one connection, and so many requests that wait for it.
fn one_connection(upstream: SocketAddr, pending: usize) -> Front {
    let settings = ClusterSettings {
        breakers: BreakerSettings {
            default: Thresholds {
                connections: Some(1),
                pending: Some(pending),
                ..Thresholds::default()
            },
            ..BreakerSettings::default()
        }
        .into(),
        ..ClusterSettings::new(CLUSTER)
    };
    let cluster = with_endpoints(settings, &[upstream]);
    Front::start(everything_to(&cluster, None))
}

#[tokio::test]
async fn who_waits_gets_a_new_connection_when_the_only_one_ends() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.head().await;
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfine";
        connection.wire.send(answer).await;
    })
    .await;
    let front = one_connection(upstream.address(), 100);
    let mut client = Client::http2(front.address).await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..20 {
        running.spawn(client.send(get_request(HOST, "/")));
    }
    let answers = running.join_all().await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap().status() == 200)
    );
}
