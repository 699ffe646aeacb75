//! Resources with something wrong in each, or with something that looks wrong and is not.

use serde_json::{Value, json};
use tidegate_xds::resource::Kind;

use super::pair;
use super::world::ROUTES;

/// One resource to be taken or refused.
pub(crate) struct Mutant {
    pub(crate) kind: Kind,
    pub(crate) json: Value,
    /// Whether the words of the refusal are Envoy's to the byte.
    pub(crate) is_exact: bool,
}

impl std::fmt::Debug for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.kind, self.json)
    }
}

/// A path into a resource, and what to put there; `null` takes it away.
type Change = (&'static str, Value);

pub(crate) fn all() -> Vec<Mutant> {
    let upstream = ([127, 0, 0, 1], 1).into();
    let mut cluster = pair::cluster("ns/one", upstream);
    let mut listener = pair::listener("plain");
    for (base, name) in [(&mut cluster, "mutant/c"), (&mut listener, "mutant/l")] {
        super::world::put(base, "name", json!(name));
    }
    let mut all = Vec::new();
    for (kind, base, changes) in [
        (Kind::Routes, routes(), of_routes()),
        (Kind::Cluster, cluster, of_clusters()),
        (Kind::Listener, listener, of_listeners()),
    ] {
        for (path, value) in changes {
            let is_exact = kind == Kind::Routes && path.ends_with("cluster");
            let json = changed(&base, path, value);
            all.push(Mutant { kind, json, is_exact });
        }
    }
    all
}

/// The resource with something else at a path.
fn changed(base: &Value, path: &str, value: Value) -> Value {
    let mut changed = base.clone();
    let (parent, name) = path.rsplit_once('/').expect("it has a slash");
    match changed.pointer_mut(parent) {
        Some(Value::Object(fields)) if value.is_null() => _ = fields.remove(name),
        Some(Value::Object(fields)) => _ = fields.insert(name.to_owned(), value),
        Some(Value::Array(items)) => items.push(value),
        _ => panic!("nothing is at {parent}"),
    }
    changed
}

fn routes() -> Value {
    json!({"name": ROUTES, "validate_clusters": true, "virtual_hosts": [
        {"name": "one", "domains": ["a.example"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "ns/one"}},
            {"match": {"prefix": "/r"}, "redirect": {}},
            {"match": {"prefix": "/d"}, "direct_response": {"status": 200}}]}]})
}

