//! Does the program as it is deployed tell of its requests what `config-observability` says?

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails there")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http::{Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tidegate_testkit::{
    body, client,
    knative::{
        api::{Api, CONFIG_MAPS, ENDPOINTS, REVISIONS},
        autoscaler::Autoscaler,
    },
    otlp,
    program::Program,
    upstream::{Upstream, answer},
    wait::eventually,
};

/// The program before one pod, and what it follows.
struct Stage {
    program: Program,
    front: SocketAddr,
    api: Api,
    pod: Upstream,
    _autoscaler: Autoscaler,
}

const HOST: &str = "hello-00001.default.svc.cluster.local";

impl Stage {
    /// Where the ConfigMap says this.
    async fn start(config: &[(&str, &str)]) -> Self {
        let (api, autoscaler) = (Api::start().await, Autoscaler::start().await);
        let pod = Upstream::start(|request| async move {
            let is_probe = request.headers().contains_key("k-network-probe");
            Response::new(body::full(if is_probe { "queue" } else { "hello" }))
        })
        .await;
        api.put(REVISIONS, revision()).await;
        api.put(ENDPOINTS, private(pod.address())).await;
        api.put(CONFIG_MAPS, config_map(config)).await;
        let start = Program::new(env!("CARGO_BIN_EXE_tidegate-activator"));
        let kubeconfig = start.file("kubeconfig", api.kubeconfig());
        let mut program = start
            .env("KUBECONFIG", kubeconfig)
            .env("POD_NAME", "activator-1")
            .env("POD_IP", "10.0.9.1")
            .env("SYSTEM_NAMESPACE", "knative-serving")
            .env("PROBE_FREQUENCY", "10ms")
            .env("PROFILING_PORT", "0")
            .env("TIDEGATE_TEST_PORTS", "0,0,0")
            .env("TIDEGATE_TEST_AUTOSCALER", autoscaler.url().to_string())
            .env("TIDEGATE_TEST_STOP_DELAY", "10ms")
            .start();
        let front = program.line("a port", |line| address(line, "listening")).await;
        Self {
            program,
            front,
            api,
            pod,
            _autoscaler: autoscaler,
        }
    }

    async fn get(&self, path: &str) -> client::Answer {
        client::get(self.front, HOST, path).await
    }

    /// Where it listens beside: it has said so before it served.
    fn beside(&self, message: &str) -> SocketAddr {
        let lines = self.program.output();
        lines.iter().find_map(|line| address(line, message)).unwrap()
    }

    async fn configure(&self, config: &[(&str, &str)]) {
        self.api.put(CONFIG_MAPS, config_map(config)).await;
    }
}

/// The address in a line with this message, as tests reach it.
fn address(line: &str, message: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let address = line["address"].as_str().filter(|_| line["message"] == message)?;
    let port: u16 = address.rsplit(':').next()?.parse().ok()?;
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn config_map(config: &[(&str, &str)]) -> Value {
    let data: serde_json::Map<_, _> = config
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"namespace": "knative-serving", "name": "config-observability"}})
}

fn revision() -> Value {
    json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
        "metadata": {"namespace": "default", "name": "hello-00001", "uid": "u", "labels": {
            "serving.knative.dev/configuration": "hello-conf", "serving.knative.dev/service": "hello"}},
        "spec": {"containerConcurrency": 1, "timeoutSeconds": 60,
            "containers": [{"image": "hello", "ports": [{"containerPort": 8080}],
                "readinessProbe": {"tcpSocket": {"port": 0}}}]},
    })
}

fn private(pod: SocketAddr) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"namespace": "default", "name": "hello-00001-private", "labels": {
            "serving.knative.dev/revision": "hello-00001", "serving.knative.dev/revisionUID": "u",
            "networking.internal.knative.dev/serviceType": "Private"}},
        "subsets": [{"notReadyAddresses": [{"ip": pod.ip()}],
            "ports": [{"name": "http", "port": pod.port(), "protocol": "TCP"}]}],
    })
}

#[tokio::test]
async fn ac_13_the_template_of_the_request_log_changes_and_goes_with_the_config_map() {
    let on = ("logging.enable-request-log", "true");
    let first = "first {{.Response.Code}} {{.Revision.Name}}/{{.Revision.Service}} '{{.TraceID}}'";
    let mut stage = Stage::start(&[on, ("logging.request-log-template", first)]).await;
    stage.get("/").await;
    let line = stage.program.line_with("first ").await;
    assert_eq!(line, "first 200 hello-00001/hello ''");
    let second = "second {{.Request.RequestURI}} {{.Response.Size}}";
    stage
        .configure(&[on, ("logging.request-log-template", second)])
        .await;
    eventually("the other template", async || {
        stage.get("/x").await;
        stage.program.output().iter().any(|line| line == "second /x 5")
    })
    .await;
    let mut rounds = 1..=8;
    while !is_off_between(&stage, rounds.next().expect("the log ends")).await {}
}

