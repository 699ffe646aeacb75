//! Texts that Envoy takes, and what it makes of them: every row was observed in its `/config_dump`.

use super::*;

#[test]
fn irregular_forms_mean_what_they_mean_to_envoy() {
    let check = |yaml, expected: &str| assert_eq!(cluster(yaml).as_deref(), Ok(expected), "{yaml}");
    check("type: static", r#"{"type":"STATIC"}"#);
    check("type: strict_dns", r#"{"type":"STRICT_DNS"}"#);
    check("lb_policy: 3", r#"{"lb_policy":"RANDOM"}"#);
    check("lb_policy: \"3\"", r#"{"lb_policy":"RANDOM"}"#);
    check("lbPolicy: RANDOM", r#"{"lb_policy":"RANDOM"}"#);
    check("lb_policy: BOGUS\nlb_policy: RANDOM", r#"{"lb_policy":"RANDOM"}"#);
    check("connect_timeout: 0.250s", r#"{"connect_timeout":"0.250s"}"#);
    check("connect_timeout: {seconds: 5}", r#"{"connect_timeout":"5s"}"#);
    check(
        "connect_timeout: 1.000000001s",
        r#"{"connect_timeout":"1.000000001s"}"#,
    );
    check("respect_dns_ttl: yes", r#"{"respect_dns_ttl":true}"#);
    check("respect_dns_ttl: \"yes\"", r#"{"respect_dns_ttl":true}"#);
    check("respect_dns_ttl: ~", "{}");
    check("alt_stat_name: 1.5", r#"{"alt_stat_name":"1.5"}"#);
    check("alt_stat_name: 12345678901", r#"{"alt_stat_name":"12345678901"}"#);
    check("alt_stat_name: ! 123", r#"{"alt_stat_name":"123"}"#);
    check("filters: null", "{}");
    check("filters: {name: a}", r#"{"filters":[{"name":"a"}]}"#);
    check(
        "load_assignment: {endpoints: {lb_endpoints: {health_status: healthy}}}",
        r#"{"load_assignment":{"endpoints":[{"lb_endpoints":[{"health_status":"HEALTHY"}]}]}}"#,
    );
    check(
        "load_assignment: {cluster_name: a}\nloadAssignment: {endpoints: []}",
        r#"{"load_assignment":{"cluster_name":"a"}}"#,
    );
    check("cluster_type: null\ntype: EDS", r#"{"type":"EDS"}"#);
    check("!ignore x: {name: &a b}\nname: *a", r#"{"name":"b"}"#);
    check("name: a\n---\nbogus: b", r#"{"name":"a"}"#);
}

#[test]
fn whole_numbers_are_taken_in_many_spellings() {
    let check = |text, expected: u32| {
        let expected = format!(r#"{{"per_connection_buffer_limit_bytes":{expected}}}"#);
        let found = cluster(&format!("per_connection_buffer_limit_bytes: {text}"));
        assert_eq!(found.as_deref(), Ok(expected.as_str()), "{text}");
    };
    check("16", 16);
    check("0x10", 16);
    check("\"0x10\"", 16);
    check("010", 8);
    check("\"010\"", 10);
    check("09", 9);
    check("+5", 5);
    check("1.0", 1);
    check("\"1.0\"", 1);
    check("5.", 5);
    check("1e3", 1000);
    check("{value: 5}", 5);
    check("4294967295", u32::MAX);
}

#[test]
fn structs_keep_fractions_and_large_numbers_as_text() {
    let yaml = "metadata: {filter_metadata: {a: {f: 1.5, i: 5, big: 123456789012, hex: 0x1F, b: yes, n: ~, l: [1, 2.5]}}}";
    let expected = concat!(
        r#"{"metadata":{"filter_metadata":{"a":"#,
        r#"{"b":true,"big":"123456789012","f":"1.5","hex":31,"i":5,"l":[1,"2.5"],"n":null}}}}"#
    );
    assert_eq!(cluster(yaml).as_deref(), Ok(expected));
}

#[test]
fn any_holds_messages_and_what_has_a_form_of_its_own() {
    let check = |any: &str, expected: &str| {
        let yaml = format!("metadata: {{typed_filter_metadata: {{a: {any}}}}}");
        let expected = format!(r#"{{"metadata":{{"typed_filter_metadata":{{"a":{expected}}}}}}}"#);
        assert_eq!(cluster(&yaml), Ok(expected), "{any}");
    };
    check("{}", "{}");
    check("null", "{}");
    check(
        "{name: x, '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster}",
        r#"{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"x"}"#,
    );
    check(
        "{'@type': type.googleapis.com/google.protobuf.FieldMask, value: 'a_b,cD.eF'}",
        r#"{"@type":"type.googleapis.com/google.protobuf.FieldMask","value":"aB,cD.eF"}"#,
    );
    check(
        "{'@type': x.com/google.protobuf.Timestamp, value: '2020-01-01T00:00:00.5+01:00'}",
        r#"{"@type":"x.com/google.protobuf.Timestamp","value":"2019-12-31T23:00:00.500Z"}"#,
    );
    check(
        "{'@type': x.com/google.protobuf.Any, value: {'@type': x.com/google.protobuf.Duration, value: 3s}}",
        r#"{"@type":"x.com/google.protobuf.Any","value":{"@type":"x.com/google.protobuf.Duration","value":"3s"}}"#,
    );
}

#[test]
fn json_may_be_as_sloppy_as_envoy_lets_it_be() {
    let check = |json: &str, expected: &str| {
        let parsed = parse(json.as_bytes(), Format::Json, CLUSTER, Unknown::Refused);
        let found = parsed.map(|parsed| parsed.to_json(Secrets::Shown).compact());
        assert_eq!(found.as_deref(), Ok(expected), "{json}");
    };
    check(r#"{"name": "a",}"#, r#"{"name":"a"}"#);
    check(
        "{'name': 'a', filters: [{name: \"b\"},],}",
        r#"{"name":"a","filters":[{"name":"b"}]}"#,
    );
    check(r#"{"name": "\u00e9\ud83d\ude00\/"}"#, r#"{"name":"é😀/"}"#);
    check("{\"name\": \"a\nb\"}", r#"{"name":"a\nb"}"#);
    check(r#"{"name": "a", "name": "b"}"#, r#"{"name":"b"}"#);
    check(
        r#"{"metadata":{"filter_metadata":{"a":{"b":1.5}}}}"#,
        r#"{"metadata":{"filter_metadata":{"a":{"b":1.5}}}}"#,
    );
}

#[test]
fn other_formats_are_read_as_well() {
    let text = "name: \"a\" connect_timeout { seconds: 1 }";
    let parsed = parse(text.as_bytes(), Format::ProtoText, CLUSTER, Unknown::Refused).unwrap();
    let json = r#"{"name":"a","connect_timeout":"1s"}"#;
    assert_eq!(parsed.to_json(Secrets::Shown).compact(), json);
    let parsed = parse(&parsed.encode(), Format::Binary, CLUSTER, Unknown::Refused).unwrap();
    assert_eq!(parsed.to_json(Secrets::Shown).compact(), json);
}

#[test]
fn the_format_is_told_by_the_extension() {
    let check = |name, expected| assert_eq!(Format::of_file(name), expected, "{name}");
    check("a.yaml", Format::Yaml);
    check("a.YML", Format::Yaml);
    check("a.b/c.json", Format::Json);
    check("a.txt", Format::Json);
    check("yaml", Format::Json);
    check("a.pb", Format::Binary);
    check("a.pb_text", Format::ProtoText);
}

#[test]
fn what_is_unknown_can_be_passed_over_and_is_listed() {
    let yaml = "name: a\nbogus: 1\nlb_policy: FOO";
    let parsed = parse(yaml.as_bytes(), Format::Yaml, CLUSTER, Unknown::Ignored).unwrap();
    assert_eq!(parsed.to_json(Secrets::Shown).compact(), r#"{"name":"a"}"#);
    let listed: Vec<String> = parsed.ignored.iter().map(ToString::to_string).collect();
    assert_eq!(
        listed,
        [
            "2:1: no such field: 'bogus'",
            "3:12: lb_policy: unknown enum value: 'FOO'"
        ]
    );
}

#[test]
fn secrets_are_redacted_however_they_are_given() {
    let name = "envoy.extensions.transport_sockets.tls.v3.Secret";
    let yaml = "
name: s
tls_certificate:
  certificate_chain: {filename: c.pem}
  private_key: {inline_bytes: aGk=}
  password: {inline_string: zz}";
    let parsed = parse(yaml.as_bytes(), Format::Yaml, name, Unknown::Refused).unwrap();
    let shown = parsed.to_json(Secrets::Shown).compact();
    assert!(shown.contains("aGk=") && shown.contains("zz"), "{shown}");
    let expected = concat!(
        r#"{"name":"s","tls_certificate":{"certificate_chain":{"filename":"c.pem"},"#,
        r#""private_key":{"inline_bytes":"W3JlZGFjdGVkXQ=="},"password":{"inline_string":"[redacted]"}}}"#
    );
    assert_eq!(parsed.to_json(Secrets::Redacted).compact(), expected);
}

#[test]
fn what_is_in_an_any_of_an_unknown_type_is_redacted_whole() {
    use envoy_types::pb::google::protobuf::Any;
    use prost::{Message as _, Name as _};
    let any = Any {
        type_url: "type.googleapis.com/example.Mine".to_owned(),
        value: b"key".to_vec(),
    };
    let check = |secrets, expected: &str| {
        let shown = to_json(&Any::type_url(), &any.encode_to_vec(), secrets);
        let expected = format!(r#"{{"@type":"{}","value":"{expected}"}}"#, any.type_url);
        assert_eq!(shown.unwrap().compact(), expected);
    };
    check(Secrets::Shown, "a2V5");
    check(Secrets::Redacted, "W3JlZGFjdGVkXQ==");
}

#[test]
fn an_any_without_content_is_found_whatever_byte_follows_it() {
    // `typed_config` without content ends right before `transport_socket_matches` (43), whose tag begins with `Z`.
    let yaml = "
name: c
metadata: {typed_filter_metadata: {a: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}
alt_stat_name: B";
    let parsed = parse(yaml.as_bytes(), Format::Yaml, CLUSTER, Unknown::Refused).unwrap();
    let shown = parsed.to_json(Secrets::Redacted).compact();
    assert!(
        shown.contains(r#""@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}"#),
        "{shown}"
    );
}

#[test]
fn types_of_envoy_are_told_from_others() {
    let check = |name, expected| assert_eq!(is_known_to_envoy(name), expected, "{name}");
    check("envoy.extensions.filters.http.lua.v3.Lua", true);
    check("envoy.config.core.v3.HealthCheck.HttpHealthCheck", true);
    check("xds.type.matcher.v3.IPMatcher", true);
    check("envoy.extensions.filters.http.lua.v3.Moon", false);
}
