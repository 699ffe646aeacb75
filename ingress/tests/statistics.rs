//! Are resources of a control plane counted under Envoy's names, and as Envoy counts them?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

use std::net::SocketAddr;
use std::path::Path;

use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::control_plane::model::{CLUSTER, ENDPOINTS, Item, LISTENER, ROUTES};
use tidegate_testkit::envoy::Envoy;
use tidegate_testkit::peers;
use tidegate_testkit::wait::eventually;
use tidegate_xds::text::{self, Format, Unknown};

/// A resource, said in YAML.
fn item(type_url: &str, name: &str, yaml: &str) -> Item {
    let message = type_url.rsplit('/').next().unwrap();
    let parsed = text::parse(yaml.as_bytes(), Format::Yaml, message, Unknown::Refused);
    Item::new(type_url, name, parsed.unwrap().encode())
}

fn fixed(name: &str, timeout: &str) -> Item {
    let yaml = format!("{{name: {name}, type: STATIC, connect_timeout: {timeout}}}");
    item(CLUSTER, name, &yaml)
}

fn discovered() -> [Item; 2] {
    let cluster = "{name: found, alt_stat_name: other, type: EDS, eds_cluster_config: {service_name: pods, eds_config: \
                   {ads: {}, resource_api_version: V3}}}";
    let endpoints = "{cluster_name: pods, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: \
                     127.0.0.1, port_value: 9}}}}]}]}";
    [
        item(CLUSTER, "found", cluster),
        item(ENDPOINTS, "pods", endpoints),
    ]
}

fn listener(idle: &str) -> Item {
    let yaml = format!(
        r#"
name: l1
address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
filter_chains:
- filters:
  - name: http
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: ingress_http
      stream_idle_timeout: {idle}
      rds: {{route_config_name: r1, config_source: {{ads: {{}}, resource_api_version: V3}}}}
      http_filters:
      - {{name: router, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}
"#
    );
    item(LISTENER, "l1", &yaml)
}

fn routes(domains: &str) -> Item {
    let yaml = format!(
        "{{name: r1, virtual_hosts: [{{name: v, domains: [{domains}], routes: [{{match: {{prefix: /}}, route: {{cluster: c1}}}}]}}]}}"
    );
    item(ROUTES, "r1", &yaml)
}

fn bootstrap(control_plane: SocketAddr) -> String {
    format!(
        r#"
node: {{id: n1, cluster: c}}
dynamic_resources:
  ads_config: {{transport_api_version: V3, api_type: GRPC, grpc_services: [{{envoy_grpc: {{cluster_name: xds}}}}]}}
  cds_config: {{ads: {{}}, resource_api_version: V3}}
  lds_config: {{ads: {{}}, resource_api_version: V3}}
static_resources:
  clusters:
  - name: xds
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment: {{cluster_name: xds, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}}}]}}]}}
"#,
        control_plane.port()
    )
}

/// What a program has counted, once a control plane of its own has added, changed, removed and spoilt.
async fn after_a_life(program: &Path) -> Vec<String> {
    let control_plane = ControlPlane::start().await;
    let kept = || discovered().into_iter();
    let first = [
        fixed("c1", "1s"),
        fixed("c2", "1s"),
        listener("60s"),
        routes("a.example"),
    ];
    control_plane.set(&kept().chain(first).collect::<Vec<_>>());
    let program = Envoy::start(program, &bootstrap(control_plane.address())).await;
    program.live().await;
    let second = [fixed("c1", "2s"), listener("50s"), routes("a.example, b.example")];
    let version = control_plane.set(&kept().chain(second.clone()).collect::<Vec<_>>());
    for kind in [CLUSTER, LISTENER, ROUTES, ENDPOINTS] {
        control_plane.accepted(kind, &version).await;
    }
    let [cluster, listener, _] = second;
    let spoilt = [cluster, listener, routes("a.example, a.example")];
    control_plane.set(&kept().chain(spoilt).collect::<Vec<_>>());
    control_plane.refused(ROUTES).await;
    eventually("the change to be everywhere", async || {
        let now = program.stat("listener_manager.listener_in_place_updated").await;
        (now == 1).then_some(()).ok_or(now)
    })
    .await;
    let all = program.get("/stats").await.text();
    all.lines()
        .filter(|line| COUNTED.iter().any(|name| line.starts_with(&format!("{name}: "))))
        .map(ToOwned::to_owned)
        .collect()
}

/// Without what goes on: the control plane sends again what was refused.
fn settled(mut lines: Vec<String>) -> Vec<String> {
    lines.retain(|line| !AGAIN_AND_AGAIN.iter().any(|name| line.starts_with(name)));
    lines
}

const AGAIN_AND_AGAIN: [&str; 2] = [
    "http.ingress_http.rds.r1.update_attempt",
    "http.ingress_http.rds.r1.update_rejected",
];

/// What is compared.
const COUNTED: &[&str] = &[
    "cluster.other.membership_total",
    "cluster.other.update_attempt",
    "cluster.other.update_failure",
    "cluster.other.update_rejected",
    "cluster.other.update_success",
    "cluster.other.version",
    "cluster_manager.active_clusters",
    "cluster_manager.cds.init_fetch_timeout",
    "cluster_manager.cds.update_attempt",
    "cluster_manager.cds.update_failure",
    "cluster_manager.cds.update_rejected",
    "cluster_manager.cds.update_success",
    "cluster_manager.cds.version",
    "cluster_manager.cluster_added",
    "cluster_manager.cluster_modified",
    "cluster_manager.cluster_removed",
    "cluster_manager.warming_clusters",
    "control_plane.connected_state",
    "control_plane.pending_requests",
    "control_plane.rate_limit_enforced",
    "http.ingress_http.rds.r1.config_reload",
    "http.ingress_http.rds.r1.init_fetch_timeout",
    "http.ingress_http.rds.r1.update_attempt",
    "http.ingress_http.rds.r1.update_empty",
    "http.ingress_http.rds.r1.update_failure",
    "http.ingress_http.rds.r1.update_rejected",
    "http.ingress_http.rds.r1.update_success",
    "http.ingress_http.rds.r1.version",
    "listener_manager.lds.init_fetch_timeout",
    "listener_manager.lds.update_attempt",
    "listener_manager.lds.update_failure",
    "listener_manager.lds.update_rejected",
    "listener_manager.lds.update_success",
    "listener_manager.lds.version",
    "listener_manager.listener_added",
    "listener_manager.listener_in_place_updated",
    "listener_manager.listener_modified",
    "listener_manager.listener_removed",
    "listener_manager.total_listeners_active",
    "listener_manager.total_listeners_warming",
    "listener_manager.workers_started",
    "server.dynamic_unknown_fields",
    "server.static_unknown_fields",
];

#[tokio::test]
async fn a_control_plane_is_counted_as_envoy_counts_it() {
    let ours = after_a_life(Path::new(env!("CARGO_BIN_EXE_tidegate-ingress"))).await;
    let named = |name: &&str| ours.iter().any(|line| line.starts_with(&format!("{name}: ")));
    let missing: Vec<_> = COUNTED.iter().filter(|name| !named(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let refused = ours
        .iter()
        .find_map(|line| line.strip_prefix("http.ingress_http.rds.r1.update_rejected: "));
    assert_ne!(refused, Some("0"));
    if let Some(envoy) = peers::envoy("how it counts") {
        let theirs = after_a_life(&envoy).await;
        assert_eq!(settled(ours), settled(theirs));
    }
}
