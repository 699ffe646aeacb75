//! How are the programs started, each as its Deployment does it?

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderValue, Request};
use rustix::process::Signal;
use serde_json::{Value, json};
use tidegate_testkit::body::Body;
use tidegate_testkit::client::{Client, get, get_request};
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::control_plane::model::Item;
use tidegate_testkit::kourier::{self, Ports, Push, Service};
use tidegate_testkit::program::Program;
use tidegate_testkit::wait::eventually;
use tokio::net::TcpStream;

use crate::app::{App, Visits};

/// What the controller tells a sidecar.
const SIDECAR: [(&str, &str); 12] = [
    ("QUEUE_SERVING_PORT", "0"),
    ("QUEUE_SERVING_TLS_PORT", "0"),
    ("TIDEGATE_ADMIN_PORT", "0"),
    ("TIDEGATE_STATS_PORT", "0"),
    ("TIDEGATE_QUIET_SECONDS", "1"),
    ("REVISION_TIMEOUT_SECONDS", "600"),
    ("SERVING_LOGGING_CONFIG", "{}"),
    ("SERVING_LOGGING_LEVEL", "info"),
    ("SERVING_NAMESPACE", "default"),
    ("SERVING_CONFIGURATION", "hello"),
    ("SERVING_POD_IP", "127.0.0.1"),
    ("GOMAXPROCS", "1"),
];

/// A sidecar, before whatever application.
#[derive(Debug)]
pub(crate) struct Sidecar {
    program: Program,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    pub(crate) stats: SocketAddr,
}

impl Sidecar {
    /// Of this pod of this revision, before the application at `app`.
    pub(crate) async fn start(app: SocketAddr, (revision, pod): (&str, &str), concurrency: u32) -> Self {
        // One try at a time: whoever asks counts.
        let port = app.port();
        let probe = json!({"tcpSocket": {"port": port, "host": "127.0.0.1"}, "successThreshold": 1, "periodSeconds": 1});
        let mut start = Program::new(env!("CARGO_BIN_EXE_chain-queue-proxy"))
            .env("SERVING_REVISION", revision)
            .env("SERVING_POD", pod)
            .env("CONTAINER_CONCURRENCY", concurrency.to_string())
            .env("USER_PORT", port.to_string())
            .env("SERVING_READINESS_PROBE", probe.to_string());
        for (name, value) in SIDECAR {
            start = start.env(name, value);
        }
        let mut program = start.start();
        Self {
            address: listening(&mut program, "main").await,
            admin: listening(&mut program, "admin").await,
            stats: listening(&mut program, "stats").await,
            program,
        }
    }

    pub(crate) fn terminate(&self) {
        self.program.signal(Signal::TERM);
    }

    /// What the hook of the pod's containers waits for.
    pub(crate) async fn drains(&self) {
        let hook = get(self.admin, "localhost", "/wait-for-drain").await;
        assert_eq!(hook.status, 200);
    }

    /// Waits for its end, once it was told.
    pub(crate) async fn ends(mut self) {
        let status = self.program.exit().await;
        assert!(status.success(), "a sidecar ended with {status}");
    }
}

/// A pod: an application and its sidecar.
#[derive(Debug)]
pub(crate) struct Pod {
    app: App,
    sidecar: Sidecar,
}

impl Pod {
    pub(crate) async fn start(revision: &str, concurrency: u32, visits: &Arc<Visits>) -> Self {
        let app = App::start(visits).await;
        let name = format!("{revision}-{}", app.address().port());
        let sidecar = Sidecar::start(app.address(), (revision, &name), concurrency).await;
        Self { app, sidecar }
    }

    /// Where it takes requests.
    pub(crate) fn address(&self) -> SocketAddr {
        self.sidecar.address
    }

    /// Waits until the kubelet would call it ready.
    pub(crate) async fn is_ready(&self) {
        eventually("a ready pod", async || {
            let mut request = probe(&self.address().to_string());
            let queue = HeaderValue::from_static("queue");
            request.headers_mut().insert("k-network-probe", queue);
            Client::http1(self.address()).await.call(request).await.status == 200
        })
        .await;
    }

    /// What the kubelet does first with a pod that is deleted: SIGTERM for the sidecar, and the hook of the application.
    pub(crate) fn terminate(&self) {
        self.sidecar.terminate();
    }

    /// Waits for the hook, ends the application, and waits for the end of the sidecar.
    pub(crate) async fn ends(self) {
        self.sidecar.drains().await;
        self.app.terminate();
        self.sidecar.ends().await;
    }
}

async fn listening(program: &mut Program, name: &str) -> SocketAddr {
    let before = format!("listening on {name} ");
    let port = program.line(name, |line| {
        let (_, address) = line.split_once(&before)?;
        let address: SocketAddr = address.split('"').next()?.parse().ok()?;
        Some(address.port())
    });
    SocketAddr::from(([127, 0, 0, 1], port.await))
}

/// What a kubelet asks.
fn probe(host: &str) -> Request<Body> {
    let mut request = get_request(host, "/");
    let agent = HeaderValue::from_static("kube-probe/1.33");
    request.headers_mut().insert("user-agent", agent);
    request
}

