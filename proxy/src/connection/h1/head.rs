//! What did a client ask for? A request's head, from bytes, by the strict reading of RFC 9112.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Uri, Version};

use self::framing::{Expectation, Framing};
use self::lines::Lines;
use crate::body::Body;
use crate::config::http::{HeadLimits, Http10};
use crate::error::{Error, Kind};

pub(crate) mod fields;
pub(crate) mod framing;
pub(super) mod lines;

/// A request without its body, and what it says about the connection that it came by.
#[derive(Debug)]
pub(in super::super) struct Head {
    /// Without its body. In the box that it stays in until it is sent: heads are large, and handed on many times.
    pub(in super::super) request: Box<Request<Body>>,
    pub(in super::super) framing: Framing,
    pub(in super::super) expectation: Expectation,
    pub(in super::super) persistence: Persistence,
}

/// Whether the client wants to use the connection again (RFC 9112 §9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Persistence {
    KeepAlive,
    Close,
}

/// Takes heads off a buffer that fills as bytes arrive. No byte is looked at twice before a head is complete.
#[derive(Debug, Default)]
pub(in super::super) struct Heads {
    lines: Lines,
    /// Whether the empty line that RFC 9112 §2.2 allows before a request has been skipped.
    skipped: bool,
}

/// What a head may look like.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Rules {
    pub(in super::super) limits: HeadLimits,
    pub(in super::super) http_10: Http10,
}

impl Heads {
    /// The next head, once `buffer` holds all of it; what follows it stays there.
    ///
    /// # Errors
    /// For whatever is no request, as soon as that is certain. Nothing that follows may be believed then.
    pub(in super::super) fn next(
        &mut self,
        buffer: &mut BytesMut,
        rules: &Rules,
    ) -> Result<Option<Head>, Error> {
        self.skip_empty_line(buffer);
        // What is no HTTP at all, such as a TLS handshake, is not worth waiting for the end of a line.
        if let Some(first) = buffer.first()
            && !fields::is_token_byte(*first)
            && *first != b'\r'
        {
            return Err(bad("the request line does not begin with a method"));
        }
        let end = self.lines.end(buffer).map_err(bad)?;
        self.check_size(end.unwrap_or(buffer.len()), rules)?;
        let Some(end) = end else {
            return Ok(None);
        };
        let lines = std::mem::take(&mut self.lines);
        self.skipped = false;
        let block = buffer.split_to(end).freeze();
        if buffer.is_empty() {
            *buffer = BytesMut::new();
        }
        parse(&block, lines.count(), rules).map(Some)
    }

    fn skip_empty_line(&mut self, buffer: &mut BytesMut) {
        if !self.skipped && self.lines.is_fresh() && buffer.starts_with(b"\r\n") {
            buffer.advance(2);
            self.skipped = true;
        }
    }

    fn check_size(&self, head_bytes: usize, rules: &Rules) -> Result<(), Error> {
        let HeadLimits {
            bytes_max,
            target_bytes_max,
            fields_max,
        } = rules.limits;
        // A method is short; one that is not makes the request line too long as much as its target does.
        let first_line = self.lines.first_line().unwrap_or(head_bytes);
        if first_line > target_bytes_max.saturating_add(REQUEST_LINE_REST_BYTES) {
            return Err(Error::new(Kind::TargetTooLong));
        }
        if head_bytes > bytes_max || self.lines.count() > fields_max.saturating_add(1) {
            return Err(Error::new(Kind::HeadTooLarge).with_code_details("http1.headers_too_large"));
        }
        Ok(())
    }
}

/// What a request line may hold beside its target: a method of up to 32 bytes, two spaces, the version, the line end.
const REQUEST_LINE_REST_BYTES: usize = 32 + 2 + 8 + 2;

fn bad(detail: &'static str) -> Error {
    let error = Error::new(Kind::BadRequest).with_detail(detail);
    error.with_code_details("http1.codec_error")
}

/// Room for what a proxy and a route of Knative's add, so that the map does not grow for it.
const FIELDS_ADDED: usize = 6;

