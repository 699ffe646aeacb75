//! Do our activator and our sidecar understand each other, probe for probe and header for header?

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use prost::Message;
use rustix::process::Signal;
use serde_json::json;
use tidegate_activator::backends::endpoints::{Endpoints, Service};
use tidegate_activator::backends::watch::Pace;
use tidegate_activator::program::network::Network;
use tidegate_activator::program::{Program, Settings};
use tidegate_activator::world::{Event, Found, Key, RevisionFacts, World};
use tidegate_knative::stat::Stat;
use tidegate_proxy::drain::Drain;
use tidegate_proxy::layers::timeout::Timeouts;
use tidegate_testkit::client::{Answer, get};
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::{eventually, soon};
use tidegate_testkit::websocket::WebSocket;
use tokio::sync::mpsc;

use crate::rig::Sidecar;

const HOST: &str = "hello-00001.default.svc.cluster.local";

struct NoServices;

impl World for NoServices {
    fn service<'a>(&'a self, _namespace: &'a str, _name: &'a str) -> Found<'a, Service> {
        Box::pin(async { None })
    }
}

/// An activator with the one revision `default/hello-00001`.
struct Activator {
    program: Program,
    events: mpsc::Sender<Event>,
}

impl Activator {
    async fn start() -> Self {
        let settings = Settings {
            pod_name: "activator-1".to_owned(),
            own: "10.0.0.1".parse().expect("an address"),
            ports: vec![0],
            tls_port: 0,
            tls: tidegate_proxy::tls::terms::Terms::default(),
            autoscaler: "ws://127.0.0.1:9/".parse().expect("a URL"),
            cluster_domain: "cluster.local".to_owned(),
            network: Network::default(),
            pace: Pace {
                interval: Duration::from_millis(5),
                timeout: Duration::from_secs(5),
            },
            workers: NonZeroUsize::MIN,
        };
        let (events, receiver) = mpsc::channel(8);
        let facts = RevisionFacts {
            key: key(),
            service: "hello".to_owned(),
            configuration: "hello".to_owned(),
            container_concurrency: 1,
            timeouts: Timeouts::from_seconds(300, 0, 0),
            port_name: "http",
            believe_pods: true,
        };
        for event in [Event::Revision(Box::new(facts)), Event::Synced] {
            events.send(event).await.expect("somebody listens");
        }
        let program = Program::start(settings, Arc::new(NoServices), receiver, Drain::new());
        let program = soon("the start", program).await.expect("it starts");
        Self { program, events }
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.program.addresses()[0].port()))
    }

    /// Says that these are the pods, none of which Kubernetes knows to be ready.
    async fn list(&self, pods: &[&Sidecar]) {
        let subset = |pod: &&Sidecar| {
            let port = json!({"name": "http", "port": pod.main.port()});
            json!({"notReadyAddresses": [{"ip": pod.main.ip()}], "ports": [port]})
        };
        let subsets: Vec<_> = pods.iter().map(subset).collect();
        let endpoints: Endpoints = serde_json::from_value(json!({ "subsets": subsets })).expect("endpoints");
        let sent = self.events.send(Event::Private(key(), endpoints)).await;
        sent.expect("somebody listens");
    }

    async fn get(&self) -> Answer {
        get(self.address(), HOST, "/path?query").await
    }
}

fn key() -> Key {
    Key {
        namespace: "default".to_owned(),
        name: "hello-00001".to_owned(),
    }
}

#[tokio::test]
async fn a_request_from_zero_reaches_the_application_as_its_client_sent_it() {
    let app = Upstream::echo().await;
    let activator = Activator::start().await;
    let cold = async {
        let sidecar = Sidecar::start(app.address(), &[("CONTAINER_CONCURRENCY", "1")]).await;
        activator.list(&[&sidecar]).await;
        sidecar
    };
    let (answer, sidecar) = tokio::join!(activator.get(), cold);
    assert_eq!(answer.status, StatusCode::OK);
    let seen = app.seen().remove(0);
    let check = |name, expected| assert_eq!(seen.header(name), expected, "{name}");
    assert_eq!(seen.uri, "/path?query");
    check("host", Some(HOST));
    check("k-original-host", None);
    check("k-proxy-request", Some("activator"));
    check("x-forwarded-for", Some("127.0.0.1, 127.0.0.1"));
    check("forwarded", Some("for=127.0.0.1"));
    check("user-agent", None);
    eventually(
        "the request in the sidecar's stats, as an activator's",
        async || {
            let page = get(sidecar.stats, HOST, "/metrics").await;
            activator.get().await;
            Stat::decode(page.body).is_ok_and(|stat| stat.proxied_request_count > 0.0)
        },
    )
    .await;
}

#[tokio::test]
async fn a_websocket_passes_both() {
    let app = Upstream::websocket().await;
    let sidecar = Sidecar::start(app.address(), &[("CONTAINER_CONCURRENCY", "1")]).await;
    let activator = Activator::start().await;
    activator.list(&[&sidecar]).await;
    let socket = WebSocket::connect(activator.address(), HOST, "/").await;
    let mut socket = socket.expect("an upgrade");
    socket.say("hello").await;
    assert_eq!(socket.hear().await, "hello");
    socket.close().await;
}

#[tokio::test]
async fn a_pod_that_ends_is_followed_by_the_next_without_a_failed_request() {
    let app = Upstream::echo().await;
    let mut old = Sidecar::start(app.address(), &[]).await;
    let new = Sidecar::start(app.address(), &[]).await;
    let activator = Activator::start().await;
    activator.list(&[&old]).await;
    assert_eq!(activator.get().await.status, StatusCode::OK);
    old.program.signal(Signal::TERM);
    let replaced = async {
        assert!(old.program.exit().await.success());
        activator.list(&[&new]).await;
    };
    let requests = async {
        for _ in 0..20 {
            assert_eq!(activator.get().await.status, StatusCode::OK);
        }
    };
    tokio::join!(replaced, requests);
}
