use http::HeaderValue;
use serde_json::{Value, json};
use tidegate_proxy::config::http::Http10;
use tidegate_proxy::listener::settings::{Balance, UnixAddress};
use tidegate_proxy::normalize::forwarded::Forwarding;
use tidegate_proxy::normalize::path::DotSegments;
use tidegate_proxy::observe::request_id::{MakeRequestId, RequestIdPolicy, RequestIdResponse};

use super::*;
use crate::text;

/// `base` with the fields of `changes`; one that is null is taken out.
fn with(mut base: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else {
        panic!("not an object")
    };
    for (name, value) in changes {
        match value {
            Value::Null => _ = base.as_object_mut().unwrap().remove(&name),
            value => base[name] = value,
        }
    }
    base
}

fn any(name: &str, message: &str, fields: Value) -> Value {
    let config = with(json!({"@type": format!("type.googleapis.com/{message}")}), fields);
    json!({"name": name, "typed_config": config})
}

fn manager(changes: Value) -> Value {
    let router = any("r", "envoy.extensions.filters.http.router.v3.Router", json!({}));
    let manager = json!({
        "stat_prefix": "ingress_http",
        "rds": {"config_source": {"ads": {}}, "route_config_name": "external"},
        "http_filters": [router],
    });
    const MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    any("hcm", MANAGER, with(manager, changes))
}

fn chain(changes: Value) -> Value {
    with(json!({"filters": [manager(json!({}))]}), changes)
}

fn resource(changes: Value) -> Value {
    let socket = json!({"address": "127.0.0.1", "port_value": 18999});
    let listener = json!({
        "name": "l",
        "address": {"socket_address": socket},
        "filter_chains": [chain(json!({}))],
    });
    with(listener, changes)
}

fn encoded(listener: &Value) -> Bytes {
    let text = listener.to_string();
    let name = "envoy.config.listener.v3.Listener";
    let parsed = text::parse(text.as_bytes(), text::Format::Json, name, text::Unknown::Refused);
    parsed.unwrap().encode()
}

fn read(listener: &Value) -> Result<ListenerConfig, Reject> {
    super::listener(&encoded(listener), &Context::default())
}

/// The settings that a connection manager with these changes makes.
fn http(changes: Value) -> Arc<HttpSettings> {
    let chain = chain(json!({"filters": [manager(changes)]}));
    let read = read(&resource(json!({"filter_chains": [chain]}))).unwrap();
    Arc::clone(&read.chains[0].http)
}

#[test]
fn a_listener_without_anything_has_the_defaults_of_envoy() {
    let read = read(&resource(json!({}))).unwrap();
    assert_eq!(read.notes, []);
    assert_eq!(&*read.chains[0].stat_prefix, "ingress_http");
    let http = &read.chains[0].http;
    assert_eq!(&*http.route_table, "external");
    assert_eq!(http.path.dots, DotSegments::Keep);
    assert_eq!(http.forwarding, Forwarding::Keep { trusted_hops: 0 });
    assert_eq!(http.http1.http_10, Http10::Refused);
    assert_eq!((http.head.bytes_max, http.head.fields_max), (60 * 1024, 100));
    assert_eq!(http.timeouts.stream_idle, Some(Duration::from_secs(300)));
    assert_eq!(http.timeouts.idle, Duration::from_secs(3600));
    assert_eq!(
        (http.timeouts.request, http.timeouts.connection_max),
        (None, None)
    );
    assert_eq!(http.request_id.make, MakeRequestId::Missing);
    // Only a route may allow it.
    assert_eq!(*http.upgrades, ["websocket".into()]);
    assert_eq!(http.upgrades_by_route, http.upgrades);
    let RouteSource::Rds {
        name,
        initial_fetch_timeout,
    } = &read.chains[0].routes
    else {
        panic!("{:?}", read.chains[0].routes)
    };
    assert_eq!(
        (&**name, *initial_fetch_timeout),
        ("external", Some(Duration::from_secs(15)))
    );
}

