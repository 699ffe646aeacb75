//! One request on one upstream connection: heads, bodies both ways, trailers.

use std::error::Error as _;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};

use crate::body::Body;
use crate::cluster::InFlight;
use crate::error::{Error, Kind};
use crate::normalize;
use crate::pool::{Checkout, StreamSlot, WayBack};
use crate::upgrade;

/// Why an exchange has no response.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// Whether the connection had served another request before.
    pub(crate) reused: bool,
    /// Whether nothing of the request was written: it is where it was.
    pub(crate) unsent: bool,
}

/// Takes `request`, sends it, and waits for the head of the final response.
pub(crate) async fn send(
    connection: Checkout,
    in_flight: InFlight,
    request: &mut Request<Body>,
) -> Result<Response<Body>, Failure> {
    match connection {
        Checkout::H1 { sender, back, reused } => {
            let sent = send_h1(sender, back, in_flight, request).await;
            sent.map_err(|(error, unsent)| Failure {
                error,
                reused,
                unsent,
            })
        }
        Checkout::H2 {
            mut sender,
            stream,
            reused,
        } => {
            let failure = |error, unsent| Failure {
                error,
                reused,
                unsent,
            };
            to_h2(request).map_err(|error| failure(error, false))?;
            match sender.try_send_request(mem::take(request)).await {
                Ok(response) => Ok(from_upstream(
                    response,
                    Rest {
                        back: None,
                        _stream: Some(stream),
                        _in_flight: in_flight,
                    },
                )),
                Err(mut error) => {
                    let unsent = put_back(&mut error, request);
                    to_h1(request);
                    Err(failure(classify(error.into_error()), unsent))
                }
            }
        }
    }
}

async fn send_h1(
    mut sender: http1::SendRequest<Body>,
    back: WayBack,
    in_flight: InFlight,
    request: &mut Request<Body>,
) -> Result<Response<Body>, (Error, bool)> {
    *request.version_mut() = Version::HTTP_11;
    let asked = request.headers().get(UPGRADE).cloned();
    match sender.try_send_request(mem::take(request)).await {
        // The connection is the tunnel's from here on; it never goes back to the pool.
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            switch(response, asked, in_flight).map_err(|error| (error, false))
        }
        Ok(response) => {
            let rest = Rest {
                back: Some((sender, back)),
                _stream: None,
                _in_flight: in_flight,
            };
            Ok(from_upstream(response, rest))
        }
        Err(mut error) => {
            let unsent = put_back(&mut error, request);
            Err((classify(error.into_error()), unsent))
        }
    }
}

/// Puts the request where it came from, if it was not sent; says whether.
fn put_back(error: &mut TrySendError<Request<Body>>, request: &mut Request<Body>) -> bool {
    match error.take_message() {
        Some(unsent) => {
            *request = unsent;
            true
        }
        None => false,
    }
}

/// HTTP/2 wants an absolute target and no `Host` (RFC 9113 §8.3.1).
fn to_h2(request: &mut Request<Body>) -> Result<(), Error> {
    if let Some(host) = request.headers_mut().remove(HOST) {
        *request.uri_mut() = normalize::absolute(request.uri(), &host)?;
    }
    *request.version_mut() = Version::HTTP_2;
    Ok(())
}

/// Undoes [`to_h2`]: what was not sent may go anywhere, also where HTTP/1.1 is spoken.
fn to_h1(request: &mut Request<Body>) {
    let target = mem::take(request.uri_mut()).into_parts();
    if let Some(host) = target
        .authority
        .and_then(|host| HeaderValue::try_from(host.as_str()).ok())
    {
        request.headers_mut().insert(HOST, host);
    }
    if let Some(path) = target.path_and_query {
        *request.uri_mut() = path.into();
    }
}

fn from_upstream(response: Response<Incoming>, rest: Rest) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    normalize::drop_hop_by_hop(&mut head.headers);
    head.version = Version::HTTP_11;
    let mut body = ResponseBody {
        incoming: body,
        rest: Some(rest),
    };
    if body.incoming.is_end_stream() {
        body.complete();
    }
    Response::from_parts(head, Body::upstream(body))
}

/// The way into a tunnel, where the upstream switches to what was asked for (RFC 9110 §7.8).
fn switch(
    mut response: Response<Incoming>,
    asked: Option<HeaderValue>,
    in_flight: InFlight,
) -> Result<Response<Body>, Error> {
    let switched = response.headers_mut().remove(UPGRADE);
    let (Some(asked), Some(switched)) = (asked, switched) else {
        return Err(Error::new(Kind::UpstreamProtocol).with_source("a 101 to no upgrade"));
    };
    if !asked.as_bytes().eq_ignore_ascii_case(switched.as_bytes()) {
        return Err(Error::new(Kind::UpstreamProtocol).with_source("a 101 to another protocol"));
    }
    let half = upgrade::Half::upgrading(hyper::upgrade::on(&mut response));
    let (mut head, _no_body) = response.into_parts();
    normalize::drop_hop_by_hop(&mut head.headers);
    head.headers
        .insert(CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(UPGRADE, switched);
    head.extensions.insert(half);
    Ok(Response::from_parts(head, Body::empty().hold(in_flight)))
}

fn classify(error: hyper::Error) -> Error {
    let cause = error.source();
    // When the request's body failed, that is what happened: its client left, or a layer found fault with it.
    let of_request_body = cause
        .and_then(|cause| cause.downcast_ref::<Error>())
        .map(Error::kind);
    // HTTP/2's rules are checked on this side: where they were broken, or HTTP/1.1 was spoken, we end it.
    let broken_h2 = cause
        .and_then(|cause| cause.downcast_ref::<h2::Error>())
        .is_some_and(|error| error.is_library() && error.reason() != Some(h2::Reason::NO_ERROR));
    let kind = if error.is_parse() || broken_h2 {
        Kind::UpstreamProtocol
    } else {
        Kind::UpstreamReset
    };
    Error::new(of_request_body.unwrap_or(kind)).with_source(error)
}

/// The body of a response as it comes from the upstream; gives the connection back at its end.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    incoming: Incoming,
    rest: Option<Rest>,
}

/// What an exchange occupies until its response is complete.
#[derive(Debug)]
struct Rest {
    back: Option<(http1::SendRequest<Body>, WayBack)>,
    _stream: Option<StreamSlot>,
    _in_flight: InFlight,
}

impl ResponseBody {
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            Some(Err(_)) => self.rest = None,
            None => self.complete(),
            Some(Ok(_)) if self.incoming.is_end_stream() => self.complete(),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame.map(|frame| frame.map_err(classify)))
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    fn complete(&mut self) {
        if let Some(Rest {
            back: Some((sender, back)),
            ..
        }) = self.rest.take()
        {
            back.check_in(sender);
        }
    }
}
