//! Which id does a request have, and where do random ids come from?
//!
//! ```
//! use tidegate_proxy::config::http::HttpSettings;
//! use tidegate_proxy::observe::request_id::{MakeRequestId, RequestIdPolicy, RequestIdResponse};
//!
//! // At the edge: an id of our own for every request, and the client learns it.
//! let request_id = RequestIdPolicy { make: MakeRequestId::Always, response: RequestIdResponse::Set };
//! let http = HttpSettings { request_id, ..HttpSettings::default() };
//! assert_eq!(http.request_id.make, MakeRequestId::Always);
//! assert_eq!(RequestIdPolicy::default().make, MakeRequestId::Never);
//! ```

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The field that carries the id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whether requests get an `x-request-id`, a random UUID (RFC 9562 §5.4). Default: what a client sends is passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestIdPolicy {
    /// When one is made. Default: never.
    pub make: MakeRequestId,
    /// Whether the response carries it too. Default: only if the upstream says it.
    pub response: RequestIdResponse,
}

/// When a request gets an id of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MakeRequestId {
    /// Never.
    #[default]
    Never,
    /// When the client sent none: for clients that are trusted.
    Missing,
    /// Always, in the place of what the client sent: for clients that nobody knows.
    Always,
}

/// Whether the response carries the id of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestIdResponse {
    /// Only if the upstream says it.
    #[default]
    Pass,
    /// Always.
    Set,
}

/// Gives the request its id, where the policy says so.
pub(crate) fn apply(policy: RequestIdPolicy, headers: &mut HeaderMap) {
    let wanted = match policy.make {
        MakeRequestId::Never => false,
        MakeRequestId::Missing => !headers.contains_key(X_REQUEST_ID),
        MakeRequestId::Always => true,
    };
    if wanted && let Ok(id) = HeaderValue::from_bytes(&uuid(random())) {
        headers.insert(X_REQUEST_ID, id);
    }
}

/// Random bits for ids: not secret, but different in every process and thread.
pub(crate) fn random() -> u128 {
    thread_local! {
        // The standard library's hash keys are the system's randomness.
        static RANDOM: RefCell<fastrand::Rng> =
            RefCell::new(fastrand::Rng::with_seed(RandomState::new().hash_one(0)));
    }
    RANDOM.with(|random| random.borrow_mut().u128(..))
}

/// These random bits as a UUID of version 4.
fn uuid(random: u128) -> [u8; 36] {
    let mut bytes = random.to_be_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = [b'-'; 36];
    for (byte, place) in bytes.iter().zip(UUID_PLACES) {
        if let Some(digits) = text.get_mut(place..place + 2) {
            digits.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 0x0f)]);
        }
    }
    text
}

/// Where the two digits of each byte stand: between them are the hyphens of RFC 9562 §4.
const UUID_PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

pub(crate) fn hex_digit(digit: u8) -> u8 {
    // Without a branch: each id has 32 of them.
    b'0' + digit + u8::from(digit > 9) * (b'a' - b'0' - 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_of_version_4() {
        assert_eq!(&uuid(0), b"00000000-0000-4000-8000-000000000000");
        assert_eq!(&uuid(u128::MAX), b"ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(
            &uuid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            b"01234567-89ab-4def-8123-456789abcdef"
        );
        assert_ne!(random(), random());
    }

    #[test]
    fn the_policy_decides_what_becomes_of_the_clients_id() {
        let check = |make, sent: Option<&'static str>, kept: bool| {
            let mut headers = HeaderMap::new();
            if let Some(sent) = sent {
                headers.insert(X_REQUEST_ID, HeaderValue::from_static(sent));
            }
            let policy = RequestIdPolicy {
                make,
                ..RequestIdPolicy::default()
            };
            apply(policy, &mut headers);
            let now = headers
                .get(X_REQUEST_ID)
                .map(|id| id.to_str().unwrap().to_owned());
            assert_eq!(now.as_deref() == sent, kept, "{make:?} {sent:?}: {now:?}");
        };
        check(MakeRequestId::Never, None, true);
        check(MakeRequestId::Never, Some("mine"), true);
        check(MakeRequestId::Missing, None, false);
        check(MakeRequestId::Missing, Some("mine"), true);
        check(MakeRequestId::Always, Some("mine"), false);
    }
}
