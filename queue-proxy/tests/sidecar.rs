//! What a sidecar does with the requests of its replica, seen from both ends.

mod support;

use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use tidegate_queue_proxy::{Sidecar, Timeouts};
use tidegate_testkit::body;
use tidegate_testkit::client::{Answer, Client, get, get_request};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::eventually;
use tidegate_testkit::websocket::WebSocket;
use tokio::task::JoinSet;

use support::{Front, HOST, PATIENT};

const SHORT: Duration = Duration::from_millis(50);

fn limited(container_concurrency: u32) -> Arc<Sidecar> {
    Arc::new(Sidecar::new(container_concurrency, PATIENT))
}

async fn queue_is(sidecar: &Sidecar, depth: usize) {
    eventually(&format!("{depth} requests in the sidecar"), async || {
        let now = sidecar.queue_depth();
        if now == depth {
            Ok(())
        } else {
            Err(format!("{now} requests"))
        }
    })
    .await;
}

/// Sends `count` requests at once, each over a connection of its own.
fn send(front: &Front, count: usize) -> JoinSet<Answer> {
    let address = front.address;
    (0..count)
        .map(|_| async move { get(address, HOST, "/").await })
        .collect()
}

#[tokio::test]
async fn qp_10_a_full_queue_is_told_at_once_and_the_others_run_one_by_one() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let sidecar = limited(1);
    let front = Front::to(upstream.address(), Some(Arc::clone(&sidecar)));
    let admitted = send(&front, 11);
    queue_is(&sidecar, 11).await;
    let refused = get(front.address, HOST, "/").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.text(), "pending request queue full\n");
    gate.open();
    let answers = admitted.join_all().await;
    assert!(
        answers.iter().all(|answer| answer.status == StatusCode::OK),
        "{answers:?}"
    );
    assert_eq!(upstream.counts().running_max(), 1);
    queue_is(&sidecar, 0).await;
}

#[tokio::test]
async fn without_a_limit_all_run_at_once() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let front = Front::to(upstream.address(), Some(limited(0)));
    let admitted = send(&front, 20);
    upstream.runs(20).await;
    gate.open();
    assert_eq!(admitted.join_all().await.len(), 20);
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let sidecar = limited(1);
    let front = Front::to(upstream.address(), Some(Arc::clone(&sidecar)));
    let mut admitted = send(&front, 5);
    queue_is(&sidecar, 5).await;
    admitted.abort_all();
    queue_is(&sidecar, 0).await;
}

#[tokio::test]
async fn a_place_is_held_until_the_last_byte() {
    let (feed, fed) = body::fed();
    let fed = std::sync::Mutex::new(Some(fed));
    let upstream = Upstream::start(move |_| {
        let body = fed.lock().unwrap().take().unwrap_or_else(body::empty);
        async { Response::new(body) }
    })
    .await;
    let sidecar = limited(1);
    let front = Front::to(upstream.address(), Some(Arc::clone(&sidecar)));
    let mut client = Client::http1(front.address).await;
    let response = client.send(get_request(HOST, "/")).await.unwrap();
    assert_eq!(sidecar.queue_depth(), 1);
    drop(feed);
    Answer::read(response).await.unwrap();
    queue_is(&sidecar, 0).await;
}

#[tokio::test]
async fn a_websocket_holds_its_place_until_it_closes() {
    let upstream = Upstream::websocket().await;
    let sidecar = limited(1);
    let front = Front::to(upstream.address(), Some(Arc::clone(&sidecar)));
    let mut socket = WebSocket::connect(front.address, HOST, "/").await.unwrap();
    socket.say("hello").await;
    assert_eq!(socket.hear().await, "hello");
    assert_eq!(sidecar.queue_depth(), 1);
    socket.close().await;
    queue_is(&sidecar, 0).await;
}

