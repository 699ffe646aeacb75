//! Do two clusters of a name differ in more than their endpoints?

use bytes::Bytes;
use prost::bytes::Buf;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// The hash of an encoded cluster without its `load_assignment`, whatever order the entries of a map are in.
pub(super) fn of(body: &Bytes) -> u128 {
    let mut hasher = Xxh3::new();
    let mut entries = Vec::new();
    let mut left = body.clone();
    while left.has_remaining() {
        let before = left.clone();
        let Ok((tag, wire)) = decode_key(&mut left) else {
            break;
        };
        if skip_field(wire, tag, &mut left, DecodeContext::default()).is_err() {
            break;
        }
        let field = before.get(..before.len() - left.len()).unwrap_or_default();
        match tag {
            LOAD_ASSIGNMENT => {}
            EXTENSION_OPTIONS => entries.push(xxh3_128(field)),
            _ => hasher.update(field),
        }
    }
    entries.sort_unstable();
    for entry in entries {
        hasher.update(&entry.to_le_bytes());
    }
    hasher.digest128()
}

/// Numbers of fields.
const LOAD_ASSIGNMENT: u32 = 33;
const EXTENSION_OPTIONS: u32 = 36;
