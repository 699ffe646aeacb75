//! Does the whole program work: from what the cluster tells, over pods that are asked, to requests and reports?

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails there")]

mod support;

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use http::{Response, StatusCode};
use serde_json::json;
use tidegate_activator::{
    backends::{
        Mesh,
        endpoints::{Endpoints, Service},
        watch::Pace,
    },
    certificates::Secret,
    program::{Program, Settings, StartError, network::Network},
    world::{Event, Found, Key, RevisionFacts, World},
};
use tidegate_proxy::{drain::Drain, layers::timeout::Timeouts};
use tidegate_testkit::{
    body,
    certificates::Authority,
    client,
    client::Client,
    gate::Gate,
    knative::autoscaler::Autoscaler,
    tls,
    upstream::Upstream,
    wait::{eventually, soon},
};
use tokio::{sync::mpsc, task::JoinSet};

struct NoServices;

impl World for NoServices {
    fn service<'a>(&'a self, _namespace: &'a str, _name: &'a str) -> Found<'a, Service> {
        Box::pin(async { None })
    }
}

/// The program in a cluster with the one revision `default/hello-00001`.
struct Stage {
    program: Program,
    autoscaler: Autoscaler,
    events: mpsc::Sender<Event>,
}

const HOST: &str = "hello-00001.default.svc.cluster.local";

fn key() -> Key {
    Key {
        namespace: "default".to_owned(),
        name: "hello-00001".to_owned(),
    }
}

fn facts() -> RevisionFacts {
    RevisionFacts {
        key: key(),
        service: "hello".to_owned(),
        configuration: "hello".to_owned(),
        container_concurrency: 1,
        timeouts: Timeouts::from_seconds(300, 0, 0),
        port_name: "http",
        believe_pods: true,
    }
}

fn endpoints(pods: &[SocketAddr]) -> Endpoints {
    let subset = |pod: &SocketAddr| json!({"notReadyAddresses": [{"ip": pod.ip()}], "ports": [{"name": "http", "port": pod.port()}]});
    let subsets: Vec<_> = pods.iter().map(subset).collect();
    serde_json::from_value(json!({ "subsets": subsets })).unwrap()
}

/// A pod: its sidecar says that it is ready, and its application answers `hello` behind the gate.
async fn pod(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |request| {
        let gate = gate.clone();
        async move {
            if request.headers().contains_key("k-network-probe") {
                return Response::new(body::full("queue"));
            }
            gate.pass().await;
            Response::new(body::full("hello"))
        }
    })
    .await
}

/// One request that is still to be answered.
fn requests(address: SocketAddr) -> JoinSet<client::Answer> {
    [async move { client::get(address, HOST, "/").await }]
        .into_iter()
        .collect()
}

impl Stage {
    async fn start() -> Self {
        Self::with(Network::default(), []).await.unwrap()
    }

    /// As [`start`](Self::start), where this has happened too.
    async fn with(network: Network, more: impl IntoIterator<Item = Event>) -> Result<Self, StartError> {
        let autoscaler = Autoscaler::start().await;
        let settings = Settings {
            pod_name: "activator-1".to_owned(),
            own: "10.0.0.1".parse().unwrap(),
            ports: vec![0, 0],
            tls_port: 0,
            tls: tidegate_proxy::tls::terms::Terms::default(),
            autoscaler: autoscaler.url(),
            cluster_domain: "cluster.local".to_owned(),
            network,
            pace: Pace {
                interval: Duration::from_millis(5),
                timeout: Duration::from_secs(5),
            },
            workers: NonZeroUsize::new(2).unwrap(),
        };
        let (events, receiver) = mpsc::channel(16);
        events.send(Event::Revision(Box::new(facts()))).await.unwrap();
        for event in more.into_iter().chain([Event::Synced]) {
            events.send(event).await.unwrap();
        }
        let program = Program::start(settings, Arc::new(NoServices), receiver, Drain::new());
        let program = soon("the start", program).await?;
        let stage = Self {
            program,
            autoscaler,
            events,
        };
        eventually("health", async || stage.program.health().check()).await;
        Ok(stage)
    }

    fn address(&self) -> SocketAddr {
        let port = self.program.addresses()[0].port();
        SocketAddr::from(([127, 0, 0, 1], port))
    }
}

