//! Which requests are in a whole input? The codec without a connection, for fuzzing.

use bytes::BytesMut;
use http::{HeaderMap, Request};

use super::body::{Decoded, Decoder};
use super::head::{Heads, Persistence, Rules};
use crate::config::http::HttpSettings;
use crate::error::Error;

/// A request that was read whole.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Its head, with its content in place of a body.
    pub request: Request<Vec<u8>>,
    /// The fields behind the content, where there were any.
    pub trailers: Option<HeaderMap>,
}

/// Reads the requests of one connection whose input arrives in these pieces, up to the end of the input, to the last
/// that the client wants answered, or to what is refused; the status of that comes last.
#[must_use]
pub fn requests(pieces: &[&[u8]], settings: &HttpSettings) -> (Vec<Whole>, Option<u16>) {
    let rules = Rules {
        limits: settings.head,
        http_10: settings.http1.http_10,
    };
    let mut input = Input {
        pieces: pieces.iter(),
        buffer: BytesMut::new(),
    };
    let (mut read, mut heads) = (Vec::new(), Heads::default());
    loop {
        match next(&mut input, &mut heads, &rules) {
            Ok(Some((whole, Persistence::KeepAlive))) => read.push(whole),
            Ok(Some((whole, Persistence::Close))) => {
                read.push(whole);
                return (read, None);
            }
            Ok(None) => return (read, None),
            Err(error) => return (read, Some(error.kind().row().status.as_u16())),
        }
    }
}

struct Input<'a> {
    pieces: std::slice::Iter<'a, &'a [u8]>,
    buffer: BytesMut,
}

impl Input<'_> {
    /// Waits for more, as it were.
    fn more(&mut self) -> Option<()> {
        self.buffer.extend_from_slice(self.pieces.next()?);
        Some(())
    }
}

fn next(
    input: &mut Input<'_>,
    heads: &mut Heads,
    rules: &Rules,
) -> Result<Option<(Whole, Persistence)>, Error> {
    let head = loop {
        match heads.next(&mut input.buffer, rules)? {
            Some(head) => break head,
            None if input.more().is_some() => {}
            None => return Ok(None),
        }
    };
    let (mut content, mut trailers) = (Vec::new(), None);
    if let Some(mut decoder) = Decoder::of(head.framing) {
        while !decoder.is_over() {
            match decoder.next(&mut input.buffer)? {
                Decoded::Data(data) => content.extend_from_slice(&data),
                Decoded::Trailers(fields) => trailers = Some(fields),
                Decoded::End => break,
                Decoded::More if input.more().is_some() => {}
                Decoded::More => return Ok(None),
            }
        }
    }
    let request = head.request.map(|_no_body| content);
    Ok(Some((Whole { request, trailers }, head.persistence)))
}
