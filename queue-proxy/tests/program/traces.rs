//! Which spans does a collector get?

use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::otlp::{self, Span};
use tidegate_testkit::upstream::{Upstream, answer};
use tidegate_testkit::wait::eventually;

use crate::rig::Sidecar;

/// The trace that the tests' client is in.
const TRACE: [u8; 16] = [15; 16];

/// A collector by HTTP, and the exports that it has got.
async fn collector() -> (Upstream, Arc<Mutex<Vec<Vec<u8>>>>) {
    let exports = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&exports);
    let upstream = Upstream::start(move |request| {
        let exports = Arc::clone(&exports);
        async move {
            let body = request.into_body().collect().await.expect("a body").to_bytes();
            exports.lock().expect("no panic so far").push(body.to_vec());
            answer(http::StatusCode::OK, "")
        }
    });
    (upstream.await, kept)
}

/// The spans of the first export.
async fn spans(exports: &Mutex<Vec<Vec<u8>>>) -> Vec<Span> {
    let export = eventually("an export", async || {
        exports.lock().expect("no panic so far").first().cloned()
    })
    .await;
    assert!(
        export.windows(11).any(|bytes| bytes == b"hello-00001"),
        "whose spans they are"
    );
    otlp::spans(&export)
}

fn config(endpoint: &str) -> String {
    format!(r#"{{"tracing":{{"protocol":"http/protobuf","endpoint":"{endpoint}","samplingRate":1}}}}"#)
}

/// The names of the spans from the outermost on, each within the one before.
fn nested(spans: &[Span]) -> Vec<&str> {
    let mut names = Vec::new();
    let mut outer = spans.iter().find(|span| span.kind == SERVER);
    while let Some(span) = outer {
        names.push(&*span.name);
        outer = spans.iter().find(|inner| inner.parent == span.span_id);
    }
    names
}

const SERVER: i32 = 2;
const PARENT: &str = "00-0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f-b7ad6b7169203331-01";

#[tokio::test]
async fn qp_66_a_request_leaves_spans_of_its_trace_and_a_probe_none() {
    let limited = ["GET", "kn.queueproxy.proxy", "kn.queueproxy.wait", "HTTP GET"];
    let unlimited = ["GET", "kn.queueproxy.proxy", "HTTP GET"];
    for (limit, expected) in [("7", &limited[..]), ("0", &unlimited)] {
        let (collector, exports) = collector().await;
        let config = config(&format!("http://{}", collector.address()));
        let app = Upstream::echo().await;
        let variables = [
            ("OBSERVABILITY_CONFIG", &*config),
            ("CONTAINER_CONCURRENCY", limit),
        ];
        let sidecar = Sidecar::start(app.address(), &variables).await;
        sidecar
            .get(&[("k-network-probe", "queue"), ("traceparent", PARENT)])
            .await;
        sidecar.get(&[("traceparent", PARENT)]).await;
        let spans = spans(&exports).await;
        assert!(spans.iter().all(|span| span.trace_id == TRACE), "{spans:?}");
        assert_eq!(spans.len(), expected.len(), "{spans:?}");
        assert_eq!(nested(&spans), expected);
        assert_eq!(collector.seen()[0].uri, "/v1/traces");
        let seen = app.seen();
        assert_eq!(seen[0].header("traceparent"), Some(PARENT));
        assert_ne!(seen[1].header("traceparent"), Some(PARENT));
    }
}

#[tokio::test]
async fn qp_20_a_span_tells_the_tag_and_may_go_to_standard_output() {
    let app = Upstream::echo().await;
    let config = r#"{"tracing":{"protocol":"stdout"}}"#;
    let mut sidecar = Sidecar::start(app.address(), &[("OBSERVABILITY_CONFIG", config)]).await;
    sidecar.get(&[("knative-serving-tag", "blue")]).await;
    let line = sidecar.program.line_with(r#""SpanKind":2"#).await;
    let tag = r#"{"Key":"kn.route.tag","Value":{"Type":"STRING","Value":"blue"}}"#;
    assert!(line.contains(tag), "{line}");
}

#[tokio::test]
async fn a_collector_may_be_behind_tls() {
    let authority = Authority::new("collector");
    let server = Authority::server_config(&authority.server("localhost"), &["http/1.1"], None);
    let (told, hears) = std::sync::mpsc::channel();
    let collector = Upstream::start_tls(server, move |request| {
        _ = told.send(request.uri().path().to_owned());
        async { answer(http::StatusCode::OK, "") }
    })
    .await;
    let endpoint = format!("localhost:{}", collector.address().port());
    let folder = tempfile::tempdir().expect("a folder");
    let anchors = folder.path().join("anchors.pem");
    std::fs::write(&anchors, &authority.pem).expect("a file");
    let app = Upstream::echo().await;
    let (config, anchors) = (config(&endpoint), anchors.to_str().expect("its name"));
    let variables = [("OBSERVABILITY_CONFIG", &*config), ("SSL_CERT_FILE", anchors)];
    let sidecar = Sidecar::start(app.address(), &variables).await;
    sidecar.get(&[]).await;
    let path = eventually("an export", async || hears.try_recv().ok()).await;
    assert_eq!(path, "/v1/traces");
}
