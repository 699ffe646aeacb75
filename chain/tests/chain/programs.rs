//! How are activators and ingresses started, each as its Deployment does it?

use std::net::SocketAddr;

use http::{HeaderValue, Request};
use rustix::process::Signal;
use serde_json::Value;
use tidegate_testkit::body::Body;
use tidegate_testkit::client::{Client, get_request};
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::control_plane::model::Item;
use tidegate_testkit::kourier::{self, Ports, Push, Service};
use tidegate_testkit::program::Program;
use tidegate_testkit::wait::eventually;
use tokio::net::TcpStream;

/// What a kubelet asks.
pub(crate) fn probe(host: &str) -> Request<Body> {
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
    /// Where it takes requests for revisions that speak HTTP/1.1, for those that speak HTTP/2, and for all over TLS, where it does.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Activator {
    /// It takes connections at so many ports, and may not be healthy yet.
    pub(crate) async fn start(number: u8, kubeconfig: &str, autoscaler: &str, ports: usize) -> Self {
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
        let mut addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0)); ports];
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

    /// SIGKILL; it is gone.
    pub(crate) async fn kill(mut self) {
        self.program.kill().await;
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
        let ports = Ports::free();
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
            ports,
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

    /// Waits for its end, once it was told; all that it has written.
    pub(crate) async fn ends(mut self) -> Vec<String> {
        let status = self.program.exit().await;
        assert!(status.success(), "an ingress ended with {status}");
        self.program.output()
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
