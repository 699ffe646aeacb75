//! Whether a resource has fields that nobody here knows.
//!
//! Decoding drops them without a word. What is left is encoded by the same rules as what came, so a size below what came tells
//! that something was dropped. A sender that encodes in an unusual way (a default value written out, numbers of a list one by
//! one) is taken for one with unknown fields: that costs a count, and a rejection where those are asked for.

use prost::{Message, Name};

use super::notes::Notes;
use super::{Context, Reject, UnknownFields};

/// What a [`Note`](super::Note) says about a message with unknown fields, for whoever counts them.
pub const UNKNOWN_FIELDS: &str = "it has unknown fields";

/// Looks for unknown fields of a message that came as so many bytes.
///
/// # Errors
/// When there are, and the context has them refused.
pub fn check<M: Message + Name>(
    message: &M,
    bytes: usize,
    context: &Context,
    notes: &mut Notes,
) -> Result<(), Reject> {
    if message.encoded_len() >= bytes {
        return Ok(());
    }
    match context.unknown_fields {
        UnknownFields::Ignored => {
            notes.add("", UNKNOWN_FIELDS);
            Ok(())
        }
        UnknownFields::Rejected => Err(Reject::Message(format!(
            "Protobuf message (type {}) has unknown fields",
            M::full_name()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::route::v3::{RouteMatch, VirtualHost};

    use super::*;

    fn check_bytes(bytes: &[u8], unknown_fields: UnknownFields) -> (Result<(), Reject>, usize) {
        let context = Context {
            unknown_fields,
            ..Context::default()
        };
        let mut notes = Notes::default();
        let host = VirtualHost::decode(bytes).unwrap();
        let checked = check(&host, bytes.len(), &context, &mut notes);
        (checked, notes.into_list().len())
    }

    #[test]
    fn an_unknown_field_is_noted_or_refused_and_a_known_one_is_neither() {
        let host = VirtualHost {
            name: "a".into(),
            routes: vec![Default::default()],
            ..VirtualHost::default()
        };
        let known = host.encode_to_vec();
        assert_eq!(check_bytes(&known, UnknownFields::Rejected), (Ok(()), 0));
        // Field 1000, a number, once at the top and once in a message of it.
        let mut unknown = known.clone();
        prost::encoding::uint32::encode(1000, &7, &mut unknown);
        assert_eq!(check_bytes(&unknown, UnknownFields::Ignored), (Ok(()), 1));
        let (refused, _) = check_bytes(&unknown, UnknownFields::Rejected);
        let text = "Protobuf message (type envoy.config.route.v3.VirtualHost) has unknown fields";
        assert_eq!(refused, Err(Reject::Message(text.into())));
        let mut deep = RouteMatch::default().encode_to_vec();
        prost::encoding::uint32::encode(1000, &7, &mut deep);
        let mut route = Vec::new();
        prost::encoding::bytes::encode(1, &deep, &mut route);
        let mut nested = known;
        prost::encoding::bytes::encode(3, &route, &mut nested);
        assert_eq!(check_bytes(&nested, UnknownFields::Ignored), (Ok(()), 1));
    }
}
