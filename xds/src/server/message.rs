//! A response as gRPC sends it: the large parts shared with all who get them, the small ones copied together.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use tidegate_proxy::process::give_way;

use super::resources::Resource;
use super::stream::{Outgoing, Protocol};
use crate::limits::SHARED_BYTES_MIN;

/// Fields that both kinds of responses have under one number.
const VERSION: u32 = 1;
const RESOURCES: u32 = 2;
const TYPE_URL: u32 = 4;
const NONCE: u32 = 5;
/// Of `DeltaDiscoveryResponse` alone.
const REMOVED: u32 = 6;

/// A message in pieces, beginning with gRPC's prefix; `None` when it is larger than a prefix can say.
pub(super) fn encode(outgoing: &Outgoing, protocol: Protocol) -> Option<Vec<Bytes>> {
    let url = outgoing.kind.type_url();
    let nonce = outgoing.nonce.to_string();
    let parts = outgoing.resources.iter();
    let resources: u64 = parts
        .map(|resource| field_len(part_len(resource, url, protocol)))
        .sum();
    let removed: u64 = outgoing.removed.iter().map(|name| text_len(name)).sum();
    let total = text_len(&outgoing.version) + resources + text_len(url) + text_len(&nonce) + removed;
    let mut pieces = Pieces::default();
    pieces.open.put_u8(0);
    pieces.open.put_u32(u32::try_from(total).ok()?);
    text(VERSION, &outgoing.version, &mut pieces.open);
    for resource in &outgoing.resources {
        give_way();
        part(resource, url, protocol, &mut pieces);
    }
    text(TYPE_URL, url, &mut pieces.open);
    text(NONCE, &nonce, &mut pieces.open);
    for name in &outgoing.removed {
        text(REMOVED, name, &mut pieces.open);
    }
    Some(pieces.close())
}

/// One entry of `resources`: an `Any`, in delta within a `Resource` (version 1, resource 2, name 3).
fn part(resource: &Arc<Resource>, url: &str, protocol: Protocol, pieces: &mut Pieces) {
    open(RESOURCES, part_len(resource, url, protocol), &mut pieces.open);
    if protocol == Protocol::Delta {
        text(1, resource.version(), &mut pieces.open);
        text(3, resource.name(), &mut pieces.open);
        open(2, any_len(resource, url), &mut pieces.open);
    }
    text(1, url, &mut pieces.open);
    open(2, resource.body().len() as u64, &mut pieces.open);
    pieces.share(resource.body());
}

fn part_len(resource: &Resource, url: &str, protocol: Protocol) -> u64 {
    let any = any_len(resource, url);
    match protocol {
        Protocol::Sotw => any,
        Protocol::Delta => text_len(resource.version()) + text_len(resource.name()) + field_len(any),
    }
}

fn any_len(resource: &Resource, url: &str) -> u64 {
    text_len(url) + field_len(resource.body().len() as u64)
}

fn open(number: u32, bytes: u64, to: &mut BytesMut) {
    encode_key(number, WireType::LengthDelimited, to);
    encode_varint(bytes, to);
}

fn text(number: u32, text: &str, to: &mut BytesMut) {
    open(number, text.len() as u64, to);
    to.put_slice(text.as_bytes());
}

fn text_len(text: &str) -> u64 {
    field_len(text.len() as u64)
}

/// The bytes of a field of this many bytes. Every number here is below 16, so its key is one byte.
fn field_len(bytes: u64) -> u64 {
    1 + encoded_len_varint(bytes) as u64 + bytes
}

#[derive(Debug, Default)]
struct Pieces {
    done: Vec<Bytes>,
    open: BytesMut,
}

impl Pieces {
    fn share(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_BYTES_MIN {
            self.open.put_slice(bytes);
        } else {
            self.done.push(self.open.split().freeze());
            self.done.push(bytes.clone());
        }
    }

    fn close(mut self) -> Vec<Bytes> {
        self.done.push(self.open.freeze());
        self.done
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse};
    use prost::Message;

    use super::*;
    use crate::resource::Kind;

    fn outgoing() -> Outgoing {
        let large = Resource::new("large", vec![7; SHARED_BYTES_MIN]);
        Outgoing {
            kind: Kind::Cluster,
            version: "v".into(),
            nonce: 300,
            resources: vec![Arc::new(Resource::new("small", "x")), Arc::new(large)],
            removed: vec!["gone".into()],
            whole: false,
        }
    }

    fn message(protocol: Protocol) -> Bytes {
        let pieces = encode(&outgoing(), protocol).expect("it is small").concat();
        let (prefix, message) = pieces.split_at(5);
        assert_eq!(prefix[0], 0);
        assert_eq!(prefix[1..], u32::try_from(message.len()).unwrap().to_be_bytes());
        Bytes::copy_from_slice(message)
    }

    #[test]
    fn a_response_of_delta_is_one() {
        let response = DeltaDiscoveryResponse::decode(message(Protocol::Delta)).expect("it decodes");
        let [small, large] = &response.resources[..] else {
            panic!("{response:?}")
        };
        assert_eq!((small.name.as_str(), large.name.as_str()), ("small", "large"));
        assert_eq!(small.version, outgoing().resources[0].version());
        assert_eq!(large.resource.as_ref().unwrap().value.len(), SHARED_BYTES_MIN);
        assert_eq!(
            (response.nonce.as_str(), response.system_version_info.as_str()),
            ("300", "v")
        );
        assert_eq!(response.type_url, Kind::Cluster.type_url());
        assert_eq!(response.removed_resources, ["gone"]);
    }

    #[test]
    fn a_response_of_the_world_is_one() {
        let whole = Outgoing {
            removed: Vec::new(),
            ..outgoing()
        };
        let pieces = encode(&whole, Protocol::Sotw).expect("it is small").concat();
        let response = DiscoveryResponse::decode(&pieces[5..]).expect("it decodes");
        let bodies: Vec<_> = response.resources.iter().map(|any| any.value.len()).collect();
        assert_eq!(bodies, [1, SHARED_BYTES_MIN]);
        assert_eq!(
            (response.nonce.as_str(), response.version_info.as_str()),
            ("300", "v")
        );
        assert!(
            response
                .resources
                .iter()
                .all(|any| any.type_url == Kind::Cluster.type_url())
        );
    }

    #[test]
    fn large_bodies_are_shared() {
        let outgoing = outgoing();
        let pieces = encode(&outgoing, Protocol::Sotw).expect("it is small");
        let body = outgoing.resources[1].body();
        assert!(pieces.iter().any(|piece| piece.as_ptr() == body.as_ptr()));
    }
}