fn of_routes() -> Vec<Change> {
    vec![
        ("/virtual_hosts/0/name", json!(null)),
        ("/virtual_hosts/0/domains", json!([])),
        ("/virtual_hosts/0/domains", json!(["a.example", "A.EXAMPLE"])),
        ("/virtual_hosts/0/domains", json!(["*", "*"])),
        ("/virtual_hosts/0/domains", json!([""])),
        ("/virtual_hosts/0/domains", json!(["a.*.b"])),
        ("/virtual_hosts/0/domains", json!(["a*", "*a", "a:*"])),
        (
            "/virtual_hosts/-",
            json!({"name": "one", "domains": ["b.example"]}),
        ),
        (
            "/virtual_hosts/-",
            json!({"name": "two", "domains": ["a.example"]}),
        ),
        ("/virtual_hosts/0/require_tls", json!(7)),
        ("/virtual_hosts/0/routes/0/match", json!(null)),
        ("/virtual_hosts/0/routes/0/match", json!({})),
        (
            "/virtual_hosts/0/routes/0/match",
            json!({"safe_regex": {"regex": "("}}),
        ),
        (
            "/virtual_hosts/0/routes/0/match",
            json!({"safe_regex": {"regex": ""}}),
        ),
        ("/virtual_hosts/0/routes/0/match", json!({"safe_regex": {}})),
        (
            "/virtual_hosts/0/routes/0/match",
            json!({"path_separated_prefix": "/a/"}),
        ),
        (
            "/virtual_hosts/0/routes/0/match",
            json!({"path_separated_prefix": "a?b"}),
        ),
        ("/virtual_hosts/0/routes/0/match", json!({"prefix": "a"})),
        ("/virtual_hosts/0/routes/0/match/headers", json!([{"name": ""}])),
        (
            "/virtual_hosts/0/routes/0/match/headers",
            json!([{"name": "x", "string_match": {}}]),
        ),
        (
            "/virtual_hosts/0/routes/0/match/headers",
            json!([{"name": "x", "string_match": {"prefix": ""}}]),
        ),
        (
            "/virtual_hosts/0/routes/0/match/headers",
            json!([{"name": "x", "string_match": {"safe_regex": {"regex": "["}}}]),
        ),
        (
            "/virtual_hosts/0/routes/0/match/headers",
            json!([{"name": "x", "range_match": {"start": 5, "end": 1}}]),
        ),
        (
            "/virtual_hosts/0/routes/0/match/query_parameters",
            json!([{"name": ""}]),
        ),
        ("/virtual_hosts/0/routes/0/match/runtime_fraction", json!({})),
        ("/virtual_hosts/0/routes/0/route", json!(null)),
        ("/virtual_hosts/0/routes/0/route", json!({})),
        ("/virtual_hosts/0/routes/0/route/cluster", json!("")),
        ("/virtual_hosts/0/routes/0/route/cluster", json!("ns/nobody")),
        (
            "/virtual_hosts/0/routes/0/route/cluster",
            json!("with 'quotes' and ü"),
        ),
        (
            "/virtual_hosts/0/routes/0/route",
            json!({"cluster_header": "bad name"}),
        ),
        (
            "/virtual_hosts/0/routes/0/route",
            json!({"weighted_clusters": {}}),
        ),
        (
            "/virtual_hosts/0/routes/0/route",
            json!({"weighted_clusters": {"clusters": [{"name": "ns/one", "weight": 0}]}}),
        ),
        (
            "/virtual_hosts/0/routes/0/route",
            json!({"weighted_clusters": {"clusters": [{"name": "ns/one"}]}}),
        ),
        (
            "/virtual_hosts/0/routes/0/route",
            json!({"weighted_clusters": {"clusters": [{"weight": 1}]}}),
        ),
        (
            "/virtual_hosts/0/routes/0/route",
            json!({"weighted_clusters": {"clusters": [{"name": "ns/no", "weight": 1}]}}),
        ),
        ("/virtual_hosts/0/routes/0/route/timeout", json!("-1s")),
        (
            "/virtual_hosts/0/routes/0/route/cluster_not_found_response_code",
            json!(9),
        ),
        ("/virtual_hosts/0/routes/0/route/regex_rewrite", json!({})),
        (
            "/virtual_hosts/0/routes/0/route/regex_rewrite",
            json!({"pattern": {"regex": "a"}, "substitution": "\\1"}),
        ),
        (
            "/virtual_hosts/0/routes/0/route/regex_rewrite",
            json!({"pattern": {"regex": "a"}, "substitution": "\\"}),
        ),
        (
            "/virtual_hosts/0/routes/0/route/retry_policy",
            json!({"retry_on": "nonsense"}),
        ),
        (
            "/virtual_hosts/0/routes/0/route/retry_policy",
            json!({"retry_on": "5xx", "retry_back_off": {}}),
        ),
        (
            "/virtual_hosts/0/routes/0/route/retry_policy",
            json!({"retry_back_off": {"base_interval": "2s", "max_interval": "1s"}}),
        ),
        ("/virtual_hosts/0/routes/0/route/hash_policy", json!([{}])),
        (
            "/virtual_hosts/0/routes/0/route/hash_policy",
            json!([{"header": {}}]),
        ),
        (
            "/virtual_hosts/0/routes/0/route/upgrade_configs",
            json!([{"upgrade_type": "a"}, {"upgrade_type": "A"}]),
        ),
        (
            "/virtual_hosts/0/routes/0/request_headers_to_add",
            json!([{"header": {"key": ""}}]),
        ),
        (
            "/virtual_hosts/0/routes/0/request_headers_to_add",
            json!([{"header": {"key": ":path", "value": "x"}}]),
        ),
        (
            "/virtual_hosts/0/routes/0/request_headers_to_add",
            json!([{"header": {"key": "host", "value": "x"}}]),
        ),
        (
            "/virtual_hosts/0/routes/0/request_headers_to_add",
            json!([{"header": {"key": "a", "value": "%"}}]),
        ),
        (
            "/virtual_hosts/0/routes/0/request_headers_to_add",
            json!([{"header": {"key": "a", "value": "%NO%"}}]),
        ),
        (
            "/virtual_hosts/0/routes/0/request_headers_to_add",
            json!([{"header": {"key": "a", "value": "%REQ(%"}}]),
        ),
        (
            "/virtual_hosts/0/routes/0/request_headers_to_add",
            json!([{"append_action": 9, "header": {"key": "a", "value": "b"}}]),
        ),
        (
            "/virtual_hosts/0/routes/0/request_headers_to_remove",
            json!([":path"]),
        ),
        ("/virtual_hosts/0/routes/0/request_headers_to_remove", json!([""])),
        (
            "/virtual_hosts/0/routes/0/typed_per_filter_config",
            json!({"router": {"@type": "type.googleapis.com/google.protobuf.Struct"}}),
        ),
        ("/virtual_hosts/0/routes/1/redirect/response_code", json!(17)),
        ("/virtual_hosts/0/routes/1/redirect/prefix_rewrite", json!("/p")),
        (
            "/virtual_hosts/0/routes/1/redirect/regex_rewrite",
            json!({"pattern": {"regex": "("}}),
        ),
        ("/virtual_hosts/0/routes/2/direct_response/status", json!(99)),
        ("/virtual_hosts/0/routes/2/direct_response/status", json!(600)),
        (
            "/virtual_hosts/0/routes/2/direct_response/body",
            json!({"inline_string": "x".repeat(4097)}),
        ),
    ]
}

