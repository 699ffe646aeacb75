//! Does each program say to the others what Knative's would, byte for byte? The others are scripts here.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use tidegate_testkit::client::get;
use tidegate_testkit::knative::api::{Api, ENDPOINTS, REVISIONS};
use tidegate_testkit::knative::autoscaler::Autoscaler;
use tidegate_testkit::knative::vectors::{self, Exchange, canonical};
use tidegate_testkit::kourier::Service;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream, nobody};
use tidegate_testkit::wait::eventually;
use tidegate_testkit::wire::{Message, Wire};

use crate::cluster::{endpoints_object, revision_object};
use crate::pods::Sidecar;
use crate::programs::{Activator, Ingress};

/// The pod of the vectors.
const POD: (&str, &str) = ("hello-00001", "hello-00001-abc");

/// What comes back for exactly these bytes.
async fn answer(address: SocketAddr, request: &str) -> String {
    let mut wire = Wire::connect(address).await;
    wire.send(request).await;
    whole(&wire.message().await)
}

fn whole(message: &Message) -> String {
    canonical(&format!("{}{}", message.head.text(), message.text()))
}

async fn check(address: SocketAddr, exchanges: &[Exchange]) {
    for exchange in exchanges {
        let expected = canonical(exchange.response);
        assert_eq!(
            answer(address, exchange.request).await,
            expected,
            "{}",
            exchange.request
        );
    }
}

/// A server that answers by a script, and keeps what it was sent.
struct Script {
    server: RawUpstream,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// Answers activators' probes as a sidecar does, and all else with `hello`.
    async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&seen);
        let server = RawUpstream::start(move |mut connection: RawConnection| {
            let all = Arc::clone(&all);
            async move {
                let message = connection.wire.message().await;
                let is_probe = message.head.start_line().starts_with("GET /healthz ");
                all.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(whole(&message));
                let answer = if is_probe {
                    vectors::SIDECAR_READY[1].response
                } else {
                    HELLO
                };
                connection.wire.send(answer).await;
            }
        });
        Self {
            server: server.await,
            seen,
        }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[tokio::test]
