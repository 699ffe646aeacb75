//! Do our messages say the same as Envoy's, and do resources stay slices of what they came in?

use envoy_types::pb::envoy::config::core::v3::Node as EnvoyNode;
use envoy_types::pb::envoy::service::discovery::v3 as envoy;
use envoy_types::pb::google::protobuf::{Any as EnvoyAny, Duration as EnvoyDuration};
use envoy_types::pb::google::rpc::Status as EnvoyStatus;
use prost::Message;

use super::*;

fn same<T: Message + Default>(written: &impl Message) -> T {
    T::decode(written.encode_to_vec().as_slice()).unwrap()
}

#[test]
fn requests_read_as_envoys() {
    let request = DiscoveryRequest {
        version_info: "1".into(),
        node: Some(Node {
            id: "gateway".into(),
            cluster: "edge".into(),
            user_agent_name: "tidegate".into(),
            ..Node::default()
        }),
        resource_names: vec!["a".into(), "b".into()],
        type_url: "url".into(),
        response_nonce: "7".into(),
        error_detail: Some(Status {
            code: 13,
            message: "no".into(),
        }),
    };
    let read: envoy::DiscoveryRequest = same(&request);
    assert_eq!(read.node.as_ref().unwrap().id, "gateway");
    assert_eq!(read.node.as_ref().unwrap().user_agent_name, "tidegate");
    assert_eq!(
        (read.version_info.as_str(), read.response_nonce.as_str()),
        ("1", "7")
    );
    assert_eq!(read.resource_names, ["a", "b"]);
    assert_eq!(read.error_detail.unwrap().message, "no");
}

#[test]
fn delta_requests_read_as_envoys_and_back() {
    let request = envoy::DeltaDiscoveryRequest {
        node: Some(EnvoyNode {
            id: "gateway".into(),
            ..EnvoyNode::default()
        }),
        type_url: "url".into(),
        resource_names_subscribe: vec!["a".into()],
        resource_names_unsubscribe: vec!["b".into()],
        initial_resource_versions: [("c".to_owned(), "3".to_owned())].into(),
        response_nonce: "7".into(),
        error_detail: Some(EnvoyStatus {
            code: 13,
            ..EnvoyStatus::default()
        }),
        ..envoy::DeltaDiscoveryRequest::default()
    };
    let ours: DeltaDiscoveryRequest = same(&request);
    assert_eq!(same::<envoy::DeltaDiscoveryRequest>(&ours), request);
}

#[test]
fn responses_of_envoys_kind_are_read() {
    let any = EnvoyAny {
        type_url: "url".into(),
        value: b"\x0a\x01a".to_vec(),
    };
    let response = envoy::DeltaDiscoveryResponse {
        resources: vec![envoy::Resource {
            name: "a".into(),
            version: "1".into(),
            resource: Some(any.clone()),
            ttl: Some(EnvoyDuration { seconds: 5, nanos: 1 }),
            ..envoy::Resource::default()
        }],
        type_url: "url".into(),
        nonce: "7".into(),
        removed_resources: vec!["b".into()],
        ..envoy::DeltaDiscoveryResponse::default()
    };
    let ours: DeltaDiscoveryResponse = same(&response);
    assert_eq!(same::<envoy::DeltaDiscoveryResponse>(&ours), response);
    let whole = envoy::DiscoveryResponse {
        version_info: "2".into(),
        resources: vec![any],
        type_url: "url".into(),
        nonce: "8".into(),
        ..envoy::DiscoveryResponse::default()
    };
    assert_eq!(
        same::<envoy::DiscoveryResponse>(&same::<DiscoveryResponse>(&whole)),
        whole
    );
}

#[test]
fn a_resource_is_a_slice_of_its_message() {
    let response = DiscoveryResponse {
        resources: vec![Any {
            type_url: "url".into(),
            value: vec![7; 10_000].into(),
        }],
        ..DiscoveryResponse::default()
    };
    let message = Bytes::from(response.encode_to_vec());
    let whole = message.as_ptr_range();
    let read = DiscoveryResponse::decode(message.clone()).unwrap();
    let value = read.resources.first().unwrap().value.as_ptr_range();
    assert!(
        whole.start <= value.start && value.end <= whole.end,
        "it was copied"
    );
}

#[test]
fn a_name_is_found_wherever_it_stands() {
    let check = |body: &'static [u8], expected: Option<&str>| {
        let found = name(&Bytes::from_static(body)).ok();
        assert_eq!(found.as_deref(), expected, "{body:?}");
    };
    check(b"", Some(""));
    check(b"\x0a\x01a", Some("a"));
    check(b"\x10\x05\x0a\x01a\x1a\x02xy", Some("a"));
    check(b"\x0a\x01a\x0a\x01b", Some("b"));
    check(b"\x0a\x05a", None);
    check(b"\x08\x05", None);
    check(b"\x0a\x01\xff", None);
    check(b"\x07", None);
}

#[test]
fn a_message_decoded_field_by_field_is_the_same() {
    let any = |value: &'static [u8]| Any {
        type_url: "type".to_owned(),
        value: Bytes::from_static(value),
    };
    let written = DiscoveryResponse {
        version_info: "7".to_owned(),
        resources: vec![any(b"one"), any(b"two")],
        nonce: "n".to_owned(),
        ..DiscoveryResponse::default()
    };
    let bytes = Bytes::from(written.encode_to_vec());
    assert_eq!(decode_giving_way(bytes.clone()), Ok(written));
    for end in 1..bytes.len() {
        let (whole, parts) = (
            DiscoveryResponse::decode(bytes.slice(..end)).is_ok(),
            decode_giving_way::<DiscoveryResponse>(bytes.slice(..end)).is_ok(),
        );
        assert_eq!(parts, whole, "cut after {end} bytes");
    }
}
