//! What may a field line look like, in a head or a trailer section? (RFC 9112 §5)

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A block of complete lines, whose ends are known to be CR LF.
pub(crate) struct Block<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl<'a> Block<'a> {
    pub(crate) fn new(bytes: &'a Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next line, without its end.
    pub(crate) fn next_line(&mut self) -> Option<Bytes> {
        let rest = self.bytes.get(self.at..)?;
        let feed = memchr::memchr(b'\n', rest)?;
        let line = self.bytes.slice(self.at..self.at + feed.saturating_sub(1));
        self.at += feed + 1;
        Some(line)
    }
}

/// Reads field lines up to the empty one.
///
/// # Errors
/// For a folded line, whatever is no token before the colon (a blank among it), and control characters in a value.
/// Bytes above ASCII pass in values, as they are (`obs-text`).
pub(crate) fn read(block: &mut Block<'_>, into: &mut HeaderMap) -> Result<(), &'static str> {
    while let Some(line) = block.next_line() {
        if line.is_empty() {
            return Ok(());
        }
        let (name, value) = field(&line)?;
        into.try_append(name, value).map_err(|_| "too many fields")?;
    }
    Err("the field section does not end")
}

/// Reads one line, without its end.
///
/// # Errors
/// As [`read`].
pub(crate) fn field(line: &Bytes) -> Result<(HeaderName, HeaderValue), &'static str> {
    if line.first().is_some_and(|byte| is_blank(*byte)) {
        return Err("a field line is folded, or begins with a blank");
    }
    let colon = memchr::memchr(b':', line).ok_or("a field line has no colon")?;
    let (name, value) = line.split_at_checked(colon).ok_or("a field line has no colon")?;
    let name = HeaderName::from_bytes(name).map_err(|_| "a field name is not a token")?;
    let value = line.slice_ref(without_blanks(value.get(1..).unwrap_or_default()));
    let value = HeaderValue::from_maybe_shared(value).map_err(|_| "a field value has a control character")?;
    Ok((name, value))
}

/// Takes off the optional blanks around a value: space and tab, nothing else (RFC 9110 §5.6.3).
pub(crate) fn without_blanks(mut value: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = value
        && is_blank(*first)
    {
        value = rest;
    }
    while let [rest @ .., last] = value
        && is_blank(*last)
    {
        value = rest;
    }
    value
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Whether a method or a field name may contain it (`tchar`, RFC 9110 §5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