fn of_clusters() -> Vec<Change> {
    vec![
        ("/connect_timeout", json!("0s")),
        ("/connect_timeout", json!("-1s")),
        ("/type", json!(17)),
        ("/lb_policy", json!(17)),
        ("/load_assignment", json!(null)),
        ("/load_assignment/cluster_name", json!(null)),
        (
            "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address",
            json!({}),
        ),
        (
            "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/address",
            json!(""),
        ),
        (
            "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/address",
            json!("a.example"),
        ),
        (
            "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/port_value",
            json!(70000),
        ),
        ("/load_assignment/endpoints/0/priority", json!(200)),
        ("/load_assignment/endpoints/0/load_balancing_weight", json!(0)),
        (
            "/load_assignment/endpoints/0/lb_endpoints/0/load_balancing_weight",
            json!(0),
        ),
        (
            "/load_assignment/endpoints/0/lb_endpoints/0/health_status",
            json!(42),
        ),
        ("/circuit_breakers", json!({"thresholds": [{"priority": 5}]})),
        ("/health_checks", json!([{}])),
        (
            "/health_checks",
            json!([{"timeout": "1s", "interval": "1s", "healthy_threshold": 1, "unhealthy_threshold": 1}]),
        ),
        ("/outlier_detection", json!({"max_ejection_percent": 101})),
        ("/outlier_detection", json!({"interval": "0s"})),
        ("/transport_socket", json!({"name": "x"})),
        (
            "/transport_socket",
            json!({"name": "x", "typed_config": {"@type": "type.googleapis.com/google.protobuf.Struct"}}),
        ),
        (
            "/typed_extension_protocol_options",
            json!({"no.such": {"@type": "type.googleapis.com/google.protobuf.Struct"}}),
        ),
        ("/dns_refresh_rate", json!("0s")),
        ("/max_requests_per_connection", json!(1)),
    ]
}

fn of_listeners() -> Vec<Change> {
    vec![
        ("/address", json!(null)),
        ("/address/socket_address/address", json!("")),
        ("/address/socket_address/address", json!("no address")),
        ("/filter_chains", json!([])),
        ("/filter_chains/0/filters/0/name", json!(null)),
        ("/filter_chains/0/filters/0/typed_config", json!(null)),
        (
            "/filter_chains/0/filters/0/typed_config",
            json!({"@type": "type.googleapis.com/google.protobuf.Struct"}),
        ),
        ("/filter_chains/0/filters/0/typed_config/stat_prefix", json!("")),
        ("/filter_chains/0/filters/0/typed_config/codec_type", json!(17)),
        ("/filter_chains/0/filters/0/typed_config/rds", json!(null)),
        (
            "/filter_chains/0/filters/0/typed_config/rds/route_config_name",
            json!(""),
        ),
        (
            "/filter_chains/0/filters/0/typed_config/rds/config_source",
            json!(null),
        ),
        ("/filter_chains/0/filters/0/typed_config/http_filters", json!([])),
        (
            "/filter_chains/0/filters/0/typed_config/http_filters/0/name",
            json!(""),
        ),
        (
            "/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config",
            json!(null),
        ),
        (
            "/filter_chains/0/filters/0/typed_config/http_filters/-",
            json!({"name": "router", "typed_config":
            {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}),
        ),
        (
            "/filter_chains/0/filters/0/typed_config/http_filters/-",
            json!({"name": "x", "is_optional": true, "typed_config":
            {"@type": "type.googleapis.com/google.protobuf.Struct"}}),
        ),
        (
            "/filter_chains/0/filters/0/typed_config/path_with_escaped_slashes_action",
            json!(17),
        ),
        (
            "/filter_chains/0/filters/0/typed_config/stream_idle_timeout",
            json!("-1s"),
        ),
        (
            "/filter_chains/0/filters/0/typed_config/server_header_transformation",
            json!(17),
        ),
        (
            "/filter_chains/0/filters/0/typed_config/upgrade_configs",
            json!([{"upgrade_type": "a"}, {"upgrade_type": "A"}]),
        ),
        (
            "/filter_chains/0/filters/0/typed_config/access_log",
            json!([{"name": "x"}]),
        ),
        (
            "/filter_chains/0/filters/0/typed_config/max_request_headers_kb",
            json!(0),
        ),
        (
            "/filter_chains/0/filters/0/typed_config/max_request_headers_kb",
            json!(9000),
        ),
        (
            "/filter_chains/0/filter_chain_match",
            json!({"prefix_ranges": [{"address_prefix": "x"}]}),
        ),
        (
            "/filter_chains/0/filter_chain_match",
            json!({"server_names": ["*.*.a"]}),
        ),
        ("/filter_chains/-", json!({"filters": [{"name": "manager"}]})),
    ]
}
