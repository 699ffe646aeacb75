//! Does the filter for health checks answer as the admin endpoint was told, as Envoy's does?

use std::path::Path;

use tidegate_testkit::client::get;
use tidegate_testkit::envoy::Envoy;
use tidegate_testkit::peers;

const BOOTSTRAP: &str = r#"
node: {id: n1, cluster: c}
static_resources:
  listeners:
  - name: l1
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ready_http
          route_config:
            name: r1
            virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 404}}]}]
          http_filters:
          - name: health
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck
              pass_through_mode: false
              headers: [{name: ":path", string_match: {exact: /ready}}]
          - {name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"#;

/// What is answered to the probe and to another request: at first, once health checks are to fail, and when that is over.
async fn answers(program: &Path) -> Vec<(u16, String)> {
    let program = Envoy::start(program, BOOTSTRAP).await;
    program.live().await;
    let front = program.listener("l1").await;
    let mut answers = Vec::new();
    for order in ["/healthcheck/ok", "/healthcheck/fail", "/healthcheck/ok"] {
        program.post(order).await;
        for path in ["/ready", "/other"] {
            let answer = get(front, "a.example", path).await;
            answers.push((answer.status.as_u16(), answer.text()));
        }
    }
    answers
}

#[tokio::test]
async fn probes_are_answered_by_the_filter_as_the_operator_has_said() {
    let ours = answers(Path::new(env!("CARGO_BIN_EXE_tidegate-ingress"))).await;
    let statuses: Vec<u16> = ours.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 404, 503, 404, 200, 404]);
    if let Some(envoy) = peers::envoy("how its filter answers") {
        assert_eq!(ours, answers(&envoy).await);
    }
}
