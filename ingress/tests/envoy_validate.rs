//! Do we take the configuration files that Envoy takes, and refuse those that it refuses? The real Envoy says.

use tidegate_ingress::flags::Flags;
use tidegate_testkit::{envoy, peers};

/// A bootstrap with one cluster, which the rows add to.
const BASE: &str = "
static_resources:
  clusters:
  - name: c1
    connect_timeout: 1s
    type: STATIC
    load_assignment: {cluster_name: c1}
";

/// Asks both about each file, and compares whether they take it.
async fn compare(what: &str, files: impl IntoIterator<Item = String>) {
    let Some(program) = peers::envoy(what) else { return };
    let mut different = Vec::new();
    for file in files {
        let mut flags = Flags::of("envoy");
        flags.config_yaml = Some(file.clone());
        let ours = tidegate_ingress::validate(&flags).map_err(|report| report.to_string());
        let envoys = envoy::validate(&program, &file).await;
        if ours.is_ok() != envoys.is_ok() {
            different.push(format!("{file}\nours: {ours:?}\nEnvoy's: {envoys:?}\n"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[tokio::test]
async fn fields_are_taken_in_the_forms_that_envoy_takes() {
    let rows = [
        "lb_policy: round_robin",
        "lb_policy: \"1\"",
        "lb_policy: STATICK",
        "lbPolicy: RANDOM",
        "lb_policy: BOGUS\n    lb_policy: RANDOM",
        "dns_refresh_rate: 5",
        "dns_refresh_rate: \"5\"",
        "dns_refresh_rate: 0.25000000000s",
        "dns_refresh_rate: {seconds: 5}",
        "respect_dns_ttl: \"yes\"",
        "respect_dns_ttl: 1",
        "respect_dns_ttl: On",
        "alt_stat_name: 123",
        "alt_stat_name: 1.5",
        "alt_stat_name: y",
        "alt_stat_name: 12345678901",
        "per_connection_buffer_limit_bytes: 0x10",
        "per_connection_buffer_limit_bytes: 09",
        "per_connection_buffer_limit_bytes: 1.5",
        "per_connection_buffer_limit_bytes: 1_000",
        "per_connection_buffer_limit_bytes: {value: 5}",
        "per_connection_buffer_limit_bytes: \" 5\"",
        "bogus: 1",
        "<<: {alt_stat_name: a}",
        "cluster_type: {name: a}",
        "transport_socket: [{name: x}]",
        "? [a]\n    : b",
    ];
    let files = rows.map(|row| format!("{BASE}    {row}"));
    compare("the forms of fields against Envoy", files).await;
}

#[tokio::test]
async fn whatever_an_any_holds_is_read_as_envoy_reads_it() {
    let rows = [
        "{b: 1}",
        "{}",
        "{'@type': type.googleapis.com/foo.Bar}",
        "{'@type': foo.Bar}",
        "{'@type': a.b/envoy.config.cluster.v3.Cluster, name: x}",
        "{'@type': a.b/envoy.config.cluster.v3.Cluster, boo: x}",
        "{'@type': a.b/google.protobuf.Duration, value: 5s}",
        "{'@type': a.b/google.protobuf.Duration, value: 5s, foo: 1}",
        "{'@type': a.b/google.protobuf.Struct, value: {x: [1, null]}}",
        "{'@type': a.b/google.protobuf.Empty, value: {}}",
        "{'@type': a.b/google.protobuf.Timestamp, value: '2020-01-01 00:00:00Z'}",
    ];
    let files = rows.map(|row| format!("{BASE}    metadata: {{typed_filter_metadata: {{a: {row}}}}}"));
    compare("the content of Any against Envoy", files).await;
}

#[tokio::test]
async fn what_a_bootstrap_asks_for_has_to_be_there_as_in_envoy() {
    let ads = |cluster| {
        format!(
            "node: {{id: a, cluster: b}}\ndynamic_resources:\n  ads_config: {{api_type: GRPC, transport_api_version: V3, \
             grpc_services: [{{envoy_grpc: {{cluster_name: {cluster}}}}}]}}\n  cds_config: {{ads: {{}}}}\n"
        )
    };
    let rows = [
        ads("c1"),
        ads("nope"),
        ads("c1").replace("node: {id: a, cluster: b}", ""),
        ads("c1").replace("GRPC", "REST"),
        ads("c1").replace("{ads: {}}", "{}"),
        "dynamic_resources: {cds_config: {path_config_source: {path: /nope}}}".to_owned(),
        "admin: {}".to_owned(),
        "layered_runtime: {layers: [{name: a}]}".to_owned(),
        "layered_runtime: {layers: [{name: a, admin_layer: {}}, {name: a, static_layer: {}}]}".to_owned(),
        "stats_flush_interval: 301s".to_owned(),
        "cluster_manager: {local_cluster_name: nope}".to_owned(),
        "overload_manager: {}".to_owned(),
        "watchdogs: {}".to_owned(),
        "stats_config: {stats_tags: [{tag_name: a, regex: '('}]}".to_owned(),
    ];
    let files = rows.map(|row| format!("{row}{BASE}"));
    compare("what a bootstrap asks for against Envoy", files).await;
}

#[tokio::test]
async fn secrets_of_the_bootstrap_have_to_be_there_as_in_envoy() {
    const TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
    let what = "secrets of the bootstrap against Envoy";
    let Some(program) = peers::envoy(what) else { return };
    let rows = [
        (
            "tls_certificate_sds_secret_configs: [{name: none}]",
            "Unknown static secret: none",
        ),
        (
            "validation_context_sds_secret_config: {name: none}",
            "Unknown static certificate validation context: none",
        ),
        (
            "tls_certificate_sds_secret_configs: [{name: trust}]",
            "Unknown static secret: trust",
        ),
    ];
    for (row, expected) in rows {
        let socket =
            format!("{{name: tls, typed_config: {{'@type': {TLS}, common_tls_context: {{{row}}}}}}}");
        let file = format!(
            "{BASE}    transport_socket: {socket}\n  secrets: [{{name: trust, validation_context: {{}}}}]\n"
        );
        let mut flags = Flags::of("envoy");
        flags.config_yaml = Some(file.clone());
        let ours = tidegate_ingress::validate(&flags).expect_err(row).to_string();
        let envoys = envoy::validate(&program, &file).await.expect_err(row);
        assert!(
            ours.contains(expected) && envoys.contains(expected),
            "{ours}\n{envoys}"
        );
    }
}

#[tokio::test]
async fn what_a_cluster_says_of_a_revision_is_nothing_to_envoy_and_read_here() {
    let Some(program) = peers::envoy("activation") else {
        return;
    };
    let file = |limit: &str| {
        let cluster = BASE.replace("c1", "ns/rev");
        format!(
            "{cluster}    metadata: {{filter_metadata: {{tidegate.activation: {{namespace: ns, revision: rev, \
             pods: ns/rev-private, containerConcurrency: {limit}}}}}}}\n"
        )
    };
    for (limit, is_taken) in [("10", true), ("-10", false)] {
        let mut flags = Flags::of("envoy");
        flags.config_yaml = Some(file(limit));
        assert_eq!(tidegate_ingress::validate(&flags).is_ok(), is_taken, "{limit}");
        envoy::validate(&program, &file(limit))
            .await
            .expect("Envoy takes it");
    }
}
