//! Does the program's request path do what Knative's activator does, in its words?

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails there")]

mod support;

use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, StatusCode, header::HOST};
use support::wire::{Front, KUBELET};
use tidegate_testkit::{
    body,
    client::{Answer, Client},
    gate::Gate,
    upstream::Upstream,
    wait::soon,
    websocket::WebSocket,
};

/// Sends a GET with these headers; the Host is the last one given.
async fn get(front: &Front, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = Request::get("/a?b").body(body::empty()).unwrap();
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_static("a.example"));
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    Client::http1(front.address).await.call(request).await
}

const NAMED: [(&str, &str); 2] = [
    ("knative-serving-namespace", "default"),
    ("knative-serving-revision", "hello-00001"),
];

fn check_error(answer: &Answer, status: u16, text: &str) {
    assert_eq!((answer.status.as_u16(), &*answer.text()), (status, text));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn ac_01_a_revision_is_found_by_headers_by_host_and_by_host_with_port() {
    let front = Front::start(0);
    let pod = Upstream::fixed(StatusCode::OK, "hello").await;
    front.ready(&[pod.address()]);
    assert_eq!(get(&front, &NAMED).await.text(), "hello");
    for host in [
        "hello-00001.default.svc.cluster.local",
        "hello-00001.default.svc.cluster.local:8080",
    ] {
        assert_eq!(get(&front, &[("host", host)]).await.text(), "hello", "{host}");
    }
}

#[tokio::test]
async fn ac_02_an_unknown_revision_is_named_in_a_404() {
    let front = Front::start(0);
    let answer = get(&front, &[("host", "other.default.svc.cluster.local")]).await;
    let text = "Error getting active endpoint: revision.serving.knative.dev \"other\" not found\n";
    check_error(&answer, 404, text);
}

#[tokio::test]
async fn ac_03_a_probe_for_the_activator_is_answered_and_any_other_refused() {
    let front = Front::start(0);
    let pod = Upstream::fixed(StatusCode::OK, "hello").await;
    front.ready(&[pod.address()]);
    let answer = get(&front, &[("k-network-probe", "activator")]).await;
    assert_eq!((answer.status, &*answer.text()), (StatusCode::OK, "activator"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let answer = get(&front, &[("k-network-probe", "queue")]).await;
    check_error(&answer, 400, "unexpected probe header value: \"queue\"\n");
    let [namespace, name] = NAMED;
    let empty = get(&front, &[namespace, name, ("k-network-probe", "")]).await;
    assert_eq!(empty.text(), "hello");
}

#[tokio::test]
async fn ac_04_a_network_probe_gets_its_hash_back_and_requests_lose_theirs() {
    let front = Front::start(0);
    let pod = Upstream::fixed(StatusCode::OK, "hello").await;
    front.ready(&[pod.address()]);
    let answer = get(&front, &[("k-network-probe", "probe"), ("k-network-hash", "abc")]).await;
    assert_eq!((answer.status, &*answer.text()), (StatusCode::OK, ""));
    assert_eq!(answer.header("k-network-hash"), Some("abc"));
    let answer = get(&front, &[("k-network-probe", "probe")]).await;
    check_error(
        &answer,
        400,
        "a probe request must contain a non-empty \"K-Network-Hash\" header\n",
    );
    let [namespace, name] = NAMED;
    get(&front, &[namespace, name, ("k-network-hash", "abc")]).await;
    assert_eq!(pod.seen()[0].header("k-network-hash"), None);
}

#[tokio::test]
async fn ac_05_the_kubelet_learns_whether_the_activator_is_healthy() {
    let front = Front::start(0);
    for kubelet in [KUBELET, ("k-kubelet-probe", "activator")] {
        front.health.set_connected(true);
        let answer = get(&front, &[kubelet]).await;
        assert_eq!((answer.status, &*answer.text()), (StatusCode::OK, ""));
        front.health.set_connected(false);
        let answer = get(&front, &[kubelet]).await;
        check_error(&answer, 500, "connection has not yet been established\n");
    }
    front.health.stop();
    let answer = get(&front, &[KUBELET]).await;
    check_error(&answer, 500, "received SIGTERM from kubelet\n");
    let pod = Upstream::fixed(StatusCode::OK, "hello").await;
    front.ready(&[pod.address()]);
    assert_eq!(get(&front, &NAMED).await.text(), "hello", "it still serves");
}

#[tokio::test]
async fn ac_06_what_goes_wrong_is_told_in_knatives_words() {
    let front = Front::with_queue(1, 1);
    let mut waiting = front.get(1);
    front.parked(1).await;
    check_error(&get(&front, &NAMED).await, 503, "pending request queue full\n");
    front.directory.remove("default", "hello-00001");
    let answer = soon("the refusal", waiting.join_next()).await.unwrap().unwrap();
    assert_eq!((answer.status.as_u16(), &*answer.text()), (500, ""));

    let front = Front::start(0);
    let nobody = tidegate_testkit::upstream::nobody().await;
    front.ready(&[nobody]);
    let text = format!("dial tcp {nobody}: connect: connection refused\n");
    check_error(&get(&front, &NAMED).await, 502, &text);
    let breaks_off = Upstream::start(|_| async { std::future::pending().await }).await;
    front.ready(&[breaks_off.address()]);
    let ((), answer) = tokio::join!(
        async {
            breaks_off.runs(1).await;
            breaks_off.cut_connections();
        },
        get(&front, &NAMED)
    );
    check_error(&answer, 502, "EOF\n");
}

#[tokio::test]
async fn ac_06_a_grpc_client_is_told_like_any_other() {
    let front = Front::with_queue(1, 1);
    let _waiting = front.get(1);
    front.parked(1).await;
    let [namespace, name] = NAMED;
    let mut request = Request::post("http://a.example/svc/method")
        .body(body::empty())
        .unwrap();
    for (name, value) in [namespace, name, ("content-type", "application/grpc")] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let answer = Client::http2(front.address).await.call(request).await;
    check_error(&answer, 503, "pending request queue full\n");
}

#[tokio::test]
async fn ac_07_a_pod_sees_who_forwarded_for_which_host() {
    let front = Front::start(0);
    let pod = Upstream::fixed(StatusCode::OK, "hello").await;
    front.ready(&[pod.address()]);
    let [namespace, name] = NAMED;
    get(&front, &[namespace, name, ("x-forwarded-for", "192.0.2.1")]).await;
    let seen = &pod.seen()[0];
    assert_eq!(seen.header("host"), Some(&*pod.address().to_string()));
    for (name, expected) in [
        ("k-original-host", Some("a.example")),
        ("k-proxy-request", Some("activator")),
        ("x-forwarded-for", Some("192.0.2.1, 127.0.0.1")),
        ("x-forwarded-proto", None),
        ("forwarded", None),
        ("user-agent", None),
        ("knative-serving-namespace", None),
        ("knative-serving-revision", None),
    ] {
        assert_eq!(seen.header(name), expected, "{name}");
    }
}

#[tokio::test]
async fn ac_07_a_host_that_was_replaced_before_is_kept() {
    let front = Front::start(0);
    let pod = Upstream::fixed(StatusCode::OK, "hello").await;
    front.ready(&[pod.address()]);
    let [namespace, name] = NAMED;
    get(&front, &[namespace, name, ("k-original-host", "mapped.example")]).await;
    assert_eq!(pod.seen()[0].header("k-original-host"), Some("mapped.example"));
}

#[tokio::test]
async fn ac_08_through_a_mesh_a_pod_is_addressed_in_its_services_name() {
    let front = Front::passing_through();
    let pod = Upstream::fixed(StatusCode::OK, "hello").await;
    front.ready(&[pod.address()]);
    get(&front, &NAMED).await;
    let seen = &pod.seen()[0];
    assert_eq!(seen.header("host"), Some("hello-00001-private.default"));
    assert_eq!(seen.header("k-passthrough-lb"), Some("true"));
    assert_eq!(seen.header("k-original-host"), Some("a.example"));
}

#[tokio::test]
async fn ac_11_large_bodies_go_both_ways_at_once() {
    let front = Front::start(0);
    let pod = Upstream::echo().await;
    front.ready(&[pod.address()]);
    let posts = (0..16).map(|_| async {
        let mut request = Request::post("/").body(body::full(vec![b'x'; 1 << 20])).unwrap();
        request.headers_mut().insert(
            HOST,
            HeaderValue::from_static("hello-00001.default.svc.cluster.local"),
        );
        let answer = Client::http1(front.address).await.call(request).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 1 << 20));
    });
    soon("all echoes", futures_util::future::join_all(posts)).await;
}

#[tokio::test]
async fn ac_23_the_timers_run_while_a_request_waits() {
    let front = Front::within(1, Duration::from_millis(100));
    let gate = Gate::closed();
    let pod = Upstream::held(&gate).await;
    front.ready(&[pod.address()]);
    let mut first = front.get(1);
    pod.runs(1).await;
    let waited = get(&front, &NAMED).await;
    assert_eq!(waited.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(waited.text(), "activator request timeout");
    assert_eq!(waited.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(waited.header("x-content-type-options"), None);
    let ran = soon("the other", first.join_next()).await.unwrap().unwrap();
    assert_eq!(
        ran.text(),
        "activator request timeout",
        "it held its place in vain"
    );
    front.idle().await;
}

#[tokio::test]
async fn pods_are_spoken_to_in_the_protocol_of_the_request() {
    let front = Front::start(0);
    let pod = Upstream::fixed(StatusCode::OK, "hello").await;
    front.ready(&[pod.address()]);
    let host = "hello-00001.default.svc.cluster.local";
    Client::http1(front.address).await.get(host, "/").await;
    Client::http2(front.address).await.get(host, "/").await;
    let versions: Vec<_> = pod.seen().iter().map(|seen| seen.version).collect();
    assert_eq!(versions, [http::Version::HTTP_11, http::Version::HTTP_2]);
    let original = pod.seen()[1].header("k-original-host").map(str::to_owned);
    assert_eq!(original.as_deref(), Some(host));
}

#[tokio::test]
async fn a_websocket_passes() {
    let front = Front::start(1);
    let pod = Upstream::websocket().await;
    front.ready(&[pod.address()]);
    let mut socket = WebSocket::connect(front.address, "hello-00001.default.svc.cluster.local", "/")
        .await
        .unwrap();
    socket.say("hello").await;
    assert_eq!(socket.hear().await, "hello");
    socket.close().await;
    front.idle().await;
}
