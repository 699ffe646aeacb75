//! Bootstraps as they are written for Envoy: what is read of them, and what Envoy 1.40 was seen to refuse.

use super::*;
use crate::text::{self, Format, Unknown};

fn read(yaml: &str) -> Result<Bootstrap, String> {
    let name = "envoy.config.bootstrap.v3.Bootstrap";
    let parsed = text::parse(yaml.as_bytes(), Format::Yaml, name, Unknown::Refused)
        .map_err(|problem| problem.to_string())?;
    bootstrap(&parsed.encode()).map_err(|reject| reject.to_string())
}

const KOURIER: &str = "
dynamic_resources:
  ads_config:
    transport_api_version: V3
    api_type: GRPC
    rate_limit_settings: {}
    grpc_services:
    - envoy_grpc: {cluster_name: xds_cluster}
  cds_config: {resource_api_version: V3, ads: {}}
  lds_config: {resource_api_version: V3, ads: {}}
node: {cluster: kourier-knative, id: 3scale-kourier-gateway}
static_resources:
  listeners: [{name: stats_listener}]
  clusters: [{name: service_stats, type: static}, {name: xds_cluster, type: STRICT_DNS}]
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}";

#[test]
fn kouriers_bootstrap_names_a_stream_for_all() {
    let bootstrap = read(KOURIER).unwrap();
    assert_eq!(
        (&*bootstrap.node.id, &*bootstrap.node.cluster),
        ("3scale-kourier-gateway", "kourier-knative")
    );
    let ads = bootstrap.ads.unwrap();
    assert_eq!(ads.target, Target::Cluster("xds_cluster".to_owned()));
    assert_eq!(
        (ads.variant, ads.rate_limit),
        (Variant::StateOfTheWorld, Some((100, 10.0)))
    );
    let expected = ConfigSource {
        source: Source::Ads,
        initial_fetch_timeout: Some(Duration::from_secs(15)),
    };
    assert_eq!(bootstrap.clusters.as_ref(), Some(&expected));
    assert_eq!(bootstrap.listeners.as_ref(), Some(&expected));
    let resources: Vec<_> = bootstrap
        .resources
        .iter()
        .map(|one| (one.kind, &*one.raw.name, &*one.path))
        .collect();
    assert_eq!(
        resources,
        [
            (Kind::Cluster, "service_stats", "static_resources.clusters[0]"),
            (Kind::Cluster, "xds_cluster", "static_resources.clusters[1]"),
            (Kind::Listener, "stats_listener", "static_resources.listeners[0]"),
        ]
    );
    let address = AdminAddress::Socket {
        address: "127.0.0.1".to_owned(),
        port: 9901,
    };
    assert_eq!(bootstrap.admin.unwrap().address, Some(address));
    assert_eq!(bootstrap.notes, []);
}

