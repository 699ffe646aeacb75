//! Do the spans of a connection manager reach the collector that its provider names, by each protocol?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use support::one_listener;
use tidegate_testkit::body::{Body, fed};
use tidegate_testkit::client::{Client, get_request};
use tidegate_testkit::envoy::Envoy;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::eventually;

const HOST: &str = "a.example";
const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What a collector was sent: the path, and the message as text with what is no text left out.
type Sent = Arc<Mutex<Vec<(String, String)>>>;

async fn take(sent: Sent, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let message = request.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&message).into_owned();
    let grpc = path == GRPC;
    sent.lock().unwrap().push((path, text));
    let (feed, body) = fed();
    if grpc {
        let status = (
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static("0"),
        );
        feed.data(vec![0; 5]).await;
        feed.trailers([status].into_iter().collect()).await;
    }
    Response::new(body)
}

fn bootstrap(upstream: SocketAddr, collector: SocketAddr, exporter: &str) -> String {
    let http2 = if exporter.contains("grpc") {
        "http2_protocol_options: {},"
    } else {
        ""
    };
    let clusters = [
        one_listener::cluster("c1", upstream, ""),
        one_listener::cluster("otel-collector", collector, http2),
    ];
    let manager = format!(
        r#"
tracing:
  random_sampling: {{value: 100}}
  custom_tags:
  - {{tag: fixed, literal: {{value: always-this}}}}
  - {{tag: asked, request_header: {{name: x-asked, default_value: nothing}}}}
  provider:
    name: envoy.tracers.opentelemetry
    typed_config:
      "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
      service_name: gateway-of-test
      {exporter}"#
    );
    let hosts = "- {name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: c1}}]}";
    let resources = one_listener::resources(&clusters, &manager, hosts);
    format!("node: {{id: n1, cluster: c}}\n{resources}")
}

/// The first export after one request, and what the upstream saw.
async fn exported(exporter: &str) -> (String, String) {
    let sent = Sent::default();
    let kept = Arc::clone(&sent);
    let collector = Upstream::start(move |request| take(Arc::clone(&kept), request)).await;
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let config = bootstrap(upstream.address(), collector.address(), exporter);
    let program = Envoy::start(Path::new(env!("CARGO_BIN_EXE_tidegate-ingress")), &config).await;
    program.live().await;
    let mut request = get_request(HOST, "/");
    let asked = http::HeaderValue::from_static("for-this");
    request.headers_mut().insert("x-asked", asked);
    let mut client = Client::http1(program.listener("l").await).await;
    assert_eq!(client.call(request).await.status, StatusCode::OK);
    assert!(upstream.seen()[0].header("traceparent").is_some());
    eventually("an export", async || sent.lock().unwrap().first().cloned()).await
}

fn check(exported: &(String, String), path: &str) {
    let (sent_to, message) = exported;
    assert_eq!(sent_to, path);
    for told in ["gateway-of-test", "fixed", "always-this", "asked", "for-this"] {
        assert!(message.contains(told), "{told} is not in {message:?}");
    }
}

#[tokio::test]
async fn spans_are_sent_by_grpc_through_the_cluster_that_is_named() {
    let exporter = "grpc_service: {envoy_grpc: {cluster_name: otel-collector}, timeout: 0.250s}";
    check(&exported(exporter).await, GRPC);
}

#[tokio::test]
async fn spans_are_posted_through_the_cluster_that_is_named() {
    let exporter = "http_service: {http_uri: {uri: 'http://collector.example/v1/traces', cluster: otel-collector, \
                    timeout: 0.250s}}";
    check(&exported(exporter).await, "/v1/traces");
}