/// Turns the log off, sends requests and turns it on again; whether the last of those has no line. That is said in order: when there
/// is a line of a later request, there would be one of it. It may have been served before the program knew, so each round is longer.
async fn is_off_between(stage: &Stage, round: usize) -> bool {
    stage.configure(&[]).await;
    for _ in 0..10 * round {
        stage.get("/off").await;
    }
    let last = format!("/off/{round}/");
    stage.get(&last).await;
    let third = format!("third {round} {{{{.Request.RequestURI}}}}");
    let on = ("logging.enable-request-log", "true");
    stage
        .configure(&[on, ("logging.request-log-template", &third)])
        .await;
    let on_again = format!("third {round} /on");
    eventually("the third template", async || {
        stage.get("/on").await;
        stage.program.output().contains(&on_again)
    })
    .await;
    !stage.program.output().iter().any(|line| line.contains(&last))
}

const OWN: &str =
    r#"otel_scope_name="knative.dev/serving/pkg/activator",otel_scope_schema_url="",otel_scope_version="""#;

#[tokio::test]
async fn ac_12_ac_40_requests_and_the_autoscalers_connection_are_counted() {
    let config = [("metrics-protocol", "prometheus"), ("metrics-endpoint", ":0")];
    let stage = Stage::start(&config).await;
    let metrics = stage.beside("listening for Prometheus");
    stage.get("/").await;
    let labels = r#"k8s_namespace_name="default",kn_configuration_name="hello-conf",kn_revision_name="hello-00001",kn_service_name="hello""#;
    let http = format!(
        r#"http_request_method="GET",http_response_status_code="200",{labels},network_protocol_name="http",network_protocol_version="1.1",otel_scope_name="go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",otel_scope_schema_url="",otel_scope_version="0.69.0""#
    );
    let revision = r#"k8s_namespace_name="default",kn_revision_name="hello-00001""#;
    let port = stage.pod.address().port();
    let lines = [
        format!("kn_revision_request_concurrency{{{labels},{OWN}}} "),
        format!("kn_revision_request_queued{{{revision},{OWN}}} 0"),
        format!("kn_revision_request_active{{{revision},{OWN}}} 0"),
        format!(r#"kn_activator_stats_conn_reachable{{{OWN},peer="autoscaler"}} 1"#),
        format!(
            r#"http_server_request_duration_seconds_count{{{http},server_address="{HOST}",url_scheme="http"}} 1"#
        ),
        format!(
            r#"http_client_request_duration_seconds_count{{{http},server_address="127.0.0.1",server_port="{port}",url_scheme="http"}} 1"#
        ),
        r#"target_info{k8s_namespace_name="knative-serving",k8s_pod_name="activator-1","#.to_owned(),
    ];
    eventually("the numbers", async || {
        let page = client::get(metrics, HOST, "/metrics").await.text();
        let missing = lines.iter().find(|line| !page.contains(line.as_str()));
        missing.map_or(Ok(()), |line| Err(format!("no {line} in\n{page}")))
    })
    .await;
}

#[tokio::test]
async fn ac_10_a_request_leaves_spans_of_its_wait_and_its_way() {
    let exports = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&exports);
    let collector = Upstream::start(move |request| {
        let exports = Arc::clone(&exports);
        async move {
            let message = request.into_body().collect().await.unwrap().to_bytes();
            exports.lock().unwrap().push(otlp::spans(&message));
            answer(StatusCode::OK, "")
        }
    })
    .await;
    let endpoint = format!("http://{}", collector.address());
    let stage = Stage::start(&[
        ("tracing-protocol", "http/protobuf"),
        ("tracing-endpoint", &endpoint),
        ("tracing-sampling-rate", "1"),
    ])
    .await;
    stage.get("/path").await;
    let spans = eventually("the spans", async || kept.lock().unwrap().first().cloned()).await;
    let parent = |name: &str| {
        let span = spans.iter().find(|span| span.name == name).unwrap();
        let parent = spans.iter().find(|other| other.span_id == span.parent);
        parent.map(|parent| &*parent.name)
    };
    assert_eq!(spans.len(), 4, "{spans:?}");
    assert_eq!(parent("GET"), None);
    assert_eq!(parent("throttler_try"), Some("GET"));
    assert_eq!(parent("activator_proxy"), Some("GET"));
    assert_eq!(parent("GET /path"), Some("activator_proxy"));
}

#[tokio::test]
async fn profiles_are_not_found_unless_they_are_enabled_and_then_there_are_none_of_gos() {
    let stage = Stage::start(&[]).await;
    let address = stage.beside("listening for profiling");
    let status = async || client::get(address, HOST, "/debug/pprof/profile").await.status;
    assert_eq!(status().await, StatusCode::NOT_FOUND);
    stage.configure(&[("runtime-profiling", "enabled")]).await;
    eventually("the change", async || {
        status().await == StatusCode::NOT_IMPLEMENTED
    })
    .await;
}
