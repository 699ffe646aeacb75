//! What a resource says beside what this proxy understands: metadata, carried as it came.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// `envoy.config.core.v3.Metadata` of a cluster or an endpoint, found in their `metadata` extensions by this type. The parts
/// share the bytes of the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// All of it, encoded.
    pub encoded: Bytes,
    /// `filter_metadata`: a `google.protobuf.Struct`, encoded, by name.
    pub structs: BTreeMap<Box<str>, Bytes>,
    /// `typed_filter_metadata`: a `google.protobuf.Any`, encoded, by name.
    pub packed: BTreeMap<Box<str>, Bytes>,
}

/// What an endpoint's locality says, in the `metadata` extensions of the endpoint; only where something looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalityMetadata(pub Metadata);

impl Metadata {
    /// Reads the encoded message. What is no metadata is left out.
    #[must_use]
    pub fn read(encoded: Bytes) -> Self {
        let mut read = Self {
            encoded: encoded.clone(),
            ..Self::default()
        };
        for (tag, entry) in fields(&encoded) {
            let map = match tag {
                1 => &mut read.structs,
                2 => &mut read.packed,
                _ => continue,
            };
            let (mut key, mut value) = (Bytes::new(), Bytes::new());
            for (tag, part) in fields(&entry) {
                match tag {
                    1 => key = part,
                    2 => value = part,
                    _ => {}
                }
            }
            if let Ok(key) = str::from_utf8(&key) {
                map.insert(key.into(), value);
            }
        }
        read
    }
}

/// The fields of an encoded message that have a length, up to where it breaks off.
pub(crate) fn fields(message: &Bytes) -> Vec<(u32, Bytes)> {
    let (mut left, mut found) = (message.clone(), Vec::new());
    while left.has_remaining() {
        let Ok((tag, wire)) = decode_key(&mut left) else {
            break;
        };
        if wire != WireType::LengthDelimited {
            if skip_field(wire, tag, &mut left, DecodeContext::default()).is_err() {
                break;
            }
            continue;
        }
        let length = decode_varint(&mut left)
            .ok()
            .and_then(|length| usize::try_from(length).ok());
        match length {
            Some(length) if length <= left.len() => found.push((tag, left.split_to(length))),
            _ => break,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::core::v3 as core;
    use envoy_types::pb::google::protobuf::Struct;
    use prost::Message;

    use super::*;

    #[test]
    fn parts_are_found_by_name_as_they_came() {
        let mut message = core::Metadata::default();
        message.filter_metadata.insert("a".into(), Struct::default());
        message.typed_filter_metadata.insert(
            "b".into(),
            envoy_types::pb::google::protobuf::Any {
                type_url: "t".into(),
                value: vec![1],
            },
        );
        let encoded = Bytes::from(message.encode_to_vec());
        let read = Metadata::read(encoded.clone());
        assert_eq!(read.encoded, encoded);
        assert_eq!(read.structs.get("a"), Some(&Bytes::new()));
        assert_eq!(read.packed.get("b").map(|any| any.len()), Some(6));
    }

    #[test]
    fn what_breaks_off_is_read_up_to_there() {
        assert!(fields(&Bytes::from_static(&[0x0a, 5, 1])).is_empty());
        assert_eq!(
            fields(&Bytes::from_static(&[0x0a, 1, 7, 0xff])),
            [(1, Bytes::from_static(&[7]))]
        );
        assert_eq!(
            fields(&Bytes::from_static(&[0x08, 1, 0x12, 0])),
            [(2, Bytes::new())]
        );
    }
}
