//! How an error becomes a response: the only place where one does.

use http::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Response, StatusCode, Version};
use http_body::Body as _;

use crate::body::Body;
use crate::config::http::HttpSettings;
use crate::config::manners::{GrpcReplies, LocalReplies, LocalReply};
use crate::error::Error;
use crate::route::DirectResponse;
use crate::upstream::Retried;

/// How the client wants to be told about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// By a status and a line of text.
    Http,
    /// By `grpc-status` and `grpc-message` on a 200 without a body (gRPC over HTTP/2, "Trailers-Only").
    Grpc,
}

const GRPC_CONTENT_TYPE: &str = "application/grpc";
const GRPC_STATUS: &str = "grpc-status";
const GRPC_MESSAGE: &str = "grpc-message";
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

impl Dialect {
    /// The dialect of the client that sent these fields.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let grpc = headers.get(CONTENT_TYPE).is_some_and(|value| {
            value
                .as_bytes()
                .strip_prefix(GRPC_CONTENT_TYPE.as_bytes())
                .is_some_and(|rest| {
                    // `application/grpc-web` is another protocol, carried in HTTP bodies.
                    matches!(rest.first(), None | Some(b'+' | b';'))
                })
        });
        if grpc { Self::Grpc } else { Self::Http }
    }
}

/// The response for `error` as `http` words it, with its [`Kind`](crate::error::Kind) in the extensions.
pub(crate) fn from_error(error: &Error, dialect: Dialect, http: &HttpSettings) -> Response<Body> {
    let replies = http.manners.as_ref().and_then(|manners| manners.replies.as_ref());
    let own = replies.and_then(|replies| Some((replies, replies.get(error.kind())?)));
    let dialect = match replies.map(|replies| replies.grpc) {
        Some(GrpcReplies::AsHttp) => Dialect::Http,
        Some(GrpcReplies::TrailersOnly) | None => dialect,
    };
    let row = error.kind().row();
    let code = error.own_status().map_or(row.grpc, grpc_code);
    let mut response = match (dialect, own) {
        (Dialect::Http, None) => direct(error.status(), &format!("{}\n", error.detail())),
        (Dialect::Http, Some((replies, reply))) => worded(error, replies, reply),
        (Dialect::Grpc, None) => trailers_only(code, error.detail()),
        (Dialect::Grpc, Some((_, reply))) => {
            let text = reply.text.as_deref().map(String::from_utf8_lossy);
            let mut response = trailers_only(code, text.as_deref().unwrap_or(error.detail()));
            append(&mut response, reply);
            response
        }
    };
    if let Some(after) = error.retry_after() {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.extensions_mut().insert(error.kind());
    if error.retried() != Retried::default() {
        response.extensions_mut().insert(error.retried());
    }
    response
}

/// What an error looks like where that was said.
fn worded(error: &Error, replies: &LocalReplies, reply: &LocalReply) -> Response<Body> {
    let text = reply.text.clone();
    let text = text.unwrap_or_else(|| error.detail().to_owned().into());
    let mut response = Response::new(Body::full(text.clone()));
    // What the route says about this one case counts before what is said about its kind.
    let own = error.own_status().or(reply.status);
    *response.status_mut() = own.unwrap_or(error.kind().row().status);
    if !text.is_empty() {
        let content_type = reply.content_type.as_ref().unwrap_or(&replies.content_type);
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    append(&mut response, reply);
    response
}

fn append(response: &mut Response<Body>, reply: &LocalReply) {
    for (name, value) in &reply.fields {
        response.headers_mut().append(name, value.clone());
    }
}

/// Signs a response as `http` says.
pub(crate) fn sign(response: &mut Response<Body>, http: &HttpSettings) {
    if let Some(manners) = &http.manners {
        manners.on_response(response);
    }
}

/// Makes `response` the last one of its connection, where that is HTTP/1.
pub(crate) fn ask_to_close(response: &mut Response<Body>, version: Version) {
    if version < Version::HTTP_2 && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
}

/// The response that a route gives by itself. Its body is shared, not copied.
pub(crate) fn prepared(direct: &DirectResponse, dialect: Dialect) -> Response<Body> {
    if dialect == Dialect::Grpc {
        let message = String::from_utf8_lossy(&direct.body);
        return trailers_only(grpc_code(direct.status), &message);
    }
    let mut response = Response::new(Body::full(direct.body.clone()));
    *response.status_mut() = direct.status;
    if !direct.body.is_empty() {
        let content_type = direct.content_type.clone();
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response
}

/// A refusal in the words of somebody else, with these fields.
pub(crate) fn refusal(
    status: StatusCode,
    text: &[u8],
    fields: HeaderMap,
    dialect: Dialect,
) -> Response<Body> {
    let mut response = match dialect {
        Dialect::Http => {
            let mut response = Response::new(Body::full(text.to_vec()));
            *response.status_mut() = status;
            response
        }
        Dialect::Grpc => trailers_only(grpc_code(status), &String::from_utf8_lossy(text)),
    };
    // What says how the call ended is ours.
    let own = std::mem::replace(response.headers_mut(), fields);
    response.headers_mut().extend(own);
    response
}

/// The response that sends a client to another URL.
pub(crate) fn redirect(status: StatusCode, location: HeaderValue, dialect: Dialect) -> Response<Body> {
    let mut response = match dialect {
        Dialect::Http => Response::new(Body::empty()),
        Dialect::Grpc => trailers_only(grpc_code(status), ""),
    };
    if dialect == Dialect::Http {
        *response.status_mut() = status;
    }
    response.headers_mut().insert(LOCATION, location);
    response
}

/// Lets a body that is not there have no type, whatever a route made of that; gRPC's stays as it is.
pub(crate) fn type_of_nothing(response: &mut Response<Body>) {
    if !response.body().is_end_stream() {
        return;
    }
    let headers = response.headers_mut();
    if headers.contains_key(GRPC_STATUS) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC_CONTENT_TYPE));
    } else {
        headers.remove(CONTENT_TYPE);
    }
}

