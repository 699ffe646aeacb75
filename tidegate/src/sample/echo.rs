//! What does `sample echo` answer? The request's head as text, an empty line, and the body as it comes.

use std::fmt::Write as _;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, request};
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use hyper::body::{Frame, Incoming};

use super::{Body, BoxError};

pub(super) fn answer(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let head = stream::once(std::future::ready(Ok(Frame::data(Bytes::from(as_text(&head))))));
    let frames = head.chain(BodyStream::new(body.map_err(BoxError::from)));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn as_text(head: &request::Parts) -> String {
    let mut text = format!("{} {} {:?}\n", head.method, head.uri, head.version);
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        // Writing to a string cannot fail.
        writeln!(text, "{name}: {value}").ok();
    }
    text.push('\n');
    text
}
