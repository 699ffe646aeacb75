//! How are the parts of Envoy's messages read that all of them are made of: packed messages, durations, optional numbers?

use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::google::protobuf;
use prost::{Message, Name};

use super::Reject;
pub(crate) use super::duration::duration;

/// A resource as its message.
pub(crate) fn decode<M: Message + Name + Default>(body: &Bytes) -> Result<M, Reject> {
    M::decode(body.clone()).map_err(|_| Reject::Message(format!("Unable to unpack as {}", M::full_name())))
}

/// A message that is packed into a resource.
pub(crate) fn unpack<M: Message + Name + Default>(packed: &protobuf::Any) -> Result<M, Reject> {
    M::decode(&*packed.value).map_err(|_| Reject::Resource(format!("Unable to unpack as {}", M::full_name())))
}

/// A duration that held its constraints; one that is no duration is none.
pub(crate) fn positive(time: Option<&protobuf::Duration>) -> Option<Duration> {
    duration(time).ok().flatten()
}

/// The number in a wrapper.
pub(crate) fn number(wrapped: Option<&protobuf::UInt32Value>) -> Option<u32> {
    wrapped.map(|wrapped| wrapped.value)
}

/// The number in a wrapper, as constraints look at it.
pub(crate) fn wide(wrapped: Option<&protobuf::UInt32Value>) -> Option<u64> {
    wrapped.map(|wrapped| wrapped.value.into())
}

/// The truth in a wrapper, false where there is none.
pub(crate) fn truth(wrapped: Option<&protobuf::BoolValue>) -> bool {
    wrapped.is_some_and(|wrapped| wrapped.value)
}