/// A response of a status and a text.
fn direct(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::full(text.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// The gRPC status for an HTTP status (gRPC's `http-grpc-status-mapping.md`).
fn grpc_code(status: StatusCode) -> u8 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

fn trailers_only(code: u8, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC_CONTENT_TYPE));
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(code)));
    if !message.is_empty()
        && let Ok(message) = HeaderValue::try_from(percent_encode(message))
    {
        headers.insert(GRPC_MESSAGE, message);
    }
    response
}

/// Encodes a gRPC status message: printable ASCII except `%` stands for itself.
fn percent_encode(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;
    use crate::config::manners::Manners;
    use crate::error::Kind;

    #[tokio::test]
    async fn an_http_client_gets_a_status_a_line_and_when_to_retry() {
        let error = Error::new(Kind::QueueFull).with_retry_after(Duration::from_millis(1500));
        let response = from_error(&error, Dialect::Http, &HttpSettings::default());
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "pending request queue full\n");
    }

    #[test]
    fn a_grpc_client_gets_trailers_only() {
        let error = Error::new(Kind::RequestTimeout).with_detail("100% tié");
        let response = from_error(&error, Dialect::Grpc, &HttpSettings::default());
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[GRPC_STATUS], "4");
        assert_eq!(response.headers()[GRPC_MESSAGE], "100%25 ti%C3%A9");
    }

    #[test]
    fn a_grpc_client_is_told_like_any_other_where_that_was_said() {
        let mut replies = LocalReplies::default();
        replies.grpc = GrpcReplies::AsHttp;
        let manners = Manners {
            replies: Some(replies),
            ..Manners::default()
        };
        let http = HttpSettings {
            manners: Some(manners.into()),
            ..HttpSettings::default()
        };
        let response = from_error(&Error::new(Kind::QueueFull), Dialect::Grpc, &http);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[CONTENT_TYPE], TEXT);
    }

    #[test]
    fn grpc_web_is_not_grpc() {
        let check = |value: &'static str, expected: Dialect| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(Dialect::of(&headers), expected, "{value}");
        };
        check("application/grpc", Dialect::Grpc);
        check("application/grpc+proto", Dialect::Grpc);
        check("application/grpc; charset=utf-8", Dialect::Grpc);
        check("application/grpc-web", Dialect::Http);
        check("text/plain", Dialect::Http);
    }
}