#[tokio::test]
async fn a_request_from_zero_pokes_the_autoscaler_and_is_served_by_the_pod_that_comes() {
    let stage = Stage::start().await;
    let address = stage.address();
    let mut request = requests(address);
    let poke = stage
        .autoscaler
        .frame("the poke", |frame| !frame.messages.is_empty())
        .await;
    let [message] = &poke.messages[..] else {
        panic!("{poke:?}")
    };
    let stat = message.stat.clone().unwrap();
    assert_eq!((&*message.namespace, &*message.name), ("default", "hello-00001"));
    assert_eq!(
        (
            &*stat.pod_name,
            stat.average_concurrent_requests,
            stat.request_count
        ),
        ("activator-1", 1.0, 1.0)
    );
    let gate = Gate::closed();
    gate.open();
    let pod = pod(&gate).await;
    stage
        .events
        .send(Event::Private(key(), endpoints(&[pod.address()])))
        .await
        .unwrap();
    let answer = soon("the answer", request.join_next()).await.unwrap().unwrap();
    assert_eq!((answer.status, &*answer.text()), (StatusCode::OK, "hello"));
    let is_final = |stat: &tidegate_knative::stat::Stat| {
        (stat.average_concurrent_requests, stat.request_count) == (0.0, 0.0)
    };
    stage
        .autoscaler
        .frame("the end of the load", |frame| {
            frame
                .messages
                .iter()
                .filter_map(|message| message.stat.as_ref())
                .any(is_final)
        })
        .await;
}

#[tokio::test]
async fn both_ports_speak_both_protocols() {
    let stage = Stage::start().await;
    let gate = Gate::closed();
    gate.open();
    let pod = pod(&gate).await;
    stage
        .events
        .send(Event::Private(key(), endpoints(&[pod.address()])))
        .await
        .unwrap();
    for address in stage.program.addresses() {
        let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
        assert_eq!(Client::http1(address).await.get(HOST, "/").await.text(), "hello");
        assert_eq!(Client::http2(address).await.get(HOST, "/").await.text(), "hello");
    }
}

#[tokio::test]
async fn a_program_that_is_to_end_is_unhealthy_and_finishes_what_it_has() {
    let stage = Stage::start().await;
    let gate = Gate::closed();
    let pod = pod(&gate).await;
    stage
        .events
        .send(Event::Private(key(), endpoints(&[pod.address()])))
        .await
        .unwrap();
    let address = stage.address();
    let mut request = requests(address);
    eventually("the request at the pod", async || {
        pod.seen()
            .iter()
            .any(|seen| seen.header("k-proxy-request").is_some())
    })
    .await;
    let health = stage.program.health().clone();
    let mut stopping: JoinSet<_> = [stage.program.stop(Duration::ZERO)].into_iter().collect();
    eventually("it to be unhealthy", async || health.check().is_err()).await;
    gate.open();
    assert_eq!(
        soon("the answer", request.join_next())
            .await
            .unwrap()
            .unwrap()
            .text(),
        "hello"
    );
    let outcome = soon("the end", stopping.join_next()).await.unwrap().unwrap();
    assert_eq!(outcome.forced, 0);
}

fn secret(authority: &Authority) -> Event {
    let identity = authority.server("kn-routing");
    Event::Secret(Some(Secret {
        authority: authority.pem.clone().into_bytes(),
        chain: identity.certificate_pem.into_bytes(),
        key: identity.key_pem.into_bytes(),
    }))
}

const ENCRYPTED: Network = Network {
    mesh: Mesh::Auto,
    passthrough: false,
    is_encrypted: true,
};

#[tokio::test]
async fn over_tls_it_shows_the_certificate_of_the_secret_and_then_its_successor() {
    let [first, second] = ["first", "second"].map(Authority::new);
    let stage = Stage::with(ENCRYPTED, [secret(&first)]).await.unwrap();
    let port = stage.program.addresses()[2].port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let answers = async |authority: &Authority| {
        let config = Arc::new(authority.client_config(&[], None));
        let stream = tls::connect(address, "kn-routing", &config).await.ok()?;
        let mut client = Client::http1_over(stream).await;
        Some(client.get("other.default.svc.cluster.local", "/").await.status)
    };
    assert_eq!(answers(&first).await, Some(StatusCode::NOT_FOUND));
    assert_eq!(answers(&second).await, None);
    stage.events.send(secret(&second)).await.unwrap();
    eventually("the successor", async || {
        answers(&second).await == Some(StatusCode::NOT_FOUND)
    })
    .await;
}

#[tokio::test]
async fn where_tls_is_asked_for_it_does_not_start_without_a_certificate() {
    let error = Stage::with(ENCRYPTED, []).await.err().unwrap();
    assert!(
        error.to_string().contains("no secret routing-serving-certs"),
        "{error}"
    );
}
