//! Where does a request end, and what follows it? What its fields say about that, and when they are not believed.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, TRANSFER_ENCODING};
use http::{HeaderValue, Version};

use super::fields::{is_token_byte, without_blanks};
use super::{Persistence, bad};
use crate::error::{Error, Kind};

/// How long a request's body is (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    Empty,
    /// So many bytes, at least one.
    Length(u64),
    /// Chunks, the last of which says that it is.
    Chunked,
}

/// What the client waits for before it sends its body (RFC 9110 §10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super::super) enum Expectation {
    Nothing,
    Continue,
}

impl Framing {
    /// What these fields say.
    ///
    /// # Errors
    /// Wherever two recipients could read them in two ways: 400; for a coding that nobody here knows: 501.
    pub(super) fn of(headers: &HeaderMap, version: Version) -> Result<Self, Error> {
        let coding = single(headers, &TRANSFER_ENCODING, "more than one Transfer-Encoding")?;
        let length = single(headers, &CONTENT_LENGTH, "more than one Content-Length")?;
        match (coding, length) {
            (None, None) => Ok(Self::Empty),
            (None, Some(length)) => match content_length(length.as_bytes())? {
                0 => Ok(Self::Empty),
                length => Ok(Self::Length(length)),
            },
            (Some(_), Some(_)) => Err(bad("both Content-Length and Transfer-Encoding")),
            (Some(_), None) if version == Version::HTTP_10 => Err(bad("Transfer-Encoding in HTTP/1.0")),
            (Some(coding), None) => transfer_encoding(coding.as_bytes()),
        }
    }
}

impl Expectation {
    /// # Errors
    /// For any other expectation than `100-continue`: 417.
    pub(super) fn of(headers: &HeaderMap, version: Version) -> Result<Self, Error> {
        let mut expected = headers.get_all(EXPECT).iter();
        match (expected.next(), expected.next()) {
            (None, _) => Ok(Self::Nothing),
            // RFC 9110 §10.1.1: such a client cannot be told.
            (Some(_), _) if version == Version::HTTP_10 => Ok(Self::Nothing),
            (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(Self::Continue),
            _ => Err(Error::new(Kind::ExpectationFailed)),
        }
    }
}

/// Whether the client uses the connection again.
pub(super) fn persistence(headers: &HeaderMap, version: Version) -> Persistence {
    let says = |token| has_token(headers, token);
    if says(b"close") || version == Version::HTTP_10 && !says(b"keep-alive") {
        Persistence::Close
    } else {
        Persistence::KeepAlive
    }
}

/// Whether `Connection` lists this.
pub(crate) fn has_token(headers: &HeaderMap, token: &[u8]) -> bool {
    let values = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    let mut listed = values.flat_map(|value| value.split(|byte| *byte == b','));
    listed.any(|listed| without_blanks(listed).eq_ignore_ascii_case(token))
}

fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    otherwise: &'static str,
) -> Result<Option<&'a HeaderValue>, Error> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(bad(otherwise));
    }
    Ok(first)
}

/// Decimal digits in the one way to write a number: no sign, no list, no leading zero, no more than 63 bits.
pub(in super::super) fn content_length(value: &[u8]) -> Result<u64, Error> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let canonical = value.len() == 1 || value.first() != Some(&b'0');
    let length = str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse::<i64>().ok());
    match length.and_then(|length| u64::try_from(length).ok()) {
        Some(length) if digits && canonical => Ok(length),
        _ => Err(bad("invalid Content-Length")),
    }
}

/// `chunked`, once. A well-formed list of other codings is unknown (501), anything else is a fault (400).
fn transfer_encoding(value: &[u8]) -> Result<Framing, Error> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Framing::Chunked);
    }
    let mut codings = value.split(|byte| *byte == b',').map(without_blanks).peekable();
    while let Some(coding) = codings.next() {
        let token = !coding.is_empty() && coding.iter().copied().all(is_token_byte);
        let chunked_early = coding.eq_ignore_ascii_case(b"chunked") && codings.peek().is_some();
        if !token || chunked_early {
            return Err(bad("invalid Transfer-Encoding"));
        }
    }
    Err(Error::new(Kind::CodingUnknown))
}
