//! The revision that a cluster is for, and what is refused of it.

use envoy_types::pb::google::protobuf::value::Kind;
use serde_json::{Value, json};

use super::*;
use crate::translate::cluster::activation::{Activation, KEY, Protocol};

fn value(json: &Value) -> protobuf::Value {
    let kind = match json {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => Kind::ListValue(protobuf::ListValue {
            values: values.iter().map(value).collect(),
        }),
        Value::Object(_) => Kind::StructValue(structure(json)),
    };
    protobuf::Value { kind: Some(kind) }
}

fn structure(json: &Value) -> protobuf::Struct {
    let fields = json.as_object().unwrap();
    protobuf::Struct {
        fields: fields
            .iter()
            .map(|(name, of)| (name.clone(), value(of)))
            .collect(),
    }
}

/// The cluster `ns/rev` with these fields over the three that are required.
fn activated(fields: &Value) -> envoy::Cluster {
    let mut said = json!({"namespace": "ns", "revision": "rev", "pods": "ns/rev-private"});
    let all = said.as_object_mut().unwrap();
    all.extend(fields.as_object().unwrap().clone());
    with(|cluster| {
        cluster.name = "ns/rev".into();
        let metadata = cluster.metadata.get_or_insert_default();
        metadata.filter_metadata.insert(KEY.into(), structure(&said));
    })
}

fn activation(fields: &Value) -> Activation {
    let config = read(&activated(fields)).unwrap();
    let found = config.settings.metadata.get::<Arc<Activation>>();
    Activation::clone(found.unwrap())
}

#[test]
fn what_is_not_said_is_as_knative_has_it() {
    let plain = activation(&json!({}));
    assert_eq!(
        (&*plain.namespace, &*plain.revision, &*plain.pods),
        ("ns", "rev", "ns/rev-private")
    );
    assert_eq!((&*plain.service, &*plain.configuration), ("", ""));
    assert_eq!(
        (plain.protocol, plain.container_concurrency),
        (Protocol::Http1, 0)
    );
    assert_eq!(plain.timeout_seconds, 300);
    assert_eq!(
        (plain.response_start_timeout_seconds, plain.idle_timeout_seconds),
        (0, 0)
    );
    assert!(!plain.full_duplex && !plain.tls && plain.probe_not_ready_pods);
    assert_eq!(activation(&json!({"service": null})), plain);
    assert!(read(&with(|_| {})).unwrap().settings.metadata.is_empty());
}

#[test]
fn a_revision_is_read_field_by_field() {
    let read = activation(&json!({
        "service": "svc", "configuration": "conf", "protocol": "h2c", "containerConcurrency": 7,
        "targetBurstCapacity": 211.5, "timeoutSeconds": 60, "responseStartTimeoutSeconds": 5,
        "idleTimeoutSeconds": 4, "fullDuplex": true, "tls": true, "probeNotReadyPods": false,
    }));
    assert_eq!((&*read.service, &*read.configuration), ("svc", "conf"));
    assert_eq!((read.protocol, read.container_concurrency), (Protocol::H2c, 7));
    assert!((read.target_burst_capacity - 211.5).abs() < f64::EPSILON);
    assert_eq!(read.timeout_seconds, 60);
    assert_eq!(
        (read.response_start_timeout_seconds, read.idle_timeout_seconds),
        (5, 4)
    );
    assert!(read.full_duplex && read.tls && !read.probe_not_ready_pods);
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_place() {
    let check = |fields: Value, why: &str| {
        let expected = format!("metadata.filter_metadata[tidegate.activation].{why}");
        refused(&activated(&fields), &expected);
    };
    check(json!({"pods": ""}), "pods: it is required");
    check(json!({"revision": null}), "revision: it is required");
    check(json!({"namespace": 7}), "namespace: 7 is no string");
    check(
        json!({"revision": "other"}),
        "revision: it is \"ns/other\", and the cluster is called \"ns/rev\"",
    );
    check(
        json!({"pods": "ns/rev"}),
        "pods: a cluster cannot be that of its own pods",
    );
    let whole = "is no whole number from";
    let number = |field: &str, said: Value, from: &str| {
        let why = format!("{field}: {from} to 2147483647");
        check(json!({ field: said }), &why);
    };
    number("containerConcurrency", json!(-1), &format!("-1 {whole} 0"));
    number("containerConcurrency", json!(1.5), &format!("1.5 {whole} 0"));
    number("containerConcurrency", json!("1"), &format!("\"1\" {whole} 0"));
    number("timeoutSeconds", json!(0), &format!("0 {whole} 1"));
    number("idleTimeoutSeconds", json!(3e9), &format!("3000000000 {whole} 0"));
    number(
        "responseStartTimeoutSeconds",
        json!([]),
        &format!("a list of 0 {whole} 0"),
    );
    check(
        json!({"targetBurstCapacity": -2}),
        "targetBurstCapacity: -2 is neither -1 nor a number from 0",
    );
    check(
        json!({"protocol": "h2"}),
        "protocol: \"h2\" is neither \"http1\" nor \"h2c\"",
    );
    check(json!({"tls": "yes"}), "tls: \"yes\" is no bool");
    check(json!({"fullDuplex": {}}), "fullDuplex: a struct is no bool");
}

#[test]
fn a_field_that_nobody_knows_is_as_one_of_any_resource() {
    let message = activated(&json!({"retries": 1, "containerConcurency": 1}));
    let by = |unknown_fields| {
        let context = Context {
            unknown_fields,
            ..context()
        };
        cluster(&Bytes::from(message.encode_to_vec()), &context)
    };
    let notes = by(UnknownFields::Ignored).unwrap().notes;
    assert_eq!(notes[0].path, "metadata.filter_metadata[tidegate.activation]");
    assert_eq!(
        notes[0].what,
        "it has unknown fields: containerConcurency, retries"
    );
    assert!(by(UnknownFields::Uncounted).unwrap().notes.is_empty());
    let refused = by(UnknownFields::Rejected).unwrap_err().to_string();
    assert!(
        refused.ends_with("it has unknown fields: containerConcurency, retries"),
        "{refused}"
    );
}
