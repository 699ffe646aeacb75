//! How is a response written? Heads, chunks and trailers as bytes (RFC 9112 §4, §6, §7).

use bytes::{BufMut, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::response::Parts;
use http::{Method, Response, StatusCode, Version};
use http_body::SizeHint;
use hyper::ext::ReasonPhrase;

use super::head::Persistence;
use super::head::framing::{content_length, has_token};

/// What is known about who asked, and what the connection may still do.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Recipient {
    pub(in super::super) version: Version,
    /// Whether it was HEAD: such a response has the fields of a body and none.
    pub(in super::super) head_only: bool,
    pub(in super::super) persistence: Persistence,
}

/// How the rest of the response is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body, whatever the response has.
    Empty,
    /// So many bytes are still to come.
    Length(u64),
    Chunked,
    /// The end of the connection is its end: HTTP/1.0, and a length that nobody knows.
    Close,
}

impl Recipient {
    pub(in super::super) fn of(method: &Method, version: Version, persistence: Persistence) -> Self {
        Self {
            version,
            head_only: *method == Method::HEAD,
            persistence,
        }
    }
}

/// Writes the head of a final response. Says how the body is framed, and whether the connection stays.
pub(in super::super) fn head(
    head: &Parts,
    body: &SizeHint,
    to: Recipient,
    date: &HeaderValue,
    out: &mut BytesMut,
) -> (Framing, Persistence) {
    let framing = framing(head, body, to);
    let asked_to_close = has_token(&head.headers, b"close");
    let persistence = match framing {
        Framing::Close => Persistence::Close,
        _ if asked_to_close => Persistence::Close,
        _ => to.persistence,
    };
    out.reserve(room(&head.headers));
    status_line(head, to.version, out);
    // These three say what this side does with the connection: whatever a layer may have left of them is not true.
    let ours = |name: &HeaderName| [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH].contains(name);
    head.headers
        .iter()
        .filter(|(name, _)| !ours(name))
        .for_each(|(name, value)| field(name, value, out));
    if !head.headers.contains_key(DATE) {
        field(&DATE, date, out);
    }
    connection_field(head.status, to.version, persistence, out);
    match framing {
        Framing::Length(length) => length_field(length, out),
        Framing::Chunked => out.put_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Empty if described(head.status, to) => described_length(&head.headers, body, out),
        Framing::Empty | Framing::Close => {}
    }
    out.put_slice(b"\r\n");
    (framing, persistence)
}

/// Writes an interim response (RFC 9110 §15.2).
pub(in super::super) fn interim(response: &Response<()>, out: &mut BytesMut) {
    out.put_slice(b"HTTP/1.1 ");
    status(response.status(), None, out);
    let ours = |name: &HeaderName| [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH].contains(name);
    let fields = response.headers().iter().filter(|(name, _)| !ours(name));
    fields.for_each(|(name, value)| field(name, value, out));
    out.put_slice(b"\r\n");
}

/// Writes what comes before the data of a chunk; [`LINE_END`] comes after it.
pub(in super::super) fn chunk_head(size: usize, out: &mut BytesMut) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let value = (size >> (4 * digit)) & 0xf;
        out.put_u8(b"0123456789abcdef".get(value).copied().unwrap_or(b'0'));
    }
    out.put_slice(LINE_END);
}

/// Writes the last chunk and the trailer section.
pub(in super::super) fn last_chunk(trailers: Option<&HeaderMap>, out: &mut BytesMut) {
    out.put_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        field(name, value, out);
    }
    out.put_slice(LINE_END);
}

/// The end of a line.
pub(crate) const LINE_END: &[u8] = b"\r\n";

/// Enough for a head with these fields, so that it is written without growing.
pub(crate) fn room(headers: &HeaderMap) -> usize {
    let fields = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    OWN_LINES_BYTES + fields.map(|bytes| bytes + FIELD_REST_BYTES).sum::<usize>()
}

/// What a field has beside its name and value: a colon, a space and the line end.
const FIELD_REST_BYTES: usize = 4;
/// The status line with a usual reason, the date, the framing, what becomes of the connection, and the empty line.
const OWN_LINES_BYTES: usize = 160;

/// RFC 9112 §6.3, from the side of the sender.
fn framing(head: &Parts, body: &SizeHint, to: Recipient) -> Framing {
    let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if to.head_only || bodiless || head.status.is_informational() {
        return Framing::Empty;
    }
    match body.exact().or_else(|| declared(&head.headers)) {
        Some(length) => Framing::Length(length),
        None if to.version == Version::HTTP_10 => Framing::Close,
        None => Framing::Chunked,
    }
}

/// Whether a response without a body has the length that its body would have (RFC 9110 §8.6).
fn described(status: StatusCode, to: Recipient) -> bool {
    (to.head_only || status == StatusCode::NOT_MODIFIED)
        && status != StatusCode::NO_CONTENT
        && !status.is_informational()
}

fn described_length(headers: &HeaderMap, body: &SizeHint, out: &mut BytesMut) {
    // A body that a layer of ours left on a response to HEAD has the length that GET would get.
    let of_body = body.exact().filter(|length| *length > 0);
    if let Some(length) = declared(headers).or(of_body) {
        length_field(length, out);
    }
}

pub(crate) fn declared(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let first = values.next()?;
    match values.next() {
        None => content_length(first.as_bytes()).ok(),
        Some(_) => None,
    }
}

fn status_line(head: &Parts, version: Version, out: &mut BytesMut) {
    out.put_slice(match version {
        Version::HTTP_10 => b"HTTP/1.0 ",
        _ => b"HTTP/1.1 ",
    });
    let reason = head.extensions.get::<ReasonPhrase>().map(ReasonPhrase::as_bytes);
    status(head.status, reason, out);
}

fn status(status: StatusCode, reason: Option<&[u8]>, out: &mut BytesMut) {
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    // An upstream's words, which hyper takes as they come.
    let printable = |reason: &&[u8]| !reason.iter().any(|byte| matches!(byte, 0..=8 | 10..=0x1f | 0x7f));
    let canonical = || status.canonical_reason().unwrap_or_default().as_bytes();
    out.put_slice(reason.filter(printable).unwrap_or_else(canonical));
    out.put_slice(LINE_END);
}

fn connection_field(status: StatusCode, version: Version, persistence: Persistence, out: &mut BytesMut) {
    out.put_slice(match (status, persistence, version) {
        (StatusCode::SWITCHING_PROTOCOLS, _, _) => b"connection: upgrade\r\n",
        (_, Persistence::Close, _) => b"connection: close\r\n",
        (_, Persistence::KeepAlive, Version::HTTP_10) => b"connection: keep-alive\r\n",
        (_, Persistence::KeepAlive, _) => b"",
    });
}

/// A value has no line end in it: [`HeaderValue`] cannot hold one.
pub(crate) fn field(name: &HeaderName, value: &HeaderValue, out: &mut BytesMut) {
    out.put_slice(name.as_str().as_bytes());
    out.put_slice(b": ");
    out.put_slice(value.as_bytes());
    out.put_slice(LINE_END);
}

pub(crate) fn length_field(length: u64, out: &mut BytesMut) {
    out.put_slice(b"content-length: ");
    // As many digits as 64 bits can have, filled from the end.
    let (mut digits, mut left, mut at) = ([0_u8; 20], length, 20);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(left % 10).unwrap_or_default();
        (left, at) = (left / 10, at - 1);
        if left == 0 {
            break;
        }
    }
    out.put_slice(digits.get(at..).unwrap_or_default());
    out.put_slice(LINE_END);
}

#[cfg(test)]
mod tests;
