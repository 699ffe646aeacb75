//! Which spans does a collector get?

use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use prost::Message;
use tidegate_testkit::upstream::{Upstream, answer};
use tidegate_testkit::wait::eventually;

use crate::rig::Sidecar;

/// What OTLP exports, as far as the tests look at it.
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<Resource>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<Scope>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(int32, tag = "6")]
    kind: i32,
}

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

#[tokio::test]
async fn qp_66_a_request_leaves_spans_of_its_trace_and_a_probe_none() {
    let (collector, exports) = collector().await;
    let endpoint = format!("http://{}/v1/traces", collector.address());
    let config =
        format!(r#"{{"tracing":{{"protocol":"http/protobuf","endpoint":"{endpoint}","samplingRate":1}}}}"#);
    let app = Upstream::echo().await;
    let sidecar = Sidecar::start(app.address(), &[("OBSERVABILITY_CONFIG", &config)]).await;
    let parent = "00-0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f-b7ad6b7169203331-01";
    sidecar
        .get(&[("k-network-probe", "queue"), ("traceparent", parent)])
        .await;
    sidecar.get(&[("traceparent", parent)]).await;
    let export = eventually("an export", async || {
        exports.lock().expect("no panic so far").first().cloned()
    })
    .await;
    assert!(
        export.windows(11).any(|bytes| bytes == b"hello-00001"),
        "whose spans they are"
    );
    let resources = Export::decode(&*export).expect("an export").resources;
    let spans = resources
        .into_iter()
        .flat_map(|one| one.scopes)
        .flat_map(|scope| scope.spans);
    let spans: Vec<_> = spans.collect();
    assert!(spans.iter().all(|span| span.trace_id == TRACE), "{spans:?}");
    // A server's and a client's.
    let mut kinds: Vec<_> = spans.iter().map(|span| span.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [2, 3]);
    let seen = app.seen();
    assert_eq!(seen[0].header("traceparent"), Some(parent));
    assert_ne!(seen[1].header("traceparent"), Some(parent));
}
