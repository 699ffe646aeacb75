//! What does the application see of a request, and the client of a response?

use http::{HeaderMap, HeaderValue, StatusCode, Version};
use tidegate_testkit::client::Client;
use tidegate_testkit::upstream::{self, Upstream};
use tidegate_testkit::wire::Wire;

use crate::rig::{Sidecar, fed_app, request, told};

#[tokio::test]
async fn qp_12_qp_14_qp_21_qp_59_the_application_sees_what_the_client_sent_and_who_forwarded_it() {
    let app = Upstream::echo().await;
    let sidecar = Sidecar::start(app.address(), &[("CONTAINER_CONCURRENCY", "1")]).await;
    let sent = [
        ("k-original-host", "nimbus.example"),
        ("k-proxy-request", "activator"),
        ("k-network-hash", "abc"),
        ("knative-serving-revision", "hello-00001"),
        ("knative-serving-namespace", "default"),
        ("x-forwarded-for", "192.0.2.1, ::1"),
        ("x-forwarded-proto", "https"),
        ("accept-encoding", "gzip"),
    ];
    sidecar.get(&sent).await;
    let seen = app.seen().remove(0);
    let check = |name, expected| assert_eq!(seen.header(name), expected, "{name}");
    assert_eq!(seen.uri, "/path?query");
    check("host", Some("nimbus.example"));
    check("k-original-host", None);
    check("k-proxy-request", Some("activator"));
    check("k-network-hash", Some("abc"));
    check("knative-serving-revision", None);
    check("knative-serving-namespace", None);
    check("forwarded", Some(r#"for=192.0.2.1;proto=https, for="[::1]""#));
    check("x-forwarded-for", Some("192.0.2.1, ::1, 127.0.0.1"));
    check("x-forwarded-proto", Some("https"));
    check("accept-encoding", Some("gzip"));
    check("user-agent", None);
}

#[tokio::test]
async fn qp_21_qp_59_nothing_is_invented_but_the_peers_address() {
    let app = Upstream::echo().await;
    let sidecar = Sidecar::start(app.address(), &[]).await;
    sidecar.get(&[]).await;
    let seen = app.seen().remove(0);
    let mut names: Vec<_> = seen.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["host", "x-forwarded-for"]);
}

#[tokio::test]
async fn the_application_is_spoken_to_as_the_client_speaks() {
    let app = Upstream::echo().await;
    let sidecar = Sidecar::start(app.address(), &[]).await;
    Client::http1(sidecar.main).await.call(request(&[])).await;
    Client::http2(sidecar.main).await.call(request(&[])).await;
    let versions: Vec<_> = app.seen().iter().map(|seen| seen.version).collect();
    assert_eq!(versions, [Version::HTTP_11, Version::HTTP_2]);
}

#[tokio::test]
async fn a_path_goes_through_as_it_is_and_http_1_0_is_served() {
    let app = Upstream::echo().await;
    let sidecar = Sidecar::start(app.address(), &[]).await;
    let mut wire = Wire::connect(sidecar.main).await;
    wire.send("GET /a/../b//%2e?c HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert_eq!(wire.message().await.status(), 200);
    assert_eq!(app.seen().remove(0).uri, "/a/../b//%2e?c");
}

#[tokio::test]
async fn trailers_go_through_to_a_client_of_http_2() {
    let (feed, app) = fed_app().await;
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let answering = async {
        feed.data("message").await;
        feed.trailers(trailers).await
    };
    let sidecar = Sidecar::start(app.address(), &[]).await;
    let mut client = Client::http2(sidecar.main).await;
    let (answer, _) = tokio::join!(client.call(request(&[("te", "trailers")])), answering);
    assert_eq!(answer.text(), "message");
    assert_eq!(answer.trailers.expect("there are trailers")["grpc-status"], "0");
}

#[tokio::test]
async fn an_application_that_does_not_listen_is_a_502_for_grpc_too() {
    let nobody = upstream::nobody().await;
    let sidecar = Sidecar::start(nobody, &[]).await;
    let text = format!("dial tcp {nobody}: connect: connection refused\n");
    let answer = sidecar.get(&[]).await;
    assert_eq!(told(&answer), (502, text.clone(), true));
    let grpc = request(&[("content-type", "application/grpc")]);
    let answer = Client::http2(sidecar.main).await.call(grpc).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::BAD_GATEWAY, text));
}
