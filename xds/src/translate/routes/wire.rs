//! Where the virtual hosts of an encoded route configuration are: found without decoding them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message, Name};
use tidegate_proxy::process::give_way;

use crate::translate::Reject;

/// A route configuration in parts.
pub(super) struct Parts {
    /// The virtual hosts, encoded; they share the memory of the whole.
    pub(super) hosts: Vec<Bytes>,
    /// The rest.
    pub(super) rest: Bytes,
    /// The rest, decoded.
    pub(super) table: RouteConfiguration,
}

/// The number of `virtual_hosts`.
const VIRTUAL_HOSTS: u32 = 2;

/// Splits a route configuration.
pub(super) fn split(body: &Bytes) -> Result<Parts, Reject> {
    let (mut hosts, mut rest) = (Vec::new(), BytesMut::new());
    let mut input = body.clone();
    while input.has_remaining() {
        give_way();
        let field = input.clone();
        let (tag, wire) = decode_key(&mut input).map_err(undecodable)?;
        if (tag, wire) == (VIRTUAL_HOSTS, WireType::LengthDelimited) {
            let length = decode_varint(&mut input).map_err(undecodable)?;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > input.remaining() {
                return Err(undecodable("buffer underflow"));
            }
            hosts.push(input.split_to(length));
            continue;
        }
        skip_field(wire, tag, &mut input, DecodeContext::default()).map_err(undecodable)?;
        let length = field.len() - input.len();
        rest.put(field.slice(..length));
    }
    let rest = rest.freeze();
    Ok(Parts {
        hosts,
        table: RouteConfiguration::decode(rest.clone()).map_err(undecodable)?,
        rest,
    })
}

/// What is said about bytes that are no route configuration.
pub(super) fn undecodable(error: impl Into<Undecodable>) -> Reject {
    let Undecodable(why) = error.into();
    Reject::Message(format!(
        "Unable to unpack as {}: {why}",
        RouteConfiguration::full_name()
    ))
}

/// Why bytes are no message.
pub(super) struct Undecodable(String);

impl From<DecodeError> for Undecodable {
    fn from(error: DecodeError) -> Self {
        Self(error.to_string())
    }
}

impl From<&str> for Undecodable {
    fn from(why: &str) -> Self {
        Self(why.to_owned())
    }
}
