//! Does the program as it is deployed follow a Kubernetes API server?

use std::{net::SocketAddr, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{Response, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};
use tidegate_testkit::{
    body,
    certificates::Authority,
    client::{self, Client},
    knative::api::{Api, CONFIG_MAPS, ENDPOINTS, REVISIONS, SECRETS, SERVICES},
    knative::autoscaler::Autoscaler,
    program::Program,
    tls,
    upstream::{Upstream, nobody},
    wait::eventually,
};

/// The program, an API server and an autoscaler.
struct Stage {
    program: Program,
    /// For the two protocols, and for TLS where the cluster asks for it.
    ports: Vec<SocketAddr>,
    api: Api,
    autoscaler: Autoscaler,
}

const HOST: &str = "hello-00001.default.svc.cluster.local";

impl Stage {
    async fn start() -> Self {
        Self::with(Api::start().await, 2).await
    }

    /// In a cluster with these objects too; waits until it listens on this many ports.
    async fn with(api: Api, ports: usize) -> Self {
        Self::told(api, ports, &[]).await
    }

    /// The same, with these variables too.
    async fn told(api: Api, ports: usize, variables: &[(&str, &str)]) -> Self {
        let autoscaler = Autoscaler::start().await;
        api.put(REVISIONS, revision("hello-00001")).await;
        let start = Program::new(env!("CARGO_BIN_EXE_tidegate-activator"));
        let start = variables
            .iter()
            .fold(start, |start, (name, value)| start.env(name, value));
        let kubeconfig = start.file("kubeconfig", api.kubeconfig());
        let mut program = start
            .env("KUBECONFIG", kubeconfig)
            .env("POD_NAME", "activator-1")
            .env("POD_IP", "10.0.9.1")
            .env("SYSTEM_NAMESPACE", "knative-serving")
            .env("PROBE_FREQUENCY", "10ms")
            .env("TIDEGATE_TEST_PORTS", "0,0,0")
            .env("TIDEGATE_TEST_AUTOSCALER", autoscaler.url().to_string())
            .env("TIDEGATE_TEST_STOP_DELAY", "10ms")
            .start();
        let port = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let address = line["address"]
                .as_str()
                .filter(|_| line["message"] == "listening")?;
            address.rsplit(':').next()?.parse().ok()
        };
        let mut ports = vec![SocketAddr::from(([127, 0, 0, 1], 0)); ports];
        for address in &mut ports {
            address.set_port(program.line("a port", port).await);
        }
        Self {
            program,
            ports,
            api,
            autoscaler,
        }
    }

    async fn list(&self, pods: &[SocketAddr]) {
        self.api.put(ENDPOINTS, private(pods)).await;
    }

    async fn get(&self) -> client::Answer {
        client::get(self.ports[0], HOST, "/").await
    }
}

fn revision(name: &str) -> Value {
    json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
        "metadata": {"namespace": "default", "name": name, "uid": "u", "labels": {
            "serving.knative.dev/configuration": "hello", "serving.knative.dev/service": "hello"}},
        "spec": {"containerConcurrency": 1, "timeoutSeconds": 60,
            "containers": [{"image": "hello", "ports": [{"containerPort": 8080}],
                "readinessProbe": {"tcpSocket": {"port": 0}}}]},
    })
}

fn private(pods: &[SocketAddr]) -> Value {
    let subset = |pod: &SocketAddr| {
        json!({"notReadyAddresses": [{"ip": pod.ip()}],
            "ports": [{"name": "http", "port": pod.port(), "protocol": "TCP"}]})
    };
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"namespace": "default", "name": "hello-00001-private", "labels": {
            "serving.knative.dev/revision": "hello-00001", "serving.knative.dev/revisionUID": "u",
            "networking.internal.knative.dev/serviceType": "Private"}},
        "subsets": pods.iter().map(subset).collect::<Vec<_>>(),
    })
}

