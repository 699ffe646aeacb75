//! Which spans does a collector get, and which context does an upstream see?

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use support::{Front, HOST};
use tidegate_proxy::config::http::HttpSettings;
use tidegate_proxy::drain::Drain;
use tidegate_proxy::observe::trace::{
    ClientContext, Collector, Exporter, FieldBegins, Tracing, TracingSettings,
};
use tidegate_proxy::process;
use tidegate_testkit::body::{fed, full};
use tidegate_testkit::client::{Client, get, get_request};
use tidegate_testkit::otlp;
use tidegate_testkit::upstream::{Upstream, nobody};
use tidegate_testkit::wait::{eventually, soon};

/// The spans that a collector has got.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<otlp::Span>>>);

impl Spans {
    fn add(&self, message: &[u8]) {
        self.0
            .lock()
            .expect("no panic so far")
            .extend(otlp::spans(message));
    }

    /// All of them, once there are `count`.
    async fn become_many(&self, count: usize) -> Vec<otlp::Span> {
        eventually("the spans", async || {
            let spans = self.0.lock().expect("no panic so far").clone();
            (spans.len() == count).then_some(spans)
        })
        .await
    }
}

/// A collector by HTTP that is busy for the first so many exports.
async fn collector(busy: usize) -> (Upstream, Spans) {
    let (spans, left) = (Spans::default(), Arc::new(Mutex::new(busy)));
    let kept = spans.clone();
    let upstream = Upstream::start(move |request: Request<Incoming>| {
        let (spans, left) = (spans.clone(), Arc::clone(&left));
        async move {
            let message = request.into_body().collect().await.expect("a body").to_bytes();
            let mut response = Response::new(full(Bytes::new()));
            let mut left = left.lock().expect("no panic so far");
            if *left > 0 {
                *left -= 1;
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                let now = HeaderValue::from_static("0");
                response.headers_mut().insert("retry-after", now);
            } else {
                spans.add(&message);
            }
            response
        }
    });
    (upstream.await, kept)
}

fn settings(client: ClientContext) -> TracingSettings {
    TracingSettings {
        client,
        ..TracingSettings::new("test")
    }
}

fn traced(tracing: &Tracing) -> HttpSettings {
    HttpSettings {
        tracing: Some(tracing.clone()),
        ..HttpSettings::default()
    }
}

/// Sends what is queued at the end of the drain, as a process does.
async fn flush(exporter: Exporter, collector: Collector) {
    let (drain, watch) = Drain::new();
    let running = process::spawn(
        "exporter",
        watch.unguarded(),
        exporter.run(collector, watch.clone()),
    );
    drain.finish(Duration::ZERO).await;
    soon("the flush", running).await.expect("no panic");
}

fn by_http(upstream: &Upstream) -> Collector {
    Collector::http(&format!("http://{}/v1/traces", upstream.address())).expect("an address")
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn with_parent(parent: &str) -> Request<tidegate_testkit::body::Body> {
    let mut request = get_request(HOST, "/path?secret");
    let parent = HeaderValue::try_from(parent).expect("a value");
    request.headers_mut().insert("traceparent", parent);
    let state = HeaderValue::from_static("vendor=1");
    request.headers_mut().insert("tracestate", state);
    request
}

#[tokio::test]
async fn a_request_is_a_part_of_its_clients_trace_and_its_try_a_part_of_it() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (tracing, exporter) = Tracing::new(settings(ClientContext::Continue));
    let front = Front::speaking(traced(&tracing), upstream.address());
    Client::http1(front.address).await.call(with_parent(PARENT)).await;
    front.at_rest().await;
    let (collector, spans) = collector(0).await;
    flush(exporter, by_http(&collector)).await;
    let spans = spans.become_many(2).await;
    let (server, client) = (&spans[0], &spans[1]);
    assert_eq!((server.kind, server.name.as_str(), client.kind), (2, "GET", 3));
    assert_eq!(otlp::hex(&server.trace_id), &PARENT[3..35]);
    assert_eq!(otlp::hex(&server.parent), &PARENT[36..52]);
    assert_eq!(
        (&client.trace_id, &client.parent),
        (&server.trace_id, &server.span_id)
    );
    assert!(
        server.start <= client.start && client.end <= server.end,
        "{spans:?}"
    );
    let seen = upstream.seen()[0].clone();
    let told = format!("00-{}-{}-01", &PARENT[3..35], otlp::hex(&client.span_id));
    assert_eq!(seen.header("traceparent"), Some(&*told));
    assert_eq!(seen.header("tracestate"), Some("vendor=1"));
    assert_eq!(server.says("url.path"), "/path");
    assert_eq!(server.says("http.response.status_code"), "200");
    assert_eq!(client.says("server.port"), upstream.address().port().to_string());
}

#[tokio::test]
async fn a_client_that_nobody_knows_starts_no_trace_of_its_own() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (tracing, _exporter) = Tracing::new(settings(ClientContext::Replace));
    let front = Front::speaking(traced(&tracing), upstream.address());
    Client::http1(front.address).await.call(with_parent(PARENT)).await;
    let seen = upstream.seen()[0].clone();
    let told = seen.header("traceparent").expect("a context");
    assert_ne!(&told[..35], &PARENT[..35]);
    assert_eq!(seen.header("tracestate"), None);
}

