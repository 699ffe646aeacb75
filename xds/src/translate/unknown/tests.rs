//! What Envoy 1.40 was seen to say of unknown fields.

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::route::v3::VirtualHost;
use prost::encoding::{bytes, string, uint32};

use super::*;

const TLS: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

fn unknown(numbers: &[u32]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for number in numbers {
        uint32::encode(*number, &7, &mut encoded);
    }
    encoded
}

fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    bytes::encode(number, &content.to_vec(), &mut encoded);
    encoded
}

fn any(name: &str, value: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    string::encode(1, &format!("type.googleapis.com/{name}"), &mut encoded);
    encoded.extend(field(2, value));
    encoded
}

/// A cluster with a transport socket, and with these fields beside.
fn cluster(socket: &[u8], beside: &[u8]) -> Vec<u8> {
    let mut cluster = field(1, b"a");
    cluster.extend_from_slice(beside);
    cluster.extend(field(
        24,
        &[field(1, b"tls"), field(3, &any(TLS, socket))].concat(),
    ));
    cluster
}

fn look<M: Message + Name + Default>(
    body: &[u8],
    within: &[&str],
    unknown_fields: UnknownFields,
) -> (Result<(), Reject>, Vec<String>) {
    let context = Context {
        unknown_fields,
        ..Context::default()
    };
    let mut notes = Notes::default();
    let message = M::decode(body).expect("a message");
    let checked = part(&message, body, within, &context, &mut notes);
    let said = notes.into_list().into_iter();
    let said = said.map(|note| {
        note.what
            .strip_prefix(UNKNOWN_FIELDS)
            .expect("of these")
            .to_owned()
    });
    (checked, said.collect())
}

#[test]
fn each_message_with_unknown_fields_is_described_as_envoy_does() {
    #[track_caller]
    fn check(body: &[u8], expected: &[&str]) {
        let (checked, said) = look::<Cluster>(body, &[], UnknownFields::Ignored);
        assert_eq!(
            (checked, said),
            (Ok(()), expected.iter().map(|&one| one.to_owned()).collect())
        );
        assert_eq!(
            look::<Cluster>(body, &[], UnknownFields::Uncounted),
            (Ok(()), Vec::new())
        );
    }
    let of_cluster = "type envoy.config.cluster.v3.Cluster(root) with unknown field set {1000, 1001}";
    check(&cluster(b"", b""), &[]);
    check(&cluster(b"", &unknown(&[1000, 1001])), &[of_cluster]);
    let of_tls = &format!("type {TLS}(root) with unknown field set {{1000}}");
    check(&cluster(&unknown(&[1000]), b""), &[of_tls]);
    check(
        &cluster(&unknown(&[1000]), &unknown(&[1000, 1001])),
        &[of_cluster, of_tls],
    );
    let common = field(1, &unknown(&[1000, 1000]));
    let nested = "type envoy.extensions.transport_sockets.tls.v3.CommonTlsContext(envoy.extensions.transport_sockets.tls.v3.\
                  UpstreamTlsContext) with unknown field set {1000, 1000}";
    check(&cluster(&common, b""), &[nested]);
    // A default that is written out is a field that is known.
    check(&cluster(&[0x18, 0], &[0x10, 0]), &[]);
}

#[test]
fn a_type_that_envoy_has_and_nobody_here_reads_is_looked_through_too() {
    let filter = any(
        "envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
        &unknown(&[1000]),
    );
    let entry = field(15, &[field(1, b"buffer"), field(2, &filter)].concat());
    let host = [field(1, b"a"), entry].concat();
    let (_, said) = look::<VirtualHost>(&host, &[], UnknownFields::Ignored);
    let expected =
        "type envoy.extensions.filters.http.buffer.v3.BufferPerRoute(root) with unknown field set {1000}";
    assert_eq!(said, [expected]);
    let nobody = any("nobody.Has", &unknown(&[1000]));
    let entry = field(15, &[field(1, b"nobody"), field(2, &nobody)].concat());
    let (_, said) = look::<VirtualHost>(&entry, &[], UnknownFields::Ignored);
    assert!(said.is_empty());
}

#[test]
fn the_resource_itself_refuses_the_response_and_what_it_packs_the_resource() {
    let (refused, _) = look::<Cluster>(&cluster(b"", &unknown(&[1002])), &[], UnknownFields::Rejected);
    let text = "Protobuf message (type envoy.config.cluster.v3.Cluster(root) with unknown field set {1002}) has unknown fields";
    assert_eq!(refused, Err(Reject::Message(text.to_owned())));
    let (refused, _) = look::<Cluster>(&cluster(&unknown(&[1000]), b""), &[], UnknownFields::Rejected);
    let text =
        format!("Protobuf message (type {TLS}(root) with unknown field set {{1000}}) has unknown fields");
    assert_eq!(refused, Err(Reject::Resource(text)));
}

#[test]
fn a_part_is_described_with_what_it_is_in() {
    let route = field(3, &field(1, &unknown(&[1003])));
    let host = [field(1, b"a"), route].concat();
    let (_, said) = look::<VirtualHost>(
        &host,
        &["envoy.config.route.v3.RouteConfiguration"],
        UnknownFields::Ignored,
    );
    let expected = "type envoy.config.route.v3.RouteMatch(envoy.config.route.v3.RouteConfiguration::\
                    envoy.config.route.v3.VirtualHost::envoy.config.route.v3.Route) with unknown field set {1003}";
    assert_eq!(said, [expected]);
}