/// An activator.
#[derive(Debug)]
pub(crate) struct Activator {
    program: Program,
    /// What it calls itself.
    pub(crate) name: String,
    /// Where it is for other activators.
    pub(crate) ip: String,
    /// Where it takes requests for revisions that speak HTTP/1.1, and for those that speak HTTP/2.
    pub(crate) addresses: [SocketAddr; 2],
}

impl Activator {
    /// It takes connections, and may not be healthy yet.
    pub(crate) async fn start(number: u8, kubeconfig: &str, autoscaler: &str) -> Self {
        let start = Program::new(env!("CARGO_BIN_EXE_chain-activator"));
        let kubeconfig = start.file("kubeconfig", kubeconfig);
        let (name, ip) = (format!("activator-{number}"), format!("10.0.9.{number}"));
        let mut program = start
            .env("KUBECONFIG", kubeconfig)
            .env("POD_NAME", &name)
            .env("POD_IP", &ip)
            .env("SYSTEM_NAMESPACE", "knative-serving")
            .env("TIDEGATE_TEST_PORTS", "0,0,0")
            .env("TIDEGATE_TEST_AUTOSCALER", autoscaler)
            .env("TIDEGATE_TEST_STOP_DELAY", "3s")
            .start();
        let port = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let address = line["address"]
                .as_str()
                .filter(|_| line["message"] == "listening")?;
            address.rsplit(':').next()?.parse().ok()
        };
        let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); 2];
        for address in &mut addresses {
            address.set_port(program.line("a port", port).await);
        }
        Self {
            program,
            name,
            ip,
            addresses,
        }
    }

    /// Waits until the kubelet gets this answer.
    pub(crate) async fn says(&self, status: u16) {
        eventually("the activator's health", async || {
            let mut client = Client::http1(self.addresses[0]).await;
            client.call(probe("activator")).await.status == status
        })
        .await;
    }

    /// SIGTERM; waits until it says so.
    pub(crate) async fn terminate(&self) {
        self.program.signal(Signal::TERM);
        self.says(500).await;
    }

    /// Waits for its end, once it was told.
    pub(crate) async fn ends(mut self) {
        let status = self.program.exit().await;
        assert!(status.success(), "an activator ended with {status}");
    }
}

/// An ingress, and the control plane of its own: its ports are its own too.
#[derive(Debug)]
pub(crate) struct Ingress {
    program: Program,
    pub(crate) ports: Ports,
    pub(crate) control_plane: ControlPlane,
}

impl Ingress {
    pub(crate) async fn start() -> Self {
        let control_plane = ControlPlane::start().await;
        let listeners: [std::net::TcpListener; 3] =
            std::array::from_fn(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [external, internal, probe] =
            listeners.map(|listener| listener.local_addr().expect("it is bound").port());
        let start = Program::new(env!("CARGO_BIN_EXE_chain-ingress"));
        let config = start.file("bootstrap.yaml", bootstrap(control_plane.address()));
        let program = start
            .arg("-c")
            .arg(config)
            .args(["--concurrency", "2", "--log-level", "info"])
            .args(["--drain-time-s", "600", "--drain-strategy", "immediate"])
            .start();
        Self {
            program,
            ports: Ports {
                external,
                internal,
                probe,
            },
            control_plane,
        }
    }

    /// Where it listens for clients outside of the cluster.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.external))
    }

    /// Where it listens for those inside.
    pub(crate) fn internal_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.internal))
    }

    /// Tells it of these services alone, and waits until it serves.
    pub(crate) async fn leads_to(&self, services: &[Service]) {
        let Push {
            clusters,
            listeners,
            routes,
        } = kourier::push(services, self.ports);
        let all = clusters.into_iter().chain(listeners).chain(routes);
        let items = all.map(|resource| Item::new(&resource.any.type_url, &resource.name, resource.any.value));
        self.control_plane.set(&items.collect::<Vec<_>>());
        self.serves().await;
    }

    /// Waits until it takes connections.
    pub(crate) async fn serves(&self) {
        eventually("the ingress", async || {
            TcpStream::connect(self.address()).await.is_ok()
        })
        .await;
    }

    pub(crate) fn terminate(&self) {
        self.program.signal(Signal::TERM);
    }

    /// Waits for its end, once it was told.
    pub(crate) async fn ends(mut self) {
        let status = self.program.exit().await;
        assert!(status.success(), "an ingress ended with {status}");
    }
}

fn bootstrap(control_plane: SocketAddr) -> String {
    format!(
        "node: {{id: 3scale-kourier-gateway, cluster: kourier-knative}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
dynamic_resources:
  ads_config:
    transport_api_version: V3
    api_type: GRPC
    grpc_services: [{{envoy_grpc: {{cluster_name: xds_cluster}}}}]
  cds_config: {{resource_api_version: V3, ads: {{}}}}
  lds_config: {{resource_api_version: V3, ads: {{}}}}
static_resources:
  clusters:
  - name: service_stats
    type: STATIC
    load_assignment:
      cluster_name: service_stats
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 9901}}}}}}}}]}}]
  - name: xds_cluster
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: xds_cluster
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {}, port_value: {}}}}}}}}}]}}]
",
        control_plane.ip(),
        control_plane.port()
    )
}
