//! What is the bootstrap of one listener before one upstream, for a test of what a manager of connections says?

use std::net::SocketAddr;

use tidegate_testkit::client::get;
use tidegate_testkit::wait::eventually;

/// The listener `l`, whose manager of connections counts as `edge`, says `manager` as well, and has the virtual hosts `hosts`. Both are
/// YAML, written from the first column on; the cluster is `app`.
pub(crate) fn bootstrap(upstream: SocketAddr, manager: &str, hosts: &str) -> String {
    format!(
        "node: {{id: one, cluster: two}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
{}",
        resources(&[cluster("app", upstream, "")], manager, hosts)
    )
}

/// The cluster `name` of the one endpoint `at`, which says `more` as well: `key: value` and a comma, or nothing.
pub(crate) fn cluster(name: &str, at: SocketAddr, more: &str) -> String {
    format!(
        "{{name: {name}, type: STATIC, {more} load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: \
         [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}}}]}}]}}}}",
        at.port()
    )
}

/// What stands in such a bootstrap beside itself: these clusters, and the listener.
pub(crate) fn resources(clusters: &[String], manager: &str, hosts: &str) -> String {
    let indented = |text: &str, by: usize| {
        let lines = text
            .trim()
            .lines()
            .map(|line| format!("{}{line}", " ".repeat(by)));
        lines.collect::<Vec<_>>().join("\n")
    };
    format!(
        "static_resources:
  clusters: [{clusters}]
  listeners:
  - name: l
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
{manager}
          route_config:
            virtual_hosts:
{hosts}
          http_filters:
          - name: router
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
",
        clusters = clusters.join(", "),
        manager = indented(manager, 10),
        hosts = indented(hosts, 12),
    )
}

/// Where that listener is, as whoever has this admin endpoint says.
pub(crate) async fn address(admin: SocketAddr) -> SocketAddr {
    eventually("the listener", async || {
        let all = get(admin, "localhost", "/listeners").await.text();
        let address = all.trim().strip_prefix("l::")?.parse::<SocketAddr>().ok();
        address.filter(|address| address.port() != 0)
    })
    .await
}
