//! What does a route say about tries, broken connections, missing clusters and upgrades?

mod support;

use std::sync::Arc;

use http::{HeaderName, StatusCode};
use support::{CLUSTER, Front, HOST, by_policy, cluster, host, listen};
use tidegate_proxy::cluster::Protocol;
use tidegate_proxy::config::Snapshot;
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::listener::Connections;
use tidegate_proxy::route::{
    Action, Destination, Forward, ForwardPolicy, Resend, RetryOn, RetryPolicy, Route, Split, TryCount,
    Upgrades,
};
use tidegate_testkit::client::get;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream};
use tidegate_testkit::wire::Wire;

const COUNT: HeaderName = HeaderName::from_static("x-attempts");

fn front(http: HttpSettings, snapshot: Snapshot) -> Front {
    let listener = listen(std::num::NonZeroUsize::MIN, Connections::default());
    Front::behind(listener.speaking(http), snapshot)
}

/// An upstream whose connections break before an answer, all but the `last` one.
async fn breaking(last: usize) -> RawUpstream {
    RawUpstream::start(move |mut connection: RawConnection| async move {
        let asked = connection.wire.head().await;
        if connection.number == last {
            let asked = String::from_utf8_lossy(&asked.raw).into_owned();
            let count = asked.split("x-attempts: ").nth(1).unwrap_or("?");
            let count = count.chars().next().unwrap_or('?');
            let answer = format!("HTTP/1.1 200 OK\r\nx-asked: {count}\r\ncontent-length: 0\r\n\r\n");
            connection.wire.send(answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn tries_are_counted_for_both_sides() {
    let upstream = breaking(2).await;
    let policy = ForwardPolicy {
        retry: Some(RetryPolicy::on([RetryOn::Reset])),
        resend: Resend::Unwritten,
        counted: TryCount {
            to_upstream: Some(COUNT),
            to_client: Some(COUNT),
        },
        ..ForwardPolicy::default()
    };
    let cluster = cluster(Protocol::Http1, &[upstream.address()]);
    let front = Front::start(by_policy(&cluster, policy));
    let answer = get(front.address, HOST, "/").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["x-asked"], "2");
    assert_eq!(answer.headers[&COUNT], "2");
}

#[tokio::test]
async fn a_broken_connection_and_a_missing_cluster_have_the_status_of_the_route() {
    let upstream = breaking(usize::MAX).await;
    let cluster = cluster(Protocol::Http1, &[upstream.address()]);
    let policy = ForwardPolicy {
        reset_status: StatusCode::SERVICE_UNAVAILABLE,
        ..ForwardPolicy::default()
    };
    let broken = Front::start(by_policy(&cluster, policy));
    assert_eq!(get(broken.address, HOST, "/").await.status, 503);
    let usual = Front::start(by_policy(&cluster, ForwardPolicy::default()));
    assert_eq!(get(usual.address, HOST, "/").await.status, 502);
    let forward = Forward {
        missing: StatusCode::NOT_FOUND,
        ..Forward::new(Destination::Split(Split::single("nobody", [].into())))
    };
    let route = Arc::new(Route::new(Action::Forward(Arc::new(forward))));
    let missing = Front::start(Snapshot::new([host("*", vec![route])], []));
    assert_eq!(get(missing.address, HOST, "/").await.status, 404);
}

#[tokio::test]
async fn a_route_allows_by_itself_what_its_listener_leaves_to_it() {
    let check = async |upgrades: Upgrades, by_route: &[&str], refused: bool| {
        let upstream = Upstream::echo().await;
        let forward = Forward {
            upgrades: upgrades.clone(),
            ..Forward::split(Split::single(CLUSTER, [].into()))
        };
        let route = Arc::new(Route::new(Action::Forward(Arc::new(forward))));
        let http = HttpSettings {
            upgrades_by_route: by_route.iter().map(|token| (*token).into()).collect(),
            ..HttpSettings::default()
        };
        let cluster = cluster(Protocol::Http1, &[upstream.address()]);
        let front = front(http, Snapshot::new([host("*", vec![route])], [cluster]));
        let mut wire = Wire::connect(front.address).await;
        let asked = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n";
        wire.send(asked).await;
        let is_refused = wire.message().await.status() == 403;
        assert_eq!(is_refused, refused, "{upgrades:?} {by_route:?}");
    };
    let each = |passes| Upgrades::Each([("websocket".into(), passes)].into());
    check(Upgrades::OfListener, &[], false).await;
    check(Upgrades::OfListener, &["websocket"], true).await;
    check(each(true), &["websocket"], false).await;
    check(each(false), &[], true).await;
    check(
        Upgrades::Each([("other".into(), true)].into()),
        &["websocket"],
        true,
    )
    .await;
}
