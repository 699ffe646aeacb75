//! How does a test run the ingress before a scripted control plane?

#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tidegate_testkit::body;
use tidegate_testkit::client::{Answer, Client, get, get_request, post_request};
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::control_plane::model::Item;
pub(crate) use tidegate_testkit::kourier::Ports;
use tidegate_testkit::kourier::{self, Push, Service};
use tidegate_testkit::program::{Program, Start};
use tidegate_testkit::wait::eventually;
use tokio::net::TcpStream;

pub(crate) mod load;
pub(crate) mod managers;
pub(crate) mod one_listener;
pub(crate) mod secrets;

/// An ingress and where it listens.
pub(crate) struct Gateway {
    pub(crate) program: Program,
    admin_file: std::path::PathBuf,
    pub(crate) ports: Ports,
}

/// Kourier's bootstrap, with its quirks, for a control plane at this address.
pub(crate) fn bootstrap(control_plane: SocketAddr) -> String {
    format!(
        "admin:
  address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
dynamic_resources:
  ads_config:
    transport_api_version: V3
    api_type: GRPC
    rate_limit_settings: {{}}
    grpc_services:
    - envoy_grpc: {{cluster_name: xds_cluster}}
  cds_config:
    resource_api_version: V3
    ads: {{}}
  lds_config:
    resource_api_version: V3
    ads: {{}}
node:
  cluster: kourier-knative
  id: 3scale-kourier-gateway
static_resources:
  clusters:
    - name: service_stats
      connect_timeout: 0.250s
      type: static
      load_assignment:
        cluster_name: service_stats
        endpoints:
          lb_endpoints:
            endpoint:
              address:
                socket_address:
                  address: 127.0.0.1
                  port_value: 9901
    - name: xds_cluster
      connect_timeout: 1s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config:
            http2_protocol_options:
              connection_keepalive:
                interval: 30s
                timeout: 5s
      load_assignment:
        cluster_name: xds_cluster
        endpoints:
          lb_endpoints:
            endpoint:
              address:
                socket_address:
                  address: {}
                  port_value: {}
      type: STRICT_DNS
",
        control_plane.ip(),
        control_plane.port()
    )
}

/// What Kourier pushes for these services.
pub(crate) fn items(services: &[Service], ports: Ports) -> Vec<Item> {
    let Push {
        clusters,
        listeners,
        routes,
    } = kourier::push(services, ports);
    let all = clusters.into_iter().chain(listeners).chain(routes);
    all.map(|resource| Item::new(&resource.any.type_url, &resource.name, resource.any.value))
        .collect()
}

impl Gateway {
    /// Starts it as Kourier's Deployment does.
    pub(crate) fn start(control_plane: &ControlPlane, ports: Ports) -> Self {
        Self::start_with(control_plane.address(), ports, &[])
    }

    /// Starts it with further flags.
    pub(crate) fn start_with(control_plane: SocketAddr, ports: Ports, flags: &[&str]) -> Self {
        let start = Program::new(env!("CARGO_BIN_EXE_tidegate-ingress"));
        Self::of(start, &bootstrap(control_plane), ports, flags)
    }

    /// Starts this program, by any name or user, with this bootstrap.
    pub(crate) fn of(start: Start, bootstrap: &str, ports: Ports, flags: &[&str]) -> Self {
        let admin_file = start.folder().join("admin-address");
        let start = start.arg(format!("--admin-address-path {}", admin_file.display()));
        Self::started(start, bootstrap, ports, flags)
    }

    /// Starts this program where it cannot write a file; so nobody knows where its admin endpoints are.
    pub(crate) fn without_admin_file(start: Start, bootstrap: &str, ports: Ports) -> Self {
        Self::started(start, bootstrap, ports, &[])
    }

    fn started(start: Start, bootstrap: &str, ports: Ports, flags: &[&str]) -> Self {
        let config = start.file("envoy-bootstrap.yaml", bootstrap);
        let admin_file = start.folder().join("admin-address");
        let start = start
            .arg("--base-id 1")
            .arg(format!("-c {}", config.display()))
            .arg("--log-level info")
            .args(["--concurrency", "2"])
            .args(flags);
        let start = if flags.contains(&"--drain-strategy") {
            start
        } else {
            start.arg("--drain-strategy immediate")
        };
        Self {
            program: start.start(),
            admin_file,
            ports,
        }
    }

    pub(crate) fn external(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.external))
    }

    /// Where its admin endpoints are.
    pub(crate) async fn admin(&self) -> SocketAddr {
        eventually("the admin endpoints", async || {
            std::fs::read_to_string(&self.admin_file).ok()?.parse().ok()
        })
        .await
    }

    /// What an admin endpoint says.
    pub(crate) async fn asks(&self, path: &str) -> Answer {
        get(self.admin().await, "localhost", path).await
    }

    /// A number of its statistics; 0 where there is none of this name.
    pub(crate) async fn stat(&self, name: &str) -> u64 {
        let text = self.asks(&format!("/stats?filter=^{name}$")).await.text();
        let value = text.trim().strip_prefix(&format!("{name}: "));
        value.and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    /// What `/config_dump` shows of a repeated field, such as `dynamic_route_configs`; nothing where it is empty.
    pub(crate) async fn dump(&self, resource: &str) -> Vec<serde_json::Value> {
        let text = self
            .asks(&format!("/config_dump?resource={resource}"))
            .await
            .text();
        let dump: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        dump["configs"].as_array().cloned().unwrap_or_default()
    }

    /// Tells it something by an admin endpoint.
    pub(crate) async fn tells(&self, path: &str) {
        let mut client = Client::http1(self.admin().await).await;
        let answer = client.call(post_request("localhost", path, body::empty())).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "OK\n"));
    }

    /// Waits until it answers this host with this status, and returns the answer.
    pub(crate) async fn answers(&self, host: &str, status: u16) -> Answer {
        let address = self.external();
        eventually(&format!("{status} of {host}"), async || {
            TcpStream::connect(address).await.ok()?;
            let answer = Client::http1(address).await.call(get_request(host, "/")).await;
            (answer.status == status).then_some(answer)
        })
        .await
    }
}

/// Changes the one resource of this type and name.
pub(crate) fn edit<M: prost::Message + Default>(
    items: &mut [Item],
    (kind, name): (&str, &str),
    change: impl FnOnce(&mut M),
) {
    let mut found = items.iter_mut();
    let item = found.find(|item| item.type_url == kind && item.name == name);
    let item = item.expect("Kourier pushes it");
    let mut message = M::decode(item.body.clone()).expect("what was encoded");
    change(&mut message);
    item.body = message.encode_to_vec().into();
}

/// A directory for snapshots that only we can read.
pub(crate) fn snapshot_flags(directory: &Path) -> [String; 2] {
    ["--snapshot-dir".to_owned(), directory.display().to_string()]
}

/// Requests one after the other on one connection until it is told to stop; says what came back.
pub(crate) async fn load(address: SocketAddr, host: String, over: Arc<tokio::sync::Notify>) -> Vec<u16> {
    let mut client = Client::http1(address).await;
    let mut statuses = Vec::new();
    let mut stop = std::pin::pin!(over.notified());
    loop {
        tokio::select! {
            () = &mut stop => return statuses,
            answer = client.get(&host, "/") => statuses.push(answer.status.as_u16()),
        }
    }
}
