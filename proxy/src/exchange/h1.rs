//! An exchange over HTTP/1.1.

use std::future::{Future, poll_fn};
use std::mem;
use std::task::{Context, Poll, ready};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{Method, Request, Response, StatusCode, Version};

use self::answer::{Answer, Answers};
use self::download::Overtaken;
use self::upload::{Broken, Upload};
use super::response::{Received, Rest, from_upstream};
use crate::body::Body;
use crate::cluster::InFlight;
use crate::config::limits;
use crate::connection::interim::Interim;
use crate::error::{BoxError, Error, Kind};
use crate::normalize;
use crate::pool::{Connection, WayBack};
use crate::upgrade;

mod answer;
mod download;
mod upload;
pub(crate) mod whole;

pub(super) use download::Download;

/// Why there is no response.
pub(super) struct Fault {
    pub(super) error: Error,
    /// Whether nothing of the request was sent: it is where it was.
    pub(super) unsent: bool,
    /// Whether the upstream said nothing before the connection ended.
    pub(super) silent: bool,
}

/// An exchange until the head of its final response.
struct Waiting {
    connection: Box<Connection>,
    method: Method,
    /// What is left of the request; nothing once it is sent.
    upload: Option<Upload>,
    /// The upstream takes no more of the request, for this reason. It may have answered before.
    refused: Option<Error>,
    answers: Answers,
    /// Whether the upstream has said anything.
    heard: bool,
}

/// The response. The request stays where it is, but for its body, which goes on with the response where that is early.
// What is awaited is made before: an async fn would hold its arguments beside it, and each request has room for this future.
pub(super) fn send(
    connection: Box<Connection>,
    back: WayBack,
    in_flight: InFlight,
    request: &mut Request<Body>,
) -> impl Future<Output = Result<Response<Body>, Fault>> + Send {
    *request.version_mut() = Version::HTTP_11;
    if request.headers().contains_key(UPGRADE) {
        complete_handshake(request.headers_mut());
    }
    let mut waiting = Waiting::begin(connection, request);
    async move {
        let mut interim = 0;
        let answer = loop {
            let answer = poll_fn(|cx| waiting.poll(cx, request.body_mut())).await;
            let answer = answer.map_err(|error| waiting.fault(error))?;
            match answer.head.status {
                StatusCode::SWITCHING_PROTOCOLS => break answer,
                status if status.is_informational() && interim < limits::INTERIM_RESPONSES_READ_MAX => {
                    interim += 1;
                    pass_on(request, answer);
                }
                status if status.is_informational() => {
                    let error = Error::new(Kind::UpstreamProtocol).with_source("too many interim responses");
                    return Err(waiting.fault(error));
                }
                _ => break answer,
            }
        };
        if answer.head.status == StatusCode::SWITCHING_PROTOCOLS {
            // The connection is the tunnel's from here on; it never goes back to the pool.
            let switched = switch(answer, *waiting.connection, request.headers(), in_flight);
            return switched.map_err(|error| Fault {
                error,
                unsent: false,
                silent: false,
            });
        }
        let keeps = answer.keeps && waiting.refused.is_none();
        let (connection, overtaken) = match waiting.upload {
            None => (waiting.connection, None),
            Some(upload) => {
                let body = mem::take(request.body_mut());
                let (connection, overtaken) = Overtaken::start(upload, body, *waiting.connection, &back);
                (connection, Some(Box::new(overtaken)))
            }
        };
        let download = Download::new(connection, answer.rest, overtaken, keeps);
        let rest = Rest::of_h1(back, in_flight);
        Ok(from_upstream(answer.head, Received::H1(download), rest))
    }
}

impl Waiting {
    fn begin(connection: Box<Connection>, request: &Request<Body>) -> Self {
        Self {
            connection,
            method: request.method().clone(),
            upload: Some(Upload::of(request)),
            refused: None,
            answers: Answers::default(),
            heard: false,
        }
    }

