//! Texts that Envoy refuses: with its reason, and where.

use super::*;

#[test]
fn refusals_say_line_column_field_and_envoys_reason() {
    let check = |yaml, expected: &str| assert_eq!(cluster(yaml), Err(expected.to_owned()), "{yaml}");
    check("bogus: 1", "1:1: no such field: 'bogus'");
    check(
        "name: a\nconect_timeout: 1s",
        "2:1: no such field: 'conect_timeout' (did you mean 'connect_timeout'?)",
    );
    check(
        "type: STATICK",
        "1:7: type: unknown enum value: 'STATICK' (did you mean 'STATIC'?)",
    );
    check(
        "connect_timeout: 5",
        "1:18: connect_timeout: expected a string, such as \"5s\", but found a number",
    );
    check(
        "connect_timeout: 1.5",
        "1:18: connect_timeout: duration must end with a single 's'",
    );
    check(
        "connect_timeout: 5ms",
        "1:18: connect_timeout: duration must end with a single 's'",
    );
    check(
        "connect_timeout: \".5s\"",
        "1:18: connect_timeout: duration must start with an integer",
    );
    check(
        "connect_timeout: 0.2500000000s",
        "1:18: connect_timeout: duration had bad nanoseconds",
    );
    check(
        "connect_timeout: 315576000001s",
        "1:18: connect_timeout: duration out of range",
    );
    check(
        "name: 5",
        "1:7: name: expected a string, but found a number; put it in quotes",
    );
    check(
        "respect_dns_ttl: 1",
        "1:18: respect_dns_ttl: expected 'true' or 'false'",
    );
    check(
        "transport_socket: [a]",
        "1:19: transport_socket: expected a map, but found a list",
    );
    check(
        "type: EDS\ncluster_type: {name: a}",
        "2:1: cluster_type: 'cluster_type' has already been set (either directly or as part of a oneof)",
    );
    check("<<: {name: a}", "1:1: no such field: '<<'");
    check("[]", "1:1: expected a map, but found a list");
    check("", "1:1: there is nothing in it");
    check("? [a]\n: b", "1:3: bad conversion: a key is a string");
}

#[test]
fn what_cannot_be_read_comes_before_what_is_unknown() {
    let refused = "1:11: name: expected a string, but found a boolean; put it in quotes";
    assert_eq!(
        cluster("{a: 1, name: true}").unwrap_err(),
        refused.replace("1:11", "1:14")
    );
}

#[test]
fn numbers_out_of_range_or_shape_are_refused() {
    let check = |text, expected: &str| {
        let found = cluster(&format!("per_connection_buffer_limit_bytes: {text}"));
        let expected = format!("1:36: per_connection_buffer_limit_bytes: {expected}");
        assert_eq!(found, Err(expected), "{text}");
    };
    check("-1", "integer out of range");
    check("4294967296", "integer out of range");
    check("1.5", "expected integer, but JSON number had fractional part");
    check("\" 5\"", "non-number characters in quoted number");
    check("\"\"", "invalid number: ''");
    check("1_000", "invalid number: '1_000'");
    check("0b11", "invalid number: '0b11'");
    check("[1]", "expected number or string, but found a list");
    check("true", "expected number or string, but found a boolean");
}

#[test]
fn an_any_needs_a_type_that_is_there() {
    let check = |any: &str, expected: &str| {
        let found = cluster(&format!("metadata: {{typed_filter_metadata: {{a: {any}}}}}"));
        let found = found.unwrap_err();
        assert!(found.ends_with(expected), "{any}: {found}");
        assert!(
            found.contains(": metadata.typed_filter_metadata[\"a\"]"),
            "{found}"
        );
    };
    check(
        "{b: 1}",
        "missing @type in Any is only allowed for an empty object",
    );
    check(
        "{'@type': type.googleapis.com/foo.Bar}",
        "could not find @type 'type.googleapis.com/foo.Bar'",
    );
    check(
        "{'@type': foo.Bar}",
        "@type must contain at least one / and a nonempty host; got: foo.Bar",
    );
    check("{'@type': 5}", "expected a type URL, but found a number");
    check(
        "{'@type': x.y/google.protobuf.Duration, value: 1s, foo: 1}",
        "fields in a well-known-typed Any must be @type or value",
    );
    check(
        "{'@type': x.y/envoy.config.cluster.v3.Cluster, boo: 1}",
        ".<any>: no such field: 'boo'",
    );
}