#[tokio::test]
async fn qp_12_qp_14_the_application_sees_the_clients_request() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address(), Some(limited(1)));
    let mut request = get_request("hello-00001.default", "/path?query");
    for (name, value) in [
        ("k-original-host", "nimbus.example"),
        ("knative-serving-revision", "hello-00001"),
        ("knative-serving-namespace", "default"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    Client::http1(front.address).await.call(request).await;
    let seen = upstream.seen().remove(0);
    assert_eq!(
        (seen.header("host"), seen.uri.to_string().as_str()),
        (Some("nimbus.example"), "/path?query")
    );
    for absent in [
        "k-original-host",
        "knative-serving-revision",
        "knative-serving-namespace",
    ] {
        assert_eq!(seen.header(absent), None);
    }
    assert_eq!(seen.header("forwarded"), Some("for=127.0.0.1;proto=http"));
}

#[tokio::test]
async fn a_replica_without_a_sidecar_gets_requests_as_they_are() {
    let upstream = Upstream::echo().await;
    let front = Front::to(upstream.address(), None);
    let mut request = get_request(HOST, "/");
    request
        .headers_mut()
        .insert("k-original-host", "nimbus.example".parse().unwrap());
    Client::http1(front.address).await.call(request).await;
    assert_eq!(
        upstream.seen().remove(0).header("k-original-host"),
        Some("nimbus.example")
    );
}

#[tokio::test]
async fn qp_51_a_response_that_does_not_start_is_a_504() {
    for timeouts in [
        Timeouts {
            request: SHORT,
            ..PATIENT
        },
        Timeouts {
            response_start: Some(SHORT),
            ..PATIENT
        },
        Timeouts {
            idle: Some(SHORT),
            ..PATIENT
        },
    ] {
        let upstream = Upstream::held(&Gate::closed()).await;
        let sidecar = Arc::new(Sidecar::new(1, timeouts));
        let front = Front::to(upstream.address(), Some(Arc::clone(&sidecar)));
        let answer = get(front.address, HOST, "/").await;
        assert_eq!(
            (answer.status, answer.text().trim_end()),
            (StatusCode::GATEWAY_TIMEOUT, "request timeout")
        );
        queue_is(&sidecar, 0).await;
        upstream.runs(0).await;
    }
}

#[tokio::test]
async fn a_started_response_whose_time_is_over_breaks_off_visibly() {
    for http2 in [false, true] {
        let (feed, fed) = body::fed();
        let fed = std::sync::Mutex::new(Some(fed));
        let upstream = Upstream::start(move |_| {
            let body = fed.lock().unwrap().take().unwrap_or_else(body::empty);
            async { Response::new(body) }
        })
        .await;
        let sidecar = Arc::new(Sidecar::new(
            1,
            Timeouts {
                idle: Some(SHORT),
                ..PATIENT
            },
        ));
        let front = Front::to(upstream.address(), Some(Arc::clone(&sidecar)));
        let mut client = if http2 {
            Client::http2(front.address).await
        } else {
            Client::http1(front.address).await
        };
        let response = client.send(get_request(HOST, "/")).await.unwrap();
        assert!(feed.data("half").await);
        assert!(
            Answer::read(response).await.is_err(),
            "the body must not end well"
        );
        feed.dropped().await;
        queue_is(&sidecar, 0).await;
    }
}

#[tokio::test]
async fn after_an_upgrade_silence_and_a_late_start_do_not_count() {
    let upstream = Upstream::websocket().await;
    let timeouts = Timeouts {
        response_start: Some(SHORT),
        idle: Some(SHORT),
        ..PATIENT
    };
    let front = Front::to(upstream.address(), Some(Arc::new(Sidecar::new(1, timeouts))));
    let mut socket = WebSocket::connect(front.address, HOST, "/").await.unwrap();
    let queued = get(front.address, HOST, "/").await;
    assert_eq!(
        queued.status,
        StatusCode::GATEWAY_TIMEOUT,
        "so long was the silence"
    );
    socket.say("still there").await;
    assert_eq!(socket.hear().await, "still there");
    socket.close().await;
}

#[tokio::test]
async fn a_tunnel_ends_with_the_time_of_its_request() {
    let upstream = Upstream::websocket().await;
    let timeouts = Timeouts {
        request: SHORT,
        ..PATIENT
    };
    let sidecar = Arc::new(Sidecar::new(1, timeouts));
    let front = Front::to(upstream.address(), Some(Arc::clone(&sidecar)));
    let mut socket = WebSocket::connect(front.address, HOST, "/").await.unwrap();
    assert!(socket.next().await.is_none_or(|message| message.is_err()));
    queue_is(&sidecar, 0).await;
}
