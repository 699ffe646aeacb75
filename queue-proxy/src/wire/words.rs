//! What do a sidecar's own answers look like to whoever knows Knative's?

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use tidegate_knative::go_words;
use tidegate_proxy::Body;
use tidegate_proxy::error::{Blame, Error, Kind};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// A status and a text, which is not an error.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// As Go's `http.Error` has it: a line of text that no browser takes for anything else.
pub(crate) fn error(status: StatusCode, line: impl std::fmt::Display) -> Response<Body> {
    let mut response = text(status, format!("{line}\n"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    response
}

/// A status alone.
pub(crate) fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A status and a field that says more.
pub(crate) fn echo(name: HeaderName, value: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(name, value);
    response
}

/// What a client is told of a request that failed on its way to the application at `app`; none where the fault is not the
/// application's nor the sidecar's, and the proxy's own answer is as good as any.
pub(super) fn of_failure(failure: &Error, app: SocketAddr) -> Option<Response<Body>> {
    match failure.kind() {
        Kind::QueueFull => Some(error(
            StatusCode::SERVICE_UNAVAILABLE,
            "pending request queue full",
        )),
        // Without a line end, unlike all the others.
        Kind::RequestTimeout | Kind::ResponseStartTimeout | Kind::IdleTimeout => {
            Some(text(StatusCode::GATEWAY_TIMEOUT, failure.detail().to_owned()))
        }
        kind if kind.row().blame == Blame::Upstream => {
            Some(error(StatusCode::BAD_GATEWAY, reason(failure, app)))
        }
        _ => None,
    }
}

/// The status of such an answer.
pub(super) fn status_of(failure: &Error) -> StatusCode {
    match failure.kind().row().blame {
        Blame::Upstream => StatusCode::BAD_GATEWAY,
        _ => failure.status(),
    }
}

/// Why the application did not answer, in Go's words where it has some.
fn reason(failure: &Error, app: SocketAddr) -> String {
    match (failure.kind(), failure.system()) {
        (Kind::ConnectFailed, Some(cause)) if cause.kind() == io::ErrorKind::TimedOut => {
            // What the tries have to say ends with how long they took.
            let text = cause.to_string();
            let after = text.rsplit_once("after ").map_or("", |(_, after)| after);
            format!("timed out dialing {app} after {after}")
        }
        (Kind::ConnectFailed, Some(cause)) => go_words::not_connected(app, cause),
        (Kind::ConnectTimeout, _) => go_words::no_answer(app),
        (Kind::UpstreamReset, cause) => go_words::no_response(app, cause),
        _ => failure.detail().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// The status and body of what a client sees, and whether a browser may guess at it.
    async fn check(failure: Error, expected: Option<(u16, &str, bool)>) {
        let app = SocketAddr::from(([127, 0, 0, 1], 8080));
        let Some(response) = of_failure(&failure, app) else {
            assert_eq!(None, expected, "{failure:?}");
            return;
        };
        let status = response.status().as_u16();
        let may_guess = !response.headers().contains_key(X_CONTENT_TYPE_OPTIONS);
        assert_eq!(response.headers()[CONTENT_TYPE], TEXT);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let got = (status, std::str::from_utf8(&body).unwrap(), may_guess);
        assert_eq!(Some(got), expected);
    }

    #[tokio::test]
    async fn failures_are_told_as_knative_tells_them() {
        let refused = io::Error::from_raw_os_error(111);
        check(
            Error::new(Kind::ConnectFailed).with_source(refused),
            Some((
                502,
                "dial tcp 127.0.0.1:8080: connect: connection refused\n",
                false,
            )),
        )
        .await;
        let silent = io::Error::new(io::ErrorKind::TimedOut, "no answer after 19.73s");
        check(
            Error::new(Kind::ConnectFailed).with_source(silent),
            Some((502, "timed out dialing 127.0.0.1:8080 after 19.73s\n", false)),
        )
        .await;
        check(Error::new(Kind::UpstreamReset), Some((502, "EOF\n", false))).await;
        check(
            Error::new(Kind::QueueFull),
            Some((503, "pending request queue full\n", false)),
        )
        .await;
        check(
            Error::new(Kind::IdleTimeout).with_detail("request timeout"),
            Some((504, "request timeout", true)),
        )
        .await;
        check(Error::new(Kind::BadRequest), None).await;
    }
}