#[test]
fn what_a_connection_manager_says_is_in_its_settings() {
    let idle = |time: &str| http(json!({"stream_idle_timeout": time})).timeouts.stream_idle;
    assert_eq!((idle("0s"), idle("2s")), (None, Some(Duration::from_secs(2))));
    let edge = http(json!({"use_remote_address": true, "xff_num_trusted_hops": 1}));
    assert_eq!(edge.forwarding, Forwarding::Append { trusted_hops: 1 });
    assert_eq!(edge.request_id.make, MakeRequestId::Always);
    let kept = http(json!({
        "use_remote_address": true,
        "preserve_external_request_id": true,
        "always_set_request_id_in_response": true,
    }));
    let policy = RequestIdPolicy {
        make: MakeRequestId::Missing,
        response: RequestIdResponse::Set,
    };
    assert_eq!(kept.request_id, policy);
    let upgrades = json!([{"upgrade_type": "WebSocket"}, {"upgrade_type": "other", "enabled": false}]);
    let http_upgrades = http(json!({"upgrade_configs": upgrades}));
    assert_eq!(*http_upgrades.upgrades, ["websocket".into(), "other".into()]);
    assert_eq!(*http_upgrades.upgrades_by_route, ["other".into()]);
    let h1 = json!({"accept_http_10": true});
    assert_eq!(
        http(json!({"http_protocol_options": h1})).http1.http_10,
        Http10::Accepted
    );
    let common = json!({"max_requests_per_connection": 7, "max_headers_count": 9, "idle_timeout": "0s"});
    let common = http(json!({"common_http_protocol_options": common}));
    assert_eq!(common.requests_per_connection_max.map(|most| most.get()), Some(7));
    assert_eq!(
        (common.head.fields_max, common.timeouts.idle),
        (9, crate::limits::FOREVER)
    );
}

#[test]
fn responses_are_signed_as_by_envoy_unless_that_is_switched_off() {
    use tidegate_proxy::config::manners::ServerField;
    let server = |changes: Value| http(changes).manners.as_ref().unwrap().server.clone();
    let envoy = || HeaderValue::from_static("envoy");
    assert_eq!(server(json!({})), ServerField::Overwrite(envoy()));
    let absent = server(json!({"server_header_transformation": "APPEND_IF_ABSENT"}));
    assert_eq!(absent, ServerField::IfAbsent(envoy()));
    let passed = server(json!({"server_header_transformation": "PASS_THROUGH"}));
    assert_eq!(passed, ServerField::Pass);
    let router = "envoy.extensions.filters.http.router.v3.Router";
    let silent = json!([any("r", router, json!({"suppress_envoy_headers": true}))]);
    let silent = http(json!({"http_filters": silent, "use_remote_address": true}));
    let manners = silent.manners.as_ref().unwrap();
    assert_eq!(manners.upstream_time, None);
    assert!(manners.client_address.is_some());
}

#[test]
fn hosts_and_fields_are_taken_as_it_is_said() {
    use tidegate_proxy::normalize::edge::Underscores;
    use tidegate_proxy::normalize::host::HostPort;
    assert_eq!(
        http(json!({"strip_any_host_port": true})).host_port,
        HostPort::Remove
    );
    assert_eq!(
        http(json!({"strip_matching_host_port": true})).host_port,
        HostPort::RemoveOwn
    );
    assert_eq!(http(json!({})).underscores, Underscores::Keep);
    let common = json!({"headers_with_underscores_action": "REJECT_REQUEST"});
    assert_eq!(
        http(json!({"common_http_protocol_options": common})).underscores,
        Underscores::Refuse
    );
    let removed = |changes: Value| format!("{:?}", http(changes).edge).contains("x-forwarded-client-cert");
    assert!(removed(json!({})));
    assert!(!removed(
        json!({"forward_client_cert_details": "ALWAYS_FORWARD_ONLY"})
    ));
    // How often a request was tried is for the upstream to know, and no order to Envoy.
    assert!(!format!("{:?}", http(json!({})).edge).contains("x-envoy-attempt-count"));
    assert!(removed(json!({"forward_client_cert_details": "SANITIZE_SET"})));
    assert!(!removed(json!({"forward_client_cert_details": "APPEND_FORWARD"})));
}

