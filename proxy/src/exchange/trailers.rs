//! Which fields may come after a body?

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE, HOST,
    HeaderMap, HeaderName, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// Fields that frame, route or authenticate a message, or say how its body is read, are too late after it
/// (RFC 9110 §6.5.1). Whoever merges trailers into heads must not find them.
const TOO_LATE: [HeaderName; 13] = [
    AUTHORIZATION,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    HOST,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes what no trailer may be.
pub(super) fn clean(trailers: &mut HeaderMap) {
    for name in &TOO_LATE {
        trailers.remove(name);
    }
}