#[tokio::test]
async fn what_is_not_sampled_leaves_no_span_and_says_so() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let never = TracingSettings {
        sample_per_million: 0,
        ..TracingSettings::new("test")
    };
    let (tracing, exporter) = Tracing::new(never);
    let front = Front::speaking(traced(&tracing), upstream.address());
    let mut client = Client::http1(front.address).await;
    client.get(HOST, "/").await;
    // The client's decision counts more than the share.
    client.call(with_parent(PARENT)).await;
    front.at_rest().await;
    let seen = upstream.seen();
    assert!(seen[0].header("traceparent").expect("a context").ends_with("-00"));
    let (collector, spans) = collector(0).await;
    flush(exporter, by_http(&collector)).await;
    spans.become_many(2).await;
}

#[tokio::test]
async fn a_clients_word_on_sampling_may_be_overruled() {
    for (client, said, sample_per_million, sampled) in [
        (ClientContext::Continue, "-00", 1_000_000, "-00"),
        (ClientContext::ContinueByRate, "-00", 1_000_000, "-01"),
        (ClientContext::ContinueByRate, "-01", 0, "-00"),
    ] {
        let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
        let (tracing, _exporter) = Tracing::new(TracingSettings {
            sample_per_million,
            ..settings(client)
        });
        let front = Front::speaking(traced(&tracing), upstream.address());
        let parent = format!("{}{said}", &PARENT[..52]);
        Client::http1(front.address)
            .await
            .call(with_parent(&parent))
            .await;
        let told = upstream.seen()[0]
            .header("traceparent")
            .expect("a context")
            .to_owned();
        assert_eq!((&told[..35], &told[52..]), (&PARENT[..35], sampled));
    }
}

#[tokio::test]
async fn what_is_not_to_be_traced_leaves_no_span_and_keeps_its_context() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let untraced = FieldBegins {
        name: http::header::USER_AGENT,
        with: "probe/",
    };
    let settings = TracingSettings {
        untraced: vec![untraced],
        ..TracingSettings::new("test")
    };
    let (tracing, exporter) = Tracing::new(settings);
    let front = Front::speaking(traced(&tracing), upstream.address());
    let mut client = Client::http1(front.address).await;
    for agent in ["probe/1", "a probe/1"] {
        let mut request = with_parent(PARENT);
        request.headers_mut().insert("user-agent", agent.parse().unwrap());
        client.call(request).await;
    }
    front.at_rest().await;
    let seen = upstream.seen();
    assert_eq!(seen[0].header("traceparent"), Some(PARENT));
    assert_ne!(seen[1].header("traceparent"), Some(PARENT));
    let (collector, spans) = collector(0).await;
    flush(exporter, by_http(&collector)).await;
    spans.become_many(2).await;
}

#[tokio::test]
async fn without_tracing_the_context_passes_as_it_came() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let front = Front::to(upstream.address());
    Client::http1(front.address).await.call(with_parent(PARENT)).await;
    assert_eq!(upstream.seen()[0].header("traceparent"), Some(PARENT));
}

#[tokio::test]
async fn a_failure_has_its_reason_in_both_spans() {
    let (tracing, exporter) = Tracing::new(settings(ClientContext::Continue));
    let front = Front::speaking(traced(&tracing), nobody().await);
    get(front.address, HOST, "/").await;
    front.at_rest().await;
    let (collector, spans) = collector(0).await;
    flush(exporter, by_http(&collector)).await;
    for span in spans.become_many(2).await {
        assert_eq!(span.says("error.type"), "connect_failed", "{span:?}");
    }
}

#[tokio::test]
async fn a_busy_collector_is_tried_again() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (tracing, exporter) = Tracing::new(settings(ClientContext::Continue));
    let front = Front::speaking(traced(&tracing), upstream.address());
    get(front.address, HOST, "/").await;
    front.at_rest().await;
    let (collector, spans) = collector(2).await;
    flush(exporter, by_http(&collector)).await;
    spans.become_many(2).await;
    assert_eq!(collector.counts().requests(), 3);
}

#[tokio::test]
async fn spans_go_by_grpc_too_while_the_proxy_runs() {
    let spans = Spans::default();
    let kept = spans.clone();
    let collector = Upstream::start(move |request: Request<Incoming>| {
        let spans = spans.clone();
        async move {
            assert_eq!(
                request.uri().path(),
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
            );
            let message = request.into_body().collect().await.expect("a body").to_bytes();
            spans.add(&message[5..]);
            let (feed, body) = fed();
            let status = HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                HeaderValue::from_static("0"),
            )]);
            feed.data(vec![0; 5]).await;
            feed.trailers(status).await;
            Response::new(body)
        }
    })
    .await;
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (tracing, exporter) = Tracing::new(settings(ClientContext::Continue));
    let front = Front::speaking(traced(&tracing), upstream.address());
    let address = Collector::grpc(&format!("http://{}", collector.address())).expect("an address");
    let run = exporter.run(address, front.watch.clone());
    process::spawn("exporter", front.watch.unguarded(), run);
    get(front.address, HOST, "/").await;
    kept.become_many(2).await;
}

#[test]
fn an_address_that_is_none_is_told_with_what_it_should_look_like() {
    let error = Collector::http("collector:4318").expect_err("no scheme");
    assert_eq!(
        error.to_string(),
        "'collector:4318' is no address of a collector: it has to look like http://HOST:PORT/v1/traces"
    );
    Collector::grpc("ftp://collector").expect_err("that is not spoken");
}