/// A pod that is ready, and answers with its own name.
async fn pod(name: &'static str) -> Upstream {
    Upstream::start(move |request| async move {
        let is_probe = request.headers().contains_key("k-network-probe");
        Response::new(body::full(if is_probe { "queue" } else { name }))
    })
    .await
}

#[tokio::test]
async fn requests_follow_the_pods_that_the_cluster_lists() {
    let stage = Stage::start().await;
    let [first, second] = [pod("first").await, pod("second").await];
    let addresses = [first.address()];
    let ((), answer) = tokio::join!(stage.list(&addresses), stage.get());
    assert_eq!(answer.text(), "first", "it waited for the pod");
    stage.list(&[second.address()]).await;
    eventually("the other pod", async || stage.get().await.text() == "second").await;
    let poke = stage
        .autoscaler
        .frame("the poke", |frame| !frame.messages.is_empty())
        .await;
    assert_eq!(poke.messages[0].name, "hello-00001");
}

/// The service of the revision's pods, at this address.
fn service(at: SocketAddr) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "default", "name": "hello-00001-private", "labels": {
            "networking.internal.knative.dev/serviceType": "Private"}},
        "spec": {"clusterIP": at.ip(), "ports": [{"name": "http", "port": at.port()}]},
    })
}

#[tokio::test]
async fn pods_that_cannot_be_reached_are_reached_by_their_service_wherever_that_is() {
    let stage = Stage::start().await;
    // As many as are ready count behind a service.
    let mut private = private(&[nobody().await]);
    let subset = private["subsets"][0].as_object_mut().unwrap();
    let addresses = subset.remove("notReadyAddresses").unwrap();
    subset.insert("addresses".to_owned(), addresses);
    let behind = pod("behind the service").await;
    let (answer, ()) = tokio::join!(stage.get(), async {
        stage.api.put(ENDPOINTS, private).await;
        stage.api.put(SERVICES, service(nobody().await)).await;
        stage.api.put(SERVICES, service(behind.address())).await;
    });
    assert_eq!(answer.text(), "behind the service");
    let asked = stage.api.asked();
    assert!(
        !asked.iter().any(|path| path.contains("/namespaces/default/")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn revisions_come_and_go_with_the_cluster_also_while_nobody_watches() {
    let stage = Stage::start().await;
    let unknown = async |name: &str| {
        let host = format!("{name}.default.svc.cluster.local");
        let probe = [("k-network-probe", "")];
        let mut request = client::get_request(&host, "/");
        request
            .headers_mut()
            .insert(probe[0].0, http::HeaderValue::from_static(probe[0].1));
        // A revision that is known parks the request; one that is not answers at once.
        let answer = tokio::time::timeout(std::time::Duration::from_millis(200), async {
            Client::http1(stage.ports[1]).await.call(request).await
        });
        answer
            .await
            .is_ok_and(|answer| answer.status == StatusCode::NOT_FOUND)
    };
    assert!(unknown("other").await && !unknown("hello-00001").await);
    stage.api.put(REVISIONS, revision("other")).await;
    eventually("the other revision", async || !unknown("other").await).await;
    stage.api.delete(REVISIONS, "other").await;
    eventually("it to be gone", async || unknown("other").await).await;
    stage.api.lose(REVISIONS, "hello-00001");
    eventually("the first to be missed", async || unknown("hello-00001").await).await;
}

#[tokio::test]
async fn it_tells_the_kubelet_and_ends_when_it_is_told() {
    let mut stage = Stage::start().await;
    let kubelet = || {
        let mut request = client::get_request("10.0.9.1:8012", "/");
        let agent = http::HeaderValue::from_static("kube-probe/1.33");
        request.headers_mut().insert("user-agent", agent);
        request
    };
    eventually("health", async || {
        Client::http1(stage.ports[0]).await.call(kubelet()).await.status == StatusCode::OK
    })
    .await;
    stage.program.signal(Signal::TERM);
    assert!(stage.program.exit().await.success());
}

#[tokio::test]
async fn it_says_what_its_environment_lacks() {
    let mut program = Program::new(env!("CARGO_BIN_EXE_tidegate-activator")).start();
    program.line_with("required key POD_IP missing value").await;
    assert_eq!(program.exit().await.code(), Some(1));
}

/// The program's secret, by this authority.
fn secret(authority: &Authority) -> Value {
    let identity = authority.server("kn-routing");
    let text = |text: &str| BASE64_STANDARD.encode(text);
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"namespace": "knative-serving", "name": "routing-serving-certs"},
        "data": {"ca.crt": text(&authority.pem), "tls.crt": text(&identity.certificate_pem),
            "tls.key": text(&identity.key_pem)},
    })
}