/// Parses a complete head: `lines` lines, and the empty one at its end.
fn parse(block: &Bytes, lines: usize, rules: &Rules) -> Result<Head, Error> {
    let mut rest = fields::Block::new(block);
    let Some(line) = rest.next_line() else {
        return Err(bad("the request line is missing"));
    };
    let [method, target, version] = request_line(&line)?;
    let version = known_version(version, rules.http_10)?;
    let method = Method::from_bytes(method).map_err(|_| bad("the method is not a token"))?;
    if target.len() > rules.limits.target_bytes_max {
        return Err(Error::new(Kind::TargetTooLong));
    }
    let uri = target_of(&line.slice_ref(target), &method)?;
    let mut headers =
        HeaderMap::try_with_capacity(lines + FIELDS_ADDED).map_err(|_| Error::new(Kind::HeadTooLarge))?;
    fields::read(&mut rest, &mut headers).map_err(bad)?;
    if headers.get_all(http::header::HOST).iter().count() != 1 {
        return Err(bad("a request must have one Host"));
    }
    let framing = Framing::of(&headers, version)?;
    let expectation = Expectation::of(&headers, version)?;
    let persistence = framing::persistence(&headers, version);
    let mut request = Box::new(Request::new(Body::empty()));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.version_mut() = version;
    *request.headers_mut() = headers;
    Ok(Head {
        request,
        framing,
        expectation,
        persistence,
    })
}

/// `method SP request-target SP HTTP-version` (RFC 9112 §3), with exactly these spaces.
fn request_line(line: &[u8]) -> Result<[&[u8]; 3], Error> {
    let mut parts = line.split(|byte| *byte == b' ');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(method), Some(target), Some(version), None) if !target.is_empty() => {
            Ok([method, target, version])
        }
        _ => Err(bad("the request line is not 'METHOD TARGET HTTP/1.1'")),
    }
}

fn known_version(version: &[u8], http_10: Http10) -> Result<Version, Error> {
    match version {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" if http_10 == Http10::Accepted => Ok(Version::HTTP_10),
        b"HTTP/1.0" => Err(Error::new(Kind::VersionRefused)),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Err(Error::new(Kind::VersionUnsupported))
        }
        _ => Err(bad("the request line does not end with an HTTP version")),
    }
}

/// The request target in one of its four forms (RFC 9112 §3.2). What it means is for `normalize` to judge.
fn target_of(target: &Bytes, method: &Method) -> Result<Uri, Error> {
    let invalid = || bad("invalid request target");
    // `http::Uri` would take a fragment off in silence.
    if target.iter().any(|byte| matches!(byte, 0..=0x20 | 0x7f | b'#')) {
        return Err(invalid());
    }
    let asterisk = target.as_ref() == b"*";
    let uri = Uri::from_maybe_shared(target.clone())
        .or_else(|_| Uri::from_maybe_shared(encoded(target)))
        .map_err(|_| invalid())?;
    let allowed = if *method == Method::CONNECT {
        uri.scheme().is_none() && uri.authority().is_some()
    } else if asterisk {
        *method == Method::OPTIONS
    } else if target.starts_with(b"/") {
        uri.authority().is_none()
    } else {
        uri.scheme_str()
            .is_some_and(|scheme| matches!(scheme, "http" | "https"))
            && uri.authority().is_some()
    };
    if allowed { Ok(uri) } else { Err(invalid()) }
}

/// The target with what others take and `http::Uri` does not in percent-encoding, which makes an equivalent one of it
/// (RFC 3986 §2.1): `<`, `>`, and backticks in a path or quotation marks in a query, as scripts send them.
#[cold]
fn encoded(target: &[u8]) -> Bytes {
    let after_scheme = target
        .windows(3)
        .position(|bytes| bytes == b"://")
        .map_or(0, |at| at + 3);
    let begins = |byte: &u8| matches!(byte, b'/' | b'?');
    let path = match target.iter().skip(after_scheme).position(begins) {
        _ if target.starts_with(b"/") => 0,
        Some(authority) => after_scheme + authority,
        None => target.len(),
    };
    let (before, rest) = target.split_at(path);
    let mut encoded = before.to_vec();
    let mut in_query = false;
    for byte in rest {
        in_query |= *byte == b'?';
        match byte {
            b'<' => encoded.extend_from_slice(b"%3C"),
            b'>' => encoded.extend_from_slice(b"%3E"),
            b'`' if !in_query => encoded.extend_from_slice(b"%60"),
            b'"' if in_query => encoded.extend_from_slice(b"%22"),
            other => encoded.push(*other),
        }
    }
    encoded.into()
}

#[cfg(test)]
mod tests;
