//! What did an upstream answer? A response's head, from bytes (RFC 9112 §4, §6.3).
//!
//! A line may end with a line feed alone (RFC 9112 §2.2): old applications do that, and no two readers of a response stand
//! behind each other here. Whatever leaves open where the response ends is refused.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use http::response::Parts;
use http::{Method, Response, StatusCode, Version};
use hyper::ext::ReasonPhrase;

use crate::cluster::transport::ResponseHeadLimits;
use crate::connection::h1::body::{Chunked, Decoder};
use crate::connection::h1::head::fields;
use crate::connection::h1::head::framing::has_token;

/// A response's head, and what it says about the rest.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: Parts,
    pub(super) rest: Remaining,
    /// Whether the connection may serve another request after this one.
    pub(super) keeps: bool,
}

/// What follows a head.
#[derive(Debug)]
pub(super) enum Remaining {
    Nothing,
    Framed(Decoder),
    /// Whatever comes until the upstream closes.
    UntilClose,
}

/// Takes heads off a buffer that fills as bytes arrive. No byte is looked at twice before a head is complete.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Whether the empty line that may come before a response has been looked for.
    skipped: bool,
    /// Everything before it has been looked at.
    at: usize,
    /// Where the line begins that is not complete yet.
    line: usize,
    count: usize,
}

impl Answers {
    /// The next head, once `buffer` holds all of it; what follows it stays there.
    ///
    /// # Errors
    /// For whatever is no response to a request of this method, as soon as that is certain.
    pub(super) fn next(
        &mut self,
        buffer: &mut BytesMut,
        limits: &ResponseHeadLimits,
        method: &Method,
    ) -> Result<Option<Answer>, &'static str> {
        if self.at == 0 && !self.skipped {
            match **buffer {
                // Some applications end a body with one line end too many.
                [b'\r', b'\n', ..] => buffer.advance(2),
                [] | [b'\r'] => return Ok(None),
                _ => {}
            }
            self.skipped = true;
        }
        let end = self.end(buffer);
        // The first line is the status.
        if end.unwrap_or(buffer.len()) > limits.bytes_max || self.count > limits.fields_max.saturating_add(1)
        {
            return Err("the head of a response is too large");
        }
        let Some(end) = end else {
            return Ok(None);
        };
        let lines = std::mem::take(self).count;
        let block = buffer.split_to(end).freeze();
        if buffer.is_empty() {
            *buffer = BytesMut::new();
        }
        parse(block, lines, method).map(Some)
    }

    /// The length of the head with its empty line, once `bytes` hold all of it.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(found) = bytes.get(self.at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let feed = self.at + found;
            let empty = matches!(bytes.get(self.line..feed), Some([] | [b'\r']));
            self.at = feed + 1;
            self.line = self.at;
            if empty {
                return Some(self.at);
            }
            self.count += 1;
        }
        self.at = bytes.len();
        None
    }
}

fn parse(mut block: Bytes, lines: usize, method: &Method) -> Result<Answer, &'static str> {
    let first = next_line(&mut block).ok_or("a response without a status line")?;
    let (version, status, reason) = status_line(&first)?;
    let mut headers =
        HeaderMap::try_with_capacity(lines + FIELDS_ADDED).map_err(|_| "a response with too many fields")?;
    while let Some(line) = next_line(&mut block).filter(|line| !line.is_empty()) {
        let (name, value) = fields::field(&line)?;
        headers
            .try_append(name, value)
            .map_err(|_| "a response with too many fields")?;
    }
    let rest = remaining(status, version, &headers, method)?;
    let closes =
        has_token(&headers, b"close") || version == Version::HTTP_10 && !has_token(&headers, b"keep-alive");
    let (mut head, ()) = Response::new(()).into_parts();
    (head.status, head.version, head.headers) = (status, version, headers);
    if !reason.is_empty()
        && status.canonical_reason().map(str::as_bytes) != Some(reason)
        && let Ok(reason) = ReasonPhrase::try_from(first.slice_ref(reason))
    {
        head.extensions.insert(reason);
    }
    Ok(Answer {
        keeps: !closes && !matches!(rest, Remaining::UntilClose),
        head,
        rest,
    })
}

/// Room for what is added on the way to the client, so that the map does not grow for it.
const FIELDS_ADDED: usize = 3;

/// Takes a line off a block whose lines are complete, without its end.
fn next_line(block: &mut Bytes) -> Option<Bytes> {
    let feed = memchr::memchr(b'\n', block)?;
    let mut line = block.split_to(feed);
    block.advance(1);
    if line.last() == Some(&b'\r') {
        line.truncate(line.len() - 1);
    }
    Some(line)
}

/// `HTTP/1.1 200 OK`; the reason and the blank before it may be missing.
fn status_line(line: &[u8]) -> Result<(Version, StatusCode, &[u8]), &'static str> {
    let (version, rest) = match line.split_at_checked(b"HTTP/1.1 ".len()) {
        Some((b"HTTP/1.1 ", rest)) => (Version::HTTP_11, rest),
        Some((b"HTTP/1.0 ", rest)) => (Version::HTTP_10, rest),
        _ => return Err("a response that is not HTTP/1.1"),
    };
    let (code, reason) = rest.split_at_checked(3).ok_or("a response without a status")?;
    let status = StatusCode::from_bytes(code).map_err(|_| "a response without a status")?;
    match reason {
        [] => Ok((version, status, b"")),
        [b' ', reason @ ..]
            if reason
                .iter()
                .any(|byte| byte.is_ascii_control() && *byte != b'\t') =>
        {
            Err("a response whose reason has a control character")
        }
        [b' ', reason @ ..] => Ok((version, status, reason)),
        _ => Err("a response without a status"),
    }
}

/// RFC 9112 §6.3, from the side of the recipient; a length that can be read in two ways is read in neither.
fn remaining(
    status: StatusCode,
    version: Version,
    headers: &HeaderMap,
    method: &Method,
) -> Result<Remaining, &'static str> {
    if status.is_informational() {
        return Ok(Remaining::Nothing);
    }
    let length = length(headers)?;
    let chunked = chunked(headers)?;
    if chunked && length.is_some() {
        return Err("a response with Content-Length and Transfer-Encoding");
    }
    if chunked && version == Version::HTTP_10 {
        return Err("a response in HTTP/1.0 with Transfer-Encoding");
    }
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if *method == Method::HEAD || bodiless {
        return Ok(Remaining::Nothing);
    }
    Ok(match length {
        _ if chunked => Remaining::Framed(Decoder::Chunked(Chunked::of_response())),
        Some(0) => Remaining::Nothing,
        Some(length) => Remaining::Framed(Decoder::Length(length)),
        None => Remaining::UntilClose,
    })
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(None);
    };
    if lengths.next().is_some() {
        return Err("a response with two Content-Length");
    }
    let digits = length.as_bytes().iter().all(u8::is_ascii_digit);
    let length = length.to_str().ok().filter(|_| digits);
    let length = length.and_then(|length| length.parse().ok());
    length
        .map(Some)
        .ok_or("a response with an invalid Content-Length")
}

fn chunked(headers: &HeaderMap) -> Result<bool, &'static str> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(false);
    };
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err("a response with an unknown Transfer-Encoding");
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