    /// The next head, interim or final, while the request goes out.
    fn poll(&mut self, cx: &mut Context<'_>, body: &mut Body) -> Poll<Result<Answer, Error>> {
        if let Some(upload) = &mut self.upload
            && let Poll::Ready(sent) = upload.poll(cx, &mut self.connection.stream, body)
        {
            match sent {
                Ok(()) => self.upload = None,
                // Why it takes no more may be on its way.
                Err(Broken::Write(error)) if !upload.is_unsent() => {
                    self.refused = Some(Error::new(Kind::UpstreamReset).with_source(error));
                    self.upload = None;
                }
                Err(broken) => return Poll::Ready(Err(of_upload(broken))),
            }
        }
        loop {
            let limits = self.connection.limits;
            let next = self
                .answers
                .next(&mut self.connection.buffer, &limits, &self.method);
            match next {
                Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                Ok(None) => {}
                Err(fault) => {
                    let error = Error::new(Kind::UpstreamProtocol).with_source(fault);
                    return Poll::Ready(Err(error));
                }
            }
            match ready!(self.connection.poll_fill(cx)) {
                Ok(1..) => self.heard = true,
                ended => {
                    let error = self.refused.take().unwrap_or_else(|| match ended {
                        Ok(_) => broken_off("the upstream closed before it answered"),
                        Err(error) => broken_off(error),
                    });
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    fn fault(&self, error: Error) -> Fault {
        Fault {
            error,
            unsent: self.upload.as_ref().is_some_and(Upload::is_unsent),
            silent: !self.heard,
        }
    }
}

fn broken_off(cause: impl Into<BoxError>) -> Error {
    Error::new(Kind::UpstreamReset).with_source(cause)
}

/// What a request that could not be sent was about.
fn of_upload(broken: Broken) -> Error {
    match broken {
        Broken::Write(error) => broken_off(error),
        // That is what happened: its client left, or a layer found fault with it.
        Broken::Body(error) => Error::new(error.kind()).with_source(error),
        Broken::Length(fault) => Error::new(Kind::ClientClosed).with_source(fault),
    }
}

/// Interim responses go to whoever sent the request, if he can take them.
fn pass_on(request: &Request<Body>, answer: Answer) {
    if let Some(interim) = Interim::of(request) {
        let mut head = answer.head;
        normalize::drop_hop_by_hop(&mut head.headers);
        interim.pass_on(Response::from_parts(head, ()));
    }
}

/// A WebSocket that was opened over HTTP/2 has no key, which HTTP/1.1 asks for (RFC 8441 §5).
fn complete_handshake(headers: &mut HeaderMap) {
    let websocket = headers.get(UPGRADE).is_some_and(super::tunnel::is_websocket);
    if websocket && !headers.contains_key(SEC_WEBSOCKET_KEY) {
        let nonce = fastrand::u128(..).to_ne_bytes();
        if let Ok(key) = HeaderValue::try_from(STANDARD.encode(nonce)) {
            headers.insert(SEC_WEBSOCKET_KEY, key);
        }
    }
}

/// The way into a tunnel, where the upstream switches to what was asked for (RFC 9110 §7.8).
fn switch(
    answer: Answer,
    connection: Connection,
    asked: &HeaderMap,
    in_flight: InFlight,
) -> Result<Response<Body>, Error> {
    let mut head = answer.head;
    let (Some(asked), Some(switched)) = (asked.get(UPGRADE), head.headers.remove(UPGRADE)) else {
        return Err(Error::new(Kind::UpstreamProtocol).with_source("a 101 to no upgrade"));
    };
    if !asked.as_bytes().eq_ignore_ascii_case(switched.as_bytes()) {
        return Err(Error::new(Kind::UpstreamProtocol).with_source("a 101 to another protocol"));
    }
    let (early, stream, held) = connection.switch();
    normalize::drop_hop_by_hop(&mut head.headers);
    head.headers
        .insert(CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(UPGRADE, switched);
    head.extensions.insert(upgrade::Half::rewound(early, stream));
    Ok(Response::from_parts(head, Body::empty().hold((held, in_flight))))
}
