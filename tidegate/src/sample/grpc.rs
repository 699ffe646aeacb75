//! What does `sample grpc` answer? `tidegate.sample.Echo` (examples/grpc/echo.proto) and the gRPC health check, over h2c.

use futures_util::{StreamExt as _, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Frame, Incoming};

use self::message::{Health, HealthAnswer, Messages, Text, framed};
use self::status::{Code, Status};
use super::server::Stop;
use super::{Body, BoxError, text};

mod message;
mod status;

const CONTENT_TYPE_GRPC: &str = "application/grpc";

pub(super) fn answer(request: Request<Incoming>, stop: Stop) -> Response<Body> {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    let is_grpc = request.method() == Method::POST && kind.starts_with(CONTENT_TYPE_GRPC.as_bytes());
    if request.version() != Version::HTTP_2 || !is_grpc {
        let advice = "this server speaks gRPC: POST application/grpc over HTTP/2 with prior knowledge\n";
        return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, advice);
    }
    let (head, body) = request.into_parts();
    let messages = Messages::new(body);
    match head.uri.path() {
        "/tidegate.sample.Echo/Say" => unary(messages, say),
        "/tidegate.sample.Echo/Stream" => words(messages),
        "/tidegate.sample.Echo/Chat" => chat(messages, stop),
        "/grpc.health.v1.Health/Check" => unary(messages, check_health),
        path => refused(&Status::new(Code::Unimplemented, format!("no method {path}"))),
    }
}

fn say(request: Text) -> Text {
    request
}

fn check_health(_: Health) -> HealthAnswer {
    HealthAnswer::serving()
}

/// One message in, one out.
fn unary<I, O>(mut messages: Messages, method: fn(I) -> O) -> Response<Body>
where
    I: prost::Message + Default + 'static,
    O: prost::Message + 'static,
{
    streamed(stream::once(async move {
        messages.only().await.map(method).map(|answer| framed(&answer))
    }))
}

/// One message in, one out for each of its words.
fn words(mut messages: Messages) -> Response<Body> {
    let answers = stream::once(async move {
        let answers: Vec<_> = match messages.only::<Text>().await {
            Ok(Text { message }) => message
                .split_whitespace()
                .map(|word| Ok(framed(&Text::new(word))))
                .collect(),
            Err(status) => vec![Err(status)],
        };
        stream::iter(answers)
    });
    streamed(answers.flatten())
}

/// Each message out as it comes in, until the client ends or the server stops.
fn chat(messages: Messages, stop: Stop) -> Response<Body> {
    streamed(stream::unfold(Some((messages, stop)), |open| async {
        let (mut messages, stop) = open?;
        let next = tokio::select! {
            next = messages.next::<Text>() => next,
            () = stop.asked() => Err(Status::new(Code::Unavailable, "the server stops")),
        };
        match next {
            Ok(Some(message)) => Some((Ok(framed(&message)), Some((messages, stop)))),
            Ok(None) => None,
            Err(status) => Some((Err(status), None)),
        }
    }))
}

/// A response that sends `answers`, then the status as trailers: the first error's, else OK.
fn streamed<S>(answers: S) -> Response<Body>
where
    S: futures_util::Stream<Item = Result<bytes::Bytes, Status>> + Send + 'static,
{
    let answers = Box::pin(answers);
    let frames = stream::unfold(Some(answers), |open| async {
        let mut answers = open?;
        match answers.next().await {
            Some(Ok(answer)) => Some((Ok::<_, BoxError>(Frame::data(answer)), Some(answers))),
            Some(Err(status)) => Some((Ok(Frame::trailers(status.headers())), None)),
            None => Some((Ok(Frame::trailers(Status::ok().headers())), None)),
        }
    });
    response(StreamBody::new(frames).boxed_unsync(), HeaderMap::new())
}

/// A response of the status alone ("trailers-only").
fn refused(status: &Status) -> Response<Body> {
    response(
        Empty::new().map_err(|never| match never {}).boxed_unsync(),
        status.headers(),
    )
}

fn response(body: Body, headers: HeaderMap) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_GRPC));
    response
}

#[cfg(test)]
mod tests;