#[test]
fn contours_bootstrap_names_a_stream_for_each_kind() {
    let api = "api_config_source: {api_type: DELTA_GRPC, transport_api_version: V3, set_node_on_first_message_only: true, \
               grpc_services: [{envoy_grpc: {cluster_name: contour, authority: contour}}]}, resource_api_version: V3";
    let bootstrap = read(&format!("
static_resources: {{clusters: [{{name: contour, type: STRICT_DNS}}]}}
default_regex_engine: {{name: re2}}
dynamic_resources: {{lds_config: {{{api}, initial_fetch_timeout: 0s}}, cds_config: {{{api}}}}}
layered_runtime:
  layers:
  - {{name: base, static_layer: {{re2.max_program_size.error_level: 1048576}}}}
  - {{name: dynamic, rtds_layer: {{name: dynamic, rtds_config: {{{api}}}}}}}
  - {{name: admin, admin_layer: {{}}}}
overload_manager:
  refresh_interval: 0.25s
  resource_monitors:
  - {{name: heap, typed_config: {{'@type': type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig, max_heap_size_bytes: 2147483648}}}}
  actions:
  - {{name: envoy.overload_actions.shrink_heap, triggers: [{{name: heap, threshold: {{value: 0.95}}}}]}}
admin: {{address: {{pipe: {{path: /admin/admin.sock, mode: 420}}}}}}"))
    .unwrap();
    let listeners = bootstrap.listeners.unwrap();
    assert_eq!(listeners.initial_fetch_timeout, None);
    let Source::Api(api) = listeners.source else {
        panic!("{:?}", listeners.source)
    };
    assert_eq!(
        (api.variant, &*api.authority, api.node_on_first_message_only),
        (Variant::Delta, "contour", true)
    );
    assert_eq!(api.rate_limit, None);
    assert_eq!(bootstrap.runtime.len(), 3);
    assert_eq!(bootstrap.overload.memory_bytes_max, Some(2 << 30));
    let pipe = AdminAddress::Pipe {
        path: "/admin/admin.sock".into(),
        mode: 420,
    };
    assert_eq!(bootstrap.admin.unwrap().address, Some(pipe));
}

#[test]
fn what_has_no_effect_is_listed() {
    let bootstrap = read(
        "watchdogs: {}\nstats_config: {stats_tags: [{tag_name: a, regex: b}]}\nadmin: {profile_path: /x}",
    )
    .unwrap();
    let listed: Vec<_> = bootstrap.notes.iter().map(|note| note.path.as_str()).collect();
    assert_eq!(
        listed,
        ["watchdogs", "admin.profile_path", "stats_config.stats_tags[0]"]
    );
}

#[test]
fn statistics_are_those_that_the_matcher_keeps() {
    let check = |matcher: &str, expected: [bool; 3]| {
        let yaml = format!("stats_config: {{stats_matcher: {{{matcher}}}}}");
        let matcher = read(&yaml).unwrap().stats.matcher;
        let kept = ["cluster.a.x", "server.live", "http.a.rq_2xx"].map(|name| matcher.keeps(name));
        assert_eq!(kept, expected, "{yaml}");
    };
    check("reject_all: true", [false; 3]);
    check("reject_all: false", [true; 3]);
    let patterns =
        "{patterns: [{prefix: cluster.}, {exact: server.live}, {safe_regex: {regex: \"http.*rq_.xx\"}}]}";
    check(&format!("inclusion_list: {patterns}"), [true; 3]);
    check(&format!("exclusion_list: {patterns}"), [false; 3]);
    check(
        "inclusion_list: {patterns: [{suffix: .live}]}",
        [false, true, false],
    );
    check(
        "exclusion_list: {patterns: [{suffix: .live}]}",
        [true, false, true],
    );
}

#[test]
fn connections_are_bounded_by_the_monitor_or_by_the_runtime() {
    let runtime = |layers: &str| format!("layered_runtime: {{layers: [{layers}]}}");
    let check = |yaml: &str, expected: Option<u64>| {
        assert_eq!(read(yaml).unwrap().overload.connections_max, expected, "{yaml}");
    };
    let nested = "{name: a, static_layer: {overload: {global_downstream_max_connections: 5}}}";
    let dotted = "{name: b, static_layer: {overload.global_downstream_max_connections: 7}}";
    check(&runtime(nested), Some(5));
    check(&runtime(&format!("{nested}, {dotted}")), Some(7));
    check(&runtime(&nested.replace('5', "1.5")), None);
    let monitor = "overload_manager: {resource_monitors: [{name: c, typed_config: {'@type': \
        type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig, \
        max_active_downstream_connections: 3}}]}";
    check(&format!("{monitor}\n{}", runtime(nested)), Some(3));
}

#[test]
fn refusals_are_worded_as_envoys() {
    let check = |yaml: &str, expected: &str| assert_eq!(read(yaml).unwrap_err(), expected, "{yaml}");
    check(
        &KOURIER.replace("cluster_name: xds_cluster", "cluster_name: nope"),
        "Unknown gRPC client cluster 'nope'",
    );
    let nameless = "ads: node 'id' and 'cluster' are required. Set it either in 'node' config or via --service-node and \
                    --service-cluster options.";
    check(&KOURIER.replace("cluster: kourier-knative, ", ""), nameless);
    check(
        &KOURIER.replace("service_stats", "xds_cluster"),
        "cluster manager: duplicate cluster 'xds_cluster'",
    );
    check(
        &KOURIER.replace("api_type: GRPC", "api_type: REST"),
        "envoy.config.core.v3.ApiConfigSource, if not a gRPC type, must not have a gRPC service specified",
    );
    let file = "static_resources: {clusters: [{name: c, type: EDS}]}\ndynamic_resources: {cds_config: {api_config_source: \
                {api_type: GRPC, grpc_services: [{envoy_grpc: {cluster_name: c}}]}}}";
    check(
        file,
        "envoy.config.core.v3.ApiConfigSource must have a statically defined non-EDS cluster: 'c' does not exist, was added \
         via api, or is an EDS cluster",
    );
    check(
        "cluster_manager: {local_cluster_name: nope}",
        "local cluster 'nope' must be defined",
    );
    let failed =
        |cause: &str| format!("Proto constraint validation failed (BootstrapValidationError.{cause})");
    check(
        "stats_flush_interval: 301s",
        &failed("StatsFlushInterval: value must be inside range [1ms, 5m0s)"),
    );
    check(
        "dynamic_resources: {cds_config: {}}",
        &failed(
            "DynamicResources: embedded message failed validation | caused by DynamicResourcesValidationError.CdsConfig: \
             embedded message failed validation | caused by field: \"config_source_specifier\", reason: is required",
        ),
    );
    check(
        "layered_runtime: {layers: [{name: a}]}",
        &failed(
            "LayeredRuntime: embedded message failed validation | caused by LayeredRuntimeValidationError.Layers[0]: \
             embedded message failed validation | caused by field: \"layer_specifier\", reason: is required",
        ),
    );
}

#[test]
fn overload_managers_are_checked_as_envoy_does() {
    let check = |yaml: &str, expected: &str| {
        let yaml = format!("overload_manager: {{{yaml}}}");
        assert_eq!(read(&yaml).unwrap_err(), expected, "{yaml}");
    };
    let heap = |bytes| {
        format!(
            "resource_monitors: [{{name: a, typed_config: {{'@type': \
             type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig, max_heap_size_bytes: {bytes}}}}}]"
        )
    };
    let action = |name, trigger| {
        format!(
            "{}, actions: [{{name: envoy.overload_actions.{name}, triggers: [{{name: {trigger}, threshold: {{}}}}]}}]",
            heap(5)
        )
    };
    check(&heap(0), "fixed_heap: max heap size must be greater than 0");
    check(
        &action("bogus", "a"),
        "Unknown Overload Manager Action envoy.overload_actions.bogus",
    );
    check(
        &action("shrink_heap", "nope"),
        "Unknown trigger resource nope for overload action envoy.overload_actions.shrink_heap",
    );
    check(
        "resource_monitors: [{name: a, typed_config: {'@type': type.googleapis.com/google.protobuf.Struct}}]",
        "Didn't find a registered implementation for 'a' with type URL: 'google.protobuf.Struct'",
    );
}

#[test]
fn headers_of_streams_that_no_request_can_carry_are_refused() {
    #[track_caller]
    fn check(pair: &str, expected: Result<&str, &str>) {
        let ads = format!("envoy_grpc: {{cluster_name: xds_cluster}}\n      initial_metadata: [{{{pair}}}]");
        let read = read(&KOURIER.replace("envoy_grpc: {cluster_name: xds_cluster}", &ads));
        let said = read.map(|bootstrap| format!("{:?}", bootstrap.ads.unwrap().initial_metadata));
        assert_eq!(said.as_deref().map_err(String::as_str), expected);
    }
    check(
        "key: Authorization, value: it is me",
        Ok("[(\"authorization\", \"it is me\")]"),
    );
    let none = "grpc_services.initial_metadata: 'a b' has no name that a request can carry";
    check("key: a b, value: c", Err(none));
    let none = "grpc_services.initial_metadata: 'token' has no value that a request can carry";
    check("key: token, value: \"a\\nb\"", Err(none));
    check(
        "key: ':path', value: /",
        Err(":-prefixed or host headers may not be modified"),
    );
}