async fn a_sidecar_answers_probes_until_it_drains() {
    let app = Upstream::echo().await;
    let sidecar = Sidecar::start(app.address(), POD, 0).await;
    check(sidecar.address, &vectors::SIDECAR_READY).await;
    assert!(app.seen().is_empty(), "the application gets none of them");
    sidecar.terminate();
    for Exchange { request, .. } in vectors::SIDECAR_READY {
        eventually("the drain", async || {
            // A request keeps the drain from its end.
            assert_eq!(get(sidecar.address, "hello", "/").await.status, 200);
            let seen = answer(sidecar.address, request).await;
            if seen == canonical(vectors::SIDECAR_DRAINS) {
                Ok(())
            } else {
                Err(seen)
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_sidecar_says_that_its_application_is_not_ready() {
    let sidecar = Sidecar::start(nobody().await, POD, 0).await;
    check(sidecar.address, &[vectors::SIDECAR_NOT_READY]).await;
}

#[tokio::test]
async fn a_sidecar_gives_the_application_the_request_as_its_client_sent_it() {
    let app = Script::start().await;
    let sidecar = Sidecar::start(app.address(), POD, 1).await;
    let sent = vectors::ACTIVATOR_SENDS.replace("{pod}", "10.0.0.7:8012");
    assert_eq!(answer(sidecar.address, &sent).await, canonical(HELLO));
    assert_eq!(app.seen(), [canonical(vectors::SIDECAR_SENDS)]);
}

#[tokio::test]
async fn a_sidecar_reports_its_name_at_least() {
    let sidecar = Sidecar::start(nobody().await, POD, 0).await;
    let page = get(sidecar.stats, "10.0.0.7:9090", "/metrics").await;
    assert_eq!(page.header("content-type"), Some("application/protobuf"));
    assert!(page.body.starts_with(vectors::STAT_AT_FIRST), "{:?}", page.body);
}

#[tokio::test]
async fn an_activator_answers_probes_until_it_ends() {
    let (api, autoscaler) = (Api::start().await, Autoscaler::start().await);
    let activator = Activator::start(1, &api.kubeconfig(), &autoscaler.url().to_string(), 2).await;
    activator.says(200).await;
    for address in &activator.addresses {
        check(*address, &vectors::ACTIVATOR_HEALTHY).await;
    }
    activator.terminate().await;
    let ends = answer(activator.addresses[0], vectors::KUBELET_ASKS).await;
    assert_eq!(ends, canonical(vectors::ACTIVATOR_ENDS));
}

#[tokio::test]
async fn an_activator_without_an_autoscaler_is_unhealthy() {
    let api = Api::start().await;
    let activator = Activator::start(1, &api.kubeconfig(), &format!("ws://{}", nobody().await), 2).await;
    let seen = answer(activator.addresses[0], vectors::KUBELET_ASKS).await;
    assert_eq!(seen, canonical(vectors::ACTIVATOR_UNCONNECTED));
}

#[tokio::test]
async fn an_activator_pokes_the_autoscaler_asks_the_pod_and_sends_it_the_request() {
    let (api, autoscaler) = (Api::start().await, Autoscaler::start().await);
    let port = json!({"containerPort": 8080});
    api.put(REVISIONS, revision_object("hello-00001", &port)).await;
    let activator = Activator::start(1, &api.kubeconfig(), &autoscaler.url().to_string(), 2).await;
    activator.says(200).await;
    let pod = Script::start().await;
    let mut wire = Wire::connect(activator.addresses[0]).await;
    wire.send(vectors::INGRESS_SENDS).await;
    eventually("the poke", async || {
        autoscaler
            .bytes()
            .first()
            .is_some_and(|frame| frame == vectors::POKE)
    })
    .await;
    let subset = json!({"notReadyAddresses": [{"ip": "127.0.0.1"}],
        "ports": [{"name": "http", "port": pod.address().port()}]});
    let private = ("hello-00001-private", "Private");
    api.put(ENDPOINTS, endpoints_object("hello-00001", private, &[subset]))
        .await;
    assert_eq!(wire.message().await.text(), "hello");
    let expected = [vectors::ACTIVATOR_ASKS, vectors::ACTIVATOR_SENDS];
    let expected = expected.map(|text| canonical(&text.replace("{pod}", &pod.address().to_string())));
    assert_eq!(pod.seen(), expected);
    eventually("its last word", async || {
        autoscaler
            .bytes()
            .last()
            .is_some_and(|frame| frame == vectors::AT_REST)
    })
    .await;
}

#[tokio::test]
async fn an_ingress_names_the_revision_and_lets_no_client_pose_as_a_part_of_the_cluster() {
    let activator = Script::start().await;
    let service = Service::numbered(1, vec![activator.address()]);
    let ingress = Ingress::start().await;
    ingress.leads_to(std::slice::from_ref(&service)).await;
    let host = service.external_host();
    let forged = "K-Original-Host: other\r\nK-Proxy-Request: activator\r\nKnative-Serving-Revision: other\r\n\
        K-Network-Probe: queue\r\nUser-Agent: Knative-Activator-Probe\r\nK-Kubelet-Probe: 1";
    let probe = "K-Network-Probe: probe\r\nK-Network-Hash: override";
    for fields in [forged, probe] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n\r\n");
        assert_eq!(
            answer(ingress.address(), &request).await.lines().next(),
            Some("HTTP/1.1 200 OK")
        );
    }
    let of_knative = |seen: &String| -> Vec<String> {
        let is_knatives = |line: &&str| {
            ["host: ", "k-", "knative-", "user-agent: "]
                .iter()
                .any(|of| line.starts_with(of))
        };
        seen.lines().filter(is_knatives).map(str::to_owned).collect()
    };
    let (host, revision) = (
        format!("host: {host}"),
        format!("knative-serving-revision: {}", service.revision),
    );
    let namespace = "knative-serving-namespace: default".to_owned();
    let seen = activator.seen();
    assert_eq!(
        of_knative(&seen[0]),
        [host.clone(), namespace.clone(), revision.clone()]
    );
    let (hash, probe) = (
        format!("k-network-hash: {}", service.hash),
        "k-network-probe: probe".to_owned(),
    );
    assert_eq!(of_knative(&seen[1]), [host, hash, probe, namespace, revision]);
}