#[test]
fn json_that_is_none_is_refused_where_it_breaks() {
    let check = |json: &str, expected: &str| {
        let parsed = parse(json.as_bytes(), Format::Json, CLUSTER, Unknown::Refused);
        assert_eq!(parsed.unwrap_err().to_string(), expected, "{json}");
    };
    check("", "1:1: unexpected EOF");
    check("// hi\n{}", "1:1: unexpected character: '/'");
    check("\nname: a", "2:1: unexpected character: 'n'");
    check("{} x", "1:4: extraneous characters after end of JSON object");
    check("{\"name\" 5}", "1:9: unexpected character: '5'; expected ':'");
    check("{\"name\": \"\\ud83d\"}", "1:11: invalid escape in a string");
    check(
        "{\"dns_lookup_family\": 01}",
        "1:23: number cannot have extraneous leading zero",
    );
    check("{\"name\": \"a\"", "1:13: unexpected EOF");
}

#[test]
fn aliases_that_grow_without_bound_are_refused() {
    let mut yaml =
        "metadata:\n  filter_metadata:\n    a: {l: &l0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}\n".to_owned();
    for level in 1..10 {
        let inner = vec![format!("*l{}", level - 1); 10].join(", ");
        yaml += &format!("    a{level}: {{l: &l{level} [{inner}]}}\n");
    }
    assert!(cluster(&yaml).unwrap_err().contains("aliases expanded"));
    assert!(
        cluster("name: &a\n  b: *a")
            .unwrap_err()
            .contains("an alias stands inside what it stands for")
    );
}

#[test]
fn nesting_without_bound_is_refused() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let yaml = format!("metadata: {{filter_metadata: {{a: {{b: {deep}}}}}}}");
    assert!(cluster(&yaml).is_err());
    let parsed = parse(deep.as_bytes(), Format::Json, CLUSTER, Unknown::Refused);
    assert!(parsed.unwrap_err().to_string().contains("too deeply nested"));
}

#[test]
fn aliases_that_nest_in_each_other_are_refused() {
    let mut yaml = "metadata:\n  filter_metadata:\n    a0: {l: &l0 []}\n".to_owned();
    for level in 1..20 {
        let (open, close) = ("[".repeat(20), "]".repeat(20));
        yaml += &format!("    a{level}: {{l: &l{level} {open}*l{}{close}}}\n", level - 1);
    }
    assert!(cluster(&yaml).unwrap_err().ends_with("aliases nest too deeply"));
    let text = format!("metadata {}{}", "{ a ".repeat(200), "}".repeat(200));
    let parsed = parse(text.as_bytes(), Format::ProtoText, CLUSTER, Unknown::Refused);
    assert_eq!(parsed.unwrap_err().to_string(), "1:1: it nests too deeply");
}

#[test]
fn a_field_is_found_where_it_stands_or_where_it_would() {
    let yaml =
        "name: a\nload_assignment:\n  endpoints:\n    lbEndpoints:\n    - healthStatus: HEALTHY\n    - {}\n";
    let parsed = parse(yaml.as_bytes(), Format::Yaml, CLUSTER, Unknown::Refused).unwrap();
    let check = |path, expected: &str| assert_eq!(parsed.position(path).to_string(), expected, "{path}");
    check("name", "1:1");
    check(
        "load_assignment.endpoints[0].lb_endpoints[0].health_status",
        "5:7",
    );
    check(
        "load_assignment.endpoints[0].lb_endpoints[1].endpoint.address",
        "6:7",
    );
    check("load_assignment.policy", "2:1");
    check("bogus", "1:1");
}