fn config_map(name: &str, labels: &Value, data: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"namespace": "knative-serving", "name": name, "labels": labels},
    })
}

#[tokio::test]
async fn where_the_cluster_asks_for_tls_it_shows_the_secrets_certificate_whatever_it_becomes() {
    let [first, second] = ["first", "second"].map(Authority::new);
    let api = Api::start().await;
    let network = json!({"system-internal-tls": "Enabled"});
    api.put(CONFIG_MAPS, config_map("config-network", &json!({}), &network))
        .await;
    let bundle = json!({"networking.knative.dev/trust-bundle": "true"});
    api.put(
        CONFIG_MAPS,
        config_map("extra", &bundle, &json!({"a.pem": second.pem})),
    )
    .await;
    api.put(SECRETS, secret(&first)).await;
    let stage = Stage::with(api, 3).await;
    let shows = async |authority: &Authority| {
        let config = Arc::new(authority.client_config(&[], None));
        tls::connect(stage.ports[2], "kn-routing", &config).await.is_ok()
    };
    assert!(shows(&first).await && !shows(&second).await);
    stage.api.put(SECRETS, secret(&second)).await;
    eventually("the successor", async || shows(&second).await).await;
}

#[tokio::test]
async fn where_the_cluster_asks_for_tls_and_has_no_secret_it_says_so() {
    let api = Api::start().await;
    let network = json!({"system-internal-tls": "Enabled"});
    api.put(CONFIG_MAPS, config_map("config-network", &json!({}), &network))
        .await;
    let mut stage = Stage::with(api, 0).await;
    stage.program.line_with("no secret routing-serving-certs").await;
    assert_eq!(stage.program.exit().await.code(), Some(1));
}

/// A cluster that asks for TLS, with a certificate of this authority.
async fn encrypted(authority: &Authority) -> Api {
    let api = Api::start().await;
    let network = json!({"system-internal-tls": "Enabled"});
    api.put(CONFIG_MAPS, config_map("config-network", &json!({}), &network))
        .await;
    api.put(SECRETS, secret(authority)).await;
    api
}

#[tokio::test]
async fn tls_is_spoken_in_the_versions_that_the_environment_says() {
    let authority = Authority::new("versions");
    let config = Arc::new(authority.client_config(&[], None));
    let only_12 = [
        ("ACTIVATOR_TLS_MIN_VERSION", "1.2"),
        ("ACTIVATOR_TLS_MAX_VERSION", "1.2"),
    ];
    for (variables, expected) in [(&only_12[..], "TLSv1_2"), (&[], "TLSv1_3")] {
        let stage = Stage::told(encrypted(&authority).await, 3, variables).await;
        let stream = tls::connect(stage.ports[2], "kn-routing", &config).await.unwrap();
        let version = stream.get_ref().1.protocol_version().unwrap();
        assert_eq!(format!("{version:?}"), expected);
    }
    let unknown = [("ACTIVATOR_TLS_CURVE_PREFERENCES", "P-1")];
    let mut stage = Stage::told(encrypted(&authority).await, 0, &unknown).await;
    let line = stage.program.line_with("ACTIVATOR_TLS_CURVE_PREFERENCES").await;
    assert!(line.contains("P-1"), "{line}");
    assert_eq!(stage.program.exit().await.code(), Some(1));
}