#[test]
fn what_is_told_of_certificates_is_what_is_said() {
    use tidegate_proxy::normalize::certificate::{CertificateField, Details};
    let check = |mode: &str, expected: CertificateField| {
        let details = json!({"subject": true, "uri": true, "chain": true});
        let changes =
            json!({"forward_client_cert_details": mode, "set_current_client_cert_details": details});
        assert_eq!(http(changes).client_certificate, expected, "{mode}");
    };
    let details = Details {
        chain: true,
        subject: true,
        uris: true,
        ..Details::default()
    };
    check("SANITIZE", CertificateField::Pass);
    check("ALWAYS_FORWARD_ONLY", CertificateField::Pass);
    check("FORWARD_ONLY", CertificateField::PassOfKnown);
    check("APPEND_FORWARD", CertificateField::Append(details));
    check("SANITIZE_SET", CertificateField::Set(details));
    let bare = http(json!({"forward_client_cert_details": "SANITIZE_SET"}));
    assert_eq!(bare.client_certificate, CertificateField::Set(Details::default()));
}

#[test]
fn what_envoy_refuses_is_refused_in_its_words() {
    let check = |listener: Value, expected: &str| {
        let text = read(&listener).map(|_| ()).unwrap_err().to_string();
        assert_eq!(text, expected);
    };
    let adding = |why: &str| format!("error adding listener '127.0.0.1:18999': {why}");
    check(
        resource(json!({"address": null})),
        "error adding listener named 'l': address is necessary",
    );
    check(
        resource(json!({"filter_chains": null})),
        &adding("no filter chains specified"),
    );
    let chains = |matches: &[Value]| {
        let chains: Vec<Value> = matches
            .iter()
            .enumerate()
            .map(|(index, one)| chain(json!({"name": format!("c{index}"), "filter_chain_match": one})))
            .collect();
        resource(json!({"filter_chains": chains}))
    };
    check(
        resource(json!({"address": {"pipe": {"path": ""}}})),
        "Proto constraint validation failed (ListenerValidationError.Address: embedded message failed validation | caused by AddressValidationError.Pipe: embedded message failed validation | caused by PipeValidationError.Path: value length must be at least 1 characters)",
    );
    check(
        chains(&[json!({"server_names": ["a.com", "a.com"]})]),
        &adding("multiple filter chains with overlapping matching rules are defined"),
    );
    check(
        chains(&[json!({"server_names": ["a.*.com"]})]),
        &adding(r#"partial wildcards are not supported in "server_names""#),
    );
    let twin = "filter chain 'c1' has the same matching rules defined as 'c0'. duplicate matcher is: ";
    check(chains(&[json!({}), json!({})]), &adding(&format!("{twin}{{}}")));
    let full = json!({
        "server_names": ["b.com", "a.com"], "transport_protocol": "tls", "destination_port": 80,
        "prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}], "source_type": "EXTERNAL",
        "source_ports": [5],
    });
    let shown = r#"{"prefix_ranges":[{"address_prefix":"10.0.0.0","prefix_len":8}],"source_ports":[5],"destination_port":80,"transport_protocol":"tls","server_names":["b.com","a.com"],"source_type":"EXTERNAL"}"#;
    check(chains(&[full.clone(), full]), &adding(&format!("{twin}{shown}")));
    check(
        chains(&[
            json!({"server_names": ["a.com"]}),
            json!({"server_names": ["A.com", "b.com"]}),
        ]),
        &adding("multiple filter chains with overlapping matching rules are defined"),
    );
    check(
        chains(&[
            json!({"transport_protocol": "tls", "server_names": ["a.com"]}),
            json!({"transport_protocol": "tls", "server_names": ["b.com", "a.com"]}),
        ]),
        &adding("multiple filter chains with overlapping matching rules are defined"),
    );
    check(
        chains(&[json!({"transport_protocol": "tls"})]),
        &adding("filter chain 'c0' matches a transport protocol that it does not speak"),
    );
    check(
        chains(&[json!({"address_suffix": "1.1"})]),
        &adding("filter chain 'c0' contains unimplemented fields"),
    );
    let compat = json!({"socket_address": {"address": "0.0.0.0", "port_value": 1, "ipv4_compat": true}});
    check(
        resource(json!({"address": compat})),
        "Only IPv6 address '::' or valid IPv4-mapped IPv6 address can set ipv4_compat: 0.0.0.0:1",
    );
}

#[test]
fn a_connection_manager_meets_the_constraints_of_envoy() {
    let check = |changes: Value, expected: &str| {
        let chain = chain(json!({"filters": [manager(changes)]}));
        let text = read(&resource(json!({"filter_chains": [chain]})));
        let expected = format!("(HttpConnectionManagerValidationError.{expected}");
        let text = text.map(|_| ()).unwrap_err().to_string();
        assert!(text.contains(&expected), "{text} does not say {expected}");
    };
    let undefined = "value must be one of the defined enum values";
    check(
        json!({"server_header_transformation": 17}),
        &format!("ServerHeaderTransformation: {undefined}"),
    );
    check(
        json!({"forward_client_cert_details": 9}),
        &format!("ForwardClientCertDetails: {undefined}"),
    );
    check(
        json!({"tracing": {"random_sampling": {"value": 101}}}),
        "Tracing: embedded message failed validation | caused by TracingValidationError.RandomSampling",
    );
    check(
        json!({"http2_protocol_options": {"initial_stream_window_size": 1}}),
        "Http2ProtocolOptions: embedded message failed validation",
    );
    check(
        json!({"common_http_protocol_options": {"max_headers_count": 0}}),
        "CommonHttpProtocolOptions: embedded message failed validation",
    );
}

#[test]
fn what_envoy_refuses_of_filters_is_refused_in_its_words() {
    let check = |filters: Value, expected: &str| {
        let listener = resource(json!({"filter_chains": [{"filters": filters}]}));
        let text = read(&listener).map(|_| ()).unwrap_err().to_string();
        assert_eq!(text, expected);
    };
    let unknown = any("zzz", "google.protobuf.Struct", json!({"value": {}}));
    let nobody = "Didn't find a registered implementation for 'zzz' with type URL: ";
    check(json!([unknown]), &format!("{nobody}'google.protobuf.Struct'"));
    check(json!([{"name": "zzz"}]), &format!("{nobody}''"));
    let rbac = any(
        "a",
        "envoy.extensions.filters.network.rbac.v3.RBAC",
        json!({"stat_prefix": "x"}),
    );
    check(
        json!([rbac]),
        "Error: non-terminal filter named a of type envoy.filters.network.rbac is the last filter in a network filter chain.",
    );
    check(
        json!([manager(json!({})), manager(json!({}))]),
        "Error: terminal filter named hcm of type envoy.filters.network.http_connection_manager must be the last filter \
         in a network filter chain.",
    );
    let twice = json!([{"upgrade_type": "websocket"}, {"upgrade_type": "WebSocket"}]);
    check(
        json!([manager(json!({"upgrade_configs": twice}))]),
        "Error: multiple upgrade configs with the same name: 'WebSocket'",
    );
    let authz = any(
        "authz",
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        json!({"http_service": {"server_uri": {"uri": "http://a", "cluster": "a", "timeout": "1s"}}}),
    );
    let end = any("r", "envoy.extensions.filters.http.router.v3.Router", json!({}));
    let asked = json!([{"upgrade_type": "websocket", "filters": [authz, end]}]);
    check(
        json!([manager(json!({"upgrade_configs": asked}))]),
        "filter_chains[0].http_connection_manager.upgrade_configs[0].http_filters[0] is not supported here",
    );
    check(
        json!([manager(
            json!({"strip_any_host_port": true, "strip_matching_host_port": true})
        )]),
        "Error: Only one of `strip_matching_host_port` or `strip_any_host_port` can be set.",
    );
    check(
        json!([manager(json!({"codec_type": "HTTP3"}))]),
        "HTTP/3 codec configured on non-QUIC listener.",
    );
    let xff = "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig";
    let xff = json!([any("x", xff, json!({"xff_num_trusted_hops": 1}))]);
    check(
        json!([manager(
            json!({"use_remote_address": true, "original_ip_detection_extensions": xff})
        )]),
        "Original IP detection extensions and use_remote_address may not be mixed",
    );
}

#[test]
fn sockets_are_told_where_and_how() {
    let proxied = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";
    let keep_alive = |name: i64, value: i64| json!({"level": 6, "name": name, "int_value": value});
    let read = read(&resource(json!({
        "address": {"pipe": {"path": "/run/x.sock", "mode": 432}},
        "additional_addresses": [{"address": {"socket_address": {"address": "::", "port_value": 80, "ipv4_compat": true}}}],
        "listener_filters": [any("p", proxied, json!({"allow_requests_without_proxy_protocol": true}))],
        "socket_options": [{"level": 1, "name": 9, "int_value": 1}, keep_alive(4, 60), keep_alive(99, 1)],
        "tcp_backlog_size": 7,
        "connection_balance_config": {"exact_balance": {}},
    })));
    let read = read.unwrap();
    let pipe = UnixAddress {
        path: "/run/x.sock".into(),
        mode: Some(0o660),
    };
    assert_eq!(read.addresses[0], (ListenAddress::Unix(pipe), IpVersions::Own));
    assert_eq!(
        read.addresses[1],
        (ListenAddress::Tcp("[::]:80".parse().unwrap()), IpVersions::Both)
    );
    assert_eq!(read.sockets.proxy_protocol, ProxyProtocol::Optional);
    assert_eq!(read.sockets.balance, Balance::Exact);
    assert_eq!(
        (read.sockets.backlog, read.sockets.handshake_timeout),
        (7, Duration::from_secs(15))
    );
    assert_eq!(
        read.sockets.tcp.keepalive.map(|probes| probes.idle),
        Some(Duration::from_secs(60))
    );
    assert_eq!(read.notes.len(), 1);
    assert_eq!(read.notes[0].path, "socket_options[2]");
}

#[test]
fn a_chain_is_the_same_whatever_the_order_of_its_names() {
    let hash = |names: &[&str], changes: Value| {
        let chain = with(
            chain(json!({"filter_chain_match": {"server_names": names}})),
            changes,
        );
        read(&resource(json!({"filter_chains": [chain]}))).unwrap().chains[0].hash
    };
    let one = hash(&["a.com", "b.com"], json!({}));
    assert_eq!(one, hash(&["b.com", "a.com"], json!({})));
    assert_ne!(one, hash(&["a.com"], json!({})));
    assert_ne!(one, hash(&["a.com", "b.com"], json!({"name": "x"})));
}

#[test]
fn a_chain_that_passes_bytes_on_may_match_tls_without_speaking_it() {
    const PROXY: &str = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
    let proxy = any("t", PROXY, json!({"stat_prefix": "t", "cluster": "c"}));
    let passing = |matches: Value| json!({"filters": [proxy], "filter_chain_match": matches});
    let chains = json!([
        passing(json!({"transport_protocol": "tls", "server_names": ["a.example"]})),
        passing(json!({"server_names": ["b.example"]})),
        chain(json!({})),
    ]);
    let read = read(&resource(json!({"filter_chains": chains}))).unwrap();
    let relayed: Vec<_> = read.chains.iter().map(|chain| chain.relay.is_some()).collect();
    assert_eq!(relayed, [true, true, false]);
    assert!(matches!(read.chains[0].routes, RouteSource::None));
    // What speaks HTTP cannot.
    let matches = json!({"transport_protocol": "tls"});
    let speaking = chain(json!({"filter_chain_match": matches}));
    listener(
        &encoded(&resource(json!({"filter_chains": [speaking]}))),
        &Context::default(),
    )
    .expect_err("it would not be served");
}

#[test]
fn network_filters_that_bound_connections_are_read_or_refused() {
    let behind = |message: &str, fields: Value| {
        let filter = any(
            "f",
            &format!("envoy.extensions.filters.network.{message}"),
            fields,
        );
        let chain = chain(json!({"filters": [filter, manager(json!({}))]}));
        read(&resource(json!({"filter_chains": [chain]}))).map_err(|reject| reject.to_string())
    };
    const LIMIT: &str = "connection_limit.v3.ConnectionLimit";
    let limited = behind(LIMIT, json!({"stat_prefix": "a", "max_connections": 7})).unwrap();
    let limit = limited.chains[0]
        .limit
        .as_ref()
        .map(|(name, max)| (&**name, max.get()));
    assert_eq!(limit, Some(("a", 7)));
    let error = behind(LIMIT, json!({"stat_prefix": "a", "max_connections": 0})).unwrap_err();
    assert!(
        error.contains("ConnectionLimitValidationError.MaxConnections: value must be greater"),
        "{error}"
    );
    const RULES: &str = "rbac.v3.RBAC";
    assert!(behind(RULES, json!({"stat_prefix": "a"})).is_ok());
    behind(RULES, json!({"stat_prefix": "a", "rules": {}})).unwrap_err();
    behind("local_ratelimit.v3.LocalRateLimit", json!({"stat_prefix": "a"})).unwrap_err();
}
