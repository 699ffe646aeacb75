//! What does a client read when something goes wrong? Knative's words, byte for byte.

use std::fmt::Write;

use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};
use tidegate_knative::go_words;
use tidegate_proxy::{
    Body, Error,
    cluster::address::Address,
    error::{BoxError, Kind},
};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// What a client reads whose request took too long, waiting or not.
pub(super) const TIMEOUT: &str = "activator request timeout";

/// A text as it is, without a line end.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::full(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// A text as Go's servers tell of errors: with a line end, and not to be guessed at.
pub(crate) fn error(status: StatusCode, message: impl Into<String>) -> Response<Body> {
    let mut response = text(status, message.into() + "\n");
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}

pub(super) fn unknown_revision(name: &str) -> Response<Body> {
    let message = format!("Error getting active endpoint: revision.serving.knative.dev {name:?} not found");
    error(StatusCode::NOT_FOUND, message)
}

pub(super) fn unexpected_probe(value: &[u8]) -> Response<Body> {
    let message = format!("unexpected probe header value: {}", quoted(value));
    error(StatusCode::BAD_REQUEST, message)
}

/// A failure at a pod, in Go's words where it has some.
pub(super) fn about(failure: Error, pod: &Address) -> Error {
    let text = match (failure.kind(), failure.system()) {
        (Kind::ConnectFailed, Some(cause)) => go_words::not_connected(pod, cause),
        (Kind::ConnectTimeout, _) => go_words::no_answer(pod),
        (Kind::UpstreamReset, cause) => go_words::no_response(pod, cause),
        _ => return failure,
    };
    failure.with_detail(text)
}

/// What becomes of a failed request. Failures that are the client's own are the proxy's to tell.
pub(super) fn of(failure: Error) -> Result<Response<Body>, BoxError> {
    Ok(match failure.kind() {
        Kind::QueueFull => error(StatusCode::SERVICE_UNAVAILABLE, "pending request queue full"),
        Kind::CapacityTimeout => error(StatusCode::SERVICE_UNAVAILABLE, "context deadline exceeded"),
        Kind::CapacityRefused => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
        Kind::RequestTimeout | Kind::ResponseStartTimeout | Kind::IdleTimeout => {
            text(StatusCode::GATEWAY_TIMEOUT, TIMEOUT)
        }
        Kind::NoHealthyUpstream
        | Kind::ConnectFailed
        | Kind::ConnectTimeout
        | Kind::UpstreamTls
        | Kind::StreamRefused
        | Kind::UpstreamReset
        | Kind::UpstreamProtocol
        | Kind::ProtocolMismatch => error(StatusCode::BAD_GATEWAY, failure.detail()),
        _ => return Err(failure.into()),
    })
}

/// As Go's `%q` writes what `html.EscapeString` made of it.
fn quoted(value: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in value.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '&' => out.push_str("&amp;"),
                '\'' => out.push_str("&#39;"),
                '"' => out.push_str("&#34;"),
                '\\' => out.push_str("\\\\"),
                '\t' => out.push_str("\\t"),
                letter => out.push(letter),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ac_03_a_probe_value_is_quoted_as_go_quotes() {
        for (value, expected) in [
            (&b"other"[..], "\"other\""),
            (b"<b>'\"&\\", "\"&lt;b&gt;&#39;&#34;&amp;\\\\\""),
            (b"\xff", "\"\\xff\""),
            ("é".as_bytes(), "\"é\""),
        ] {
            assert_eq!(quoted(value), expected);
        }
    }
}
