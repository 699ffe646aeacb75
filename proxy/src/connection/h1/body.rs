//! Where does a body end, and what of it is content? Its framing, taken off as bytes arrive.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use memchr::memchr2;

use super::head::fields::{self, Block};
use super::head::framing::Framing;
use super::head::lines::Lines;
use crate::config::limits;
use crate::error::{Error, Kind};

/// Takes the content off a buffer that fills as bytes arrive.
#[derive(Debug)]
pub(crate) enum Decoder {
    /// So many bytes are left, at least one.
    Length(u64),
    Chunked(Chunked),
}

/// What was found at the front of the buffer.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// Content, never empty.
    Data(Bytes),
    /// The body is over, and these fields followed it.
    Trailers(HeaderMap),
    /// The body is over.
    End,
    /// More bytes are needed.
    More,
}

#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    /// Whether blanks may stand behind a size, as some servers write them (RFC 9112 §7.1.1); clients do not.
    blanks: bool,
    /// Bytes of chunk extensions so far. They are dropped: nobody understands one, and they end at each hop.
    extensions: usize,
}

#[derive(Debug, Default)]
enum State {
    /// In a line that begins with a size; so much of it has been looked at.
    Size {
        seen: usize,
    },
    #[default]
    FirstSize,
    Data(u64),
    /// At the line end behind the data of a chunk.
    DataEnd,
    Trailers(Lines),
    Over,
}

impl Decoder {
    /// The decoder of a body that is framed so; none if there is no body.
    pub(crate) fn of(framing: Framing) -> Option<Self> {
        match framing {
            Framing::Empty => None,
            Framing::Length(length) => Some(Self::Length(length)),
            Framing::Chunked => Some(Self::Chunked(Chunked::default())),
        }
    }

    /// Takes the next piece off `buffer`.
    ///
    /// # Errors
    /// For broken framing: nothing that follows can be told apart from it.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Decoded, Error> {
        match self {
            Self::Length(left) => Ok(data(left, buffer)),
            Self::Chunked(chunked) => chunked.next(buffer),
        }
    }

    /// Whether all content is known to have been taken.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => matches!(chunked.state, State::Over),
        }
    }

    /// How many bytes of content are left, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) => None,
        }
    }
}

fn data(left: &mut u64, buffer: &mut BytesMut) -> Decoded {
    if *left == 0 {
        return Decoded::End;
    }
    if buffer.is_empty() {
        return Decoded::More;
    }
    let fits = usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
    *left -= fits as u64;
    Decoded::Data(buffer.split_to(fits).freeze())
}

impl Chunked {
    /// The chunks of a response.
    pub(crate) fn of_response() -> Self {
        Self {
            blanks: true,
            ..Self::default()
        }
    }

    fn next(&mut self, buffer: &mut BytesMut) -> Result<Decoded, Error> {
        loop {
            match &mut self.state {
                State::FirstSize => self.state = State::Size { seen: 0 },
                State::Size { seen } => {
                    let Some(end) = line_end(buffer, seen)? else {
                        let long = buffer.len() > CHUNK_SIZE_DIGITS_MAX + self.extensions_left();
                        return if long {
                            Err(bad("chunk extensions are too long"))
                        } else {
                            Ok(Decoded::More)
                        };
                    };
                    let line = buffer.split_to(end + 2);
                    let size = self.size(line.get(..end).unwrap_or_default())?;
                    self.state = if size == 0 {
                        State::Trailers(Lines::default())
                    } else {
                        State::Data(size)
                    };
                }
                State::Data(left) => match data(left, buffer) {
                    Decoded::End => self.state = State::DataEnd,
                    found => return Ok(found),
                },
                State::DataEnd => match buffer.as_ref() {
                    [b'\r', b'\n', ..] => {
                        buffer.advance(2);
                        self.state = State::Size { seen: 0 };
                    }
                    [] | [b'\r'] => return Ok(Decoded::More),
                    _ => return Err(bad("a chunk is longer than its size")),
                },
                State::Trailers(lines) => {
                    let end = lines.end(buffer).map_err(bad)?;
                    let (bytes, fields) = (end.unwrap_or(buffer.len()), lines.count());
                    if bytes > limits::TRAILER_BYTES_MAX || fields > limits::HEADER_FIELDS_MAX {
                        return Err(bad("trailers are too large"));
                    }
                    let Some(end) = end else {
                        return Ok(Decoded::More);
                    };
                    self.state = State::Over;
                    return trailers(&buffer.split_to(end).freeze(), fields);
                }
                State::Over => return Ok(Decoded::End),
            }
        }
    }

    fn extensions_left(&self) -> usize {
        limits::CHUNK_EXTENSION_BYTES_MAX.saturating_sub(self.extensions)
    }

    /// `chunk-size [chunk-ext]` (RFC 9112 §7.1): hexadecimal digits and nothing else before the `;`.
    fn size(&mut self, line: &[u8]) -> Result<u64, Error> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, mut extension) = line.split_at_checked(digits).unwrap_or_default();
        while self.blanks
            && let [b' ' | b'\t', rest @ ..] = extension
        {
            extension = rest;
        }
        if !matches!(extension, [] | [b';', ..]) || digits.len() > CHUNK_SIZE_DIGITS_MAX {
            return Err(bad("invalid chunk size"));
        }
        if extension
            .iter()
            .any(|byte| matches!(byte, 0..=8 | 10..=0x1f | 0x7f))
        {
            return Err(bad("a chunk extension has a control character"));
        }
        if extension.len() > self.extensions_left() {
            return Err(bad("chunk extensions are too long"));
        }
        self.extensions += extension.len();
        let size = str::from_utf8(digits)
            .ok()
            .and_then(|digits| u64::from_str_radix(digits, 16).ok());
        size.ok_or_else(|| bad("invalid chunk size"))
    }
}

/// As many as 64 bits have.
const CHUNK_SIZE_DIGITS_MAX: usize = 16;

/// Where the CR LF of the first line stands; everything before `seen` is known to hold none.
fn line_end(buffer: &[u8], seen: &mut usize) -> Result<Option<usize>, Error> {
    let found = buffer.get(*seen..).and_then(|rest| memchr2(b'\r', b'\n', rest));
    let Some(end) = found.map(|found| *seen + found) else {
        *seen = buffer.len();
        return Ok(None);
    };
    *seen = end;
    match buffer.get(end..) {
        Some([b'\r', b'\n', ..]) => Ok(Some(end)),
        Some([b'\r']) => Ok(None),
        _ => Err(bad("the line of a chunk size does not end with CR LF")),
    }
}

fn trailers(block: &Bytes, fields: usize) -> Result<Decoded, Error> {
    if fields == 0 {
        return Ok(Decoded::End);
    }
    let mut trailers = HeaderMap::try_with_capacity(fields).map_err(|_| bad("trailers are too large"))?;
    fields::read(&mut Block::new(block), &mut trailers).map_err(bad)?;
    Ok(Decoded::Trailers(trailers))
}

fn bad(detail: &'static str) -> Error {
    let error = Error::new(Kind::BadRequest).with_detail(detail);
    error.with_code_details("http1.codec_error")
}

#[cfg(test)]
mod tests;
