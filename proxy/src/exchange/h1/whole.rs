//! What does an upstream answer in a whole input? The codec without a connection, for fuzzing.

use bytes::BytesMut;
use http::{HeaderMap, Method, Response, StatusCode};

use super::answer::{Answers, Remaining};
use crate::cluster::transport::ResponseHeadLimits;
use crate::connection::h1::body::Decoded;

/// A final response that was read whole.
#[derive(Clone, Debug)]
pub struct WholeAnswer {
    /// Its head, with its content in place of a body.
    pub response: Response<Vec<u8>>,
    /// The fields behind the content, where there were any.
    pub trailers: Option<HeaderMap>,
    /// Whether the connection may serve another request.
    pub keeps: bool,
}

/// Reads the final response to a request of this method from an upstream whose bytes arrive in these pieces and which closes
/// behind them. Nothing where it closes before the response ends; interim responses are read and dropped.
///
/// # Errors
/// For what is no response, as the connection would be given up for it.
pub fn answer(pieces: &[&[u8]], method: &Method) -> Result<Option<WholeAnswer>, String> {
    let limits = ResponseHeadLimits {
        bytes_max: crate::config::limits::RESPONSE_HEAD_BYTES_MAX,
        fields_max: crate::config::limits::HEADER_FIELDS_MAX,
    };
    let (mut pieces, mut buffer, mut answers) = (pieces.iter(), BytesMut::new(), Answers::default());
    let mut more = |buffer: &mut BytesMut| pieces.next().map(|piece| buffer.extend_from_slice(piece));
    let answer = loop {
        match answers.next(&mut buffer, &limits, method)? {
            Some(answer) if answer.head.status == StatusCode::SWITCHING_PROTOCOLS => break answer,
            Some(answer) if answer.head.status.is_informational() => {}
            Some(answer) => break answer,
            None if more(&mut buffer).is_some() => {}
            None => return Ok(None),
        }
    };
    let (mut content, mut trailers) = (Vec::new(), None);
    match answer.rest {
        Remaining::Nothing => {}
        Remaining::UntilClose => {
            while more(&mut buffer).is_some() {}
            content.extend_from_slice(&buffer);
        }
        Remaining::Framed(mut decoder) => {
            while !decoder.is_over() {
                match decoder.next(&mut buffer).map_err(|error| error.to_string())? {
                    Decoded::Data(data) => content.extend_from_slice(&data),
                    Decoded::Trailers(fields) => trailers = Some(fields),
                    Decoded::End => break,
                    Decoded::More if more(&mut buffer).is_some() => {}
                    Decoded::More => return Ok(None),
                }
            }
        }
    }
    Ok(Some(WholeAnswer {
        response: Response::from_parts(answer.head, content),
        trailers,
        keeps: answer.keeps,
    }))
}
