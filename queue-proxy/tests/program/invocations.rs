//! What does Prometheus scrape?

use http_body_util::BodyExt;
use tidegate_testkit::body;
use tidegate_testkit::client::{Client, get};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{self, Upstream};
use tidegate_testkit::wait::eventually;
use tidegate_testkit::wire::Wire;

use crate::rig::{HOST, PROBER, Sidecar, fed_app, listening, request};

const CONFIG: &str = r#"{"requestMetrics":{"protocol":"prometheus","endpoint":":0"}}"#;

/// Scrapes until the page has these lines.
async fn scraped(sidecar: &mut Sidecar, lines: &[&str]) -> String {
    let address = listening(&mut sidecar.program, "metrics").await;
    eventually("the numbers", async || {
        let page = get(address, HOST, "/metrics").await.text();
        let missing = lines.iter().find(|line| !page.contains(**line));
        missing.map_or(Ok(page.clone()), |line| Err(format!("no {line} in\n{page}")))
    })
    .await
}

#[tokio::test]
async fn qp_19_invocations_are_measured_by_status_and_probes_are_not() {
    let app = Upstream::fixed(http::StatusCode::CREATED, "made").await;
    let variables = [("OBSERVABILITY_CONFIG", CONFIG), ("CONTAINER_CONCURRENCY", "5")];
    let mut sidecar = Sidecar::start(app.address(), &variables).await;
    sidecar.get(&[]).await;
    for probe in [
        ("k-kubelet-probe", "1"),
        ("k-network-probe", "queue"),
        ("user-agent", PROBER),
    ] {
        sidecar.get(&[probe]).await;
    }
    let page = scraped(
        &mut sidecar,
        &[
            r#"kn_serving_invocation_duration_seconds_count{http_response_status_code="201","#,
            r#"kn_serving_queue_depth{otel_scope_name="knative.dev/serving/pkg/queue","#,
            r#"kn_revision_name="hello-00001""#,
        ],
    )
    .await;
    let count = page
        .lines()
        .find(|line| line.contains("seconds_count"))
        .expect("it is there");
    assert!(count.ends_with(" 1"), "{count}");
}

#[tokio::test]
async fn an_application_that_does_not_listen_counts_as_502() {
    let nobody = upstream::nobody().await;
    let mut sidecar = Sidecar::start(nobody, &[("OBSERVABILITY_CONFIG", CONFIG)]).await;
    sidecar.get(&[]).await;
    let page = scraped(
        &mut sidecar,
        &[r#"seconds_count{http_response_status_code="502","#],
    )
    .await;
    assert!(!page.contains("queue_depth"), "there is no queue");
}

#[tokio::test]
async fn a_response_that_does_not_pass_as_a_whole_counts_as_500() {
    for is_time_over in [false, true] {
        let (feed, app) = fed_app().await;
        let timeout = if is_time_over { "1" } else { "60" };
        let variables = [
            ("OBSERVABILITY_CONFIG", CONFIG),
            ("REVISION_TIMEOUT_SECONDS", timeout),
        ];
        let mut sidecar = Sidecar::start(app.address(), &variables).await;
        let mut wire = Wire::connect(sidecar.main).await;
        wire.send(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
            .await;
        feed.data("foo").await;
        wire.head().await;
        if !is_time_over {
            drop(wire);
        }
        feed.dropped().await;
        let status = r#"seconds_count{http_response_status_code="500","#;
        scraped(&mut sidecar, &[status]).await;
    }
}

#[tokio::test]
async fn a_request_whose_client_leaves_before_an_answer_counts_as_200() {
    let app = Upstream::held(&Gate::closed()).await;
    let mut sidecar = Sidecar::start(app.address(), &[("OBSERVABILITY_CONFIG", CONFIG)]).await;
    let mut wire = Wire::connect(sidecar.main).await;
    wire.send(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
        .await;
    eventually("the request", async || match app.seen().len() {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    })
    .await;
    drop(wire);
    let status = r#"seconds_count{http_response_status_code="200","#;
    scraped(&mut sidecar, &[status]).await;
}

/// What OpenTelemetry's library says of every series.
const OTELHTTP: &str = r#"otel_scope_name="go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",otel_scope_schema_url="",otel_scope_version="0.69.0""#;

#[tokio::test]
async fn qp_20_numbers_of_http_are_told_by_tag_on_both_sides() {
    let app = Upstream::fixed(http::StatusCode::CREATED, "made").await;
    let mut sidecar = Sidecar::start(app.address(), &[("OBSERVABILITY_CONFIG", CONFIG)]).await;
    sidecar.get(&[]).await;
    let mut tagged = request(&[("knative-serving-tag", "blue")]);
    *tagged.method_mut() = http::Method::POST;
    *tagged.body_mut() = body::full("seven..");
    Client::http1(sidecar.main).await.call(tagged).await;
    sidecar
        .get(&[("k-network-probe", "queue"), ("user-agent", PROBER)])
        .await;
    let protocol = r#"network_protocol_name="http",network_protocol_version="1.1""#;
    let served = |method, tag| {
        format!(
            r#"http_request_method="{method}",http_response_status_code="201",kn_route_tag="{tag}",{protocol},{OTELHTTP},server_address="{HOST}",url_scheme="http""#
        )
    };
    let port = app.address().port();
    let asked = format!(
        r#"http_request_method="POST",http_response_status_code="201",kn_route_tag="blue",{protocol},{OTELHTTP},server_address="127.0.0.1",server_port="{port}",url_scheme="http""#
    );
    let (get, post) = (served("GET", "kn:disabled"), served("POST", "blue"));
    let lines = [
        format!(r#"http_server_request_duration_seconds_bucket{{{get},le="10"}} 1"#),
        format!("http_server_response_body_size_bytes_sum{{{get}}} 4"),
        format!(r#"http_server_request_body_size_bytes_bucket{{{post},le="10"}} 1"#),
        format!("http_server_request_body_size_bytes_sum{{{post}}} 7"),
        format!(r#"http_client_request_duration_seconds_bucket{{{asked},le="10"}} 1"#),
        format!("http_client_request_body_size_bytes_sum{{{asked}}} 7"),
    ];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let page = scraped(&mut sidecar, &lines).await;
    let series = page
        .lines()
        .filter(|line| line.starts_with("http_server_request_duration_seconds_count"));
    assert_eq!(series.count(), 2, "probes are not told of\n{page}");
}

#[tokio::test]
async fn numbers_are_sent_where_the_operator_says() {
    let (sender, received) = std::sync::mpsc::channel();
    let collector = Upstream::start(move |request| {
        let sender = sender.clone();
        async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.expect("a body").to_bytes();
            _ = sender.send((path, body));
            upstream::answer(http::StatusCode::OK, "")
        }
    })
    .await;
    let config = format!(
        r#"{{"requestMetrics":{{"protocol":"http/protobuf","endpoint":"http://{}","exportInterval":20000000}}}}"#,
        collector.address()
    );
    let app = Upstream::echo().await;
    let sidecar = Sidecar::start(app.address(), &[("OBSERVABILITY_CONFIG", &config)]).await;
    sidecar.get(&[]).await;
    let has = |body: &[u8], text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
    let path = eventually("the numbers", async || {
        let (path, body) = received.try_recv().map_err(|_| "nothing".to_owned())?;
        let wanted = [
            "kn.serving.invocation.duration",
            "http.server.request.duration",
            "hello-00001",
        ];
        let missing = wanted.iter().find(|text| !has(&body, text));
        match missing {
            None => Ok(path),
            Some(text) => Err(format!("no {text}")),
        }
    })
    .await;
    assert_eq!(path, "/v1/metrics");
}
