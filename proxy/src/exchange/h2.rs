//! An exchange on a stream of an HTTP/2 connection.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use h2::RecvStream;
use h2::client::ResponseFuture;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::response::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;

use super::response::{Received, Rest, Uploading, from_upstream};
use super::upload::Upload;
use super::{of_h2, tunnel};
use crate::body::Body;
use crate::cluster::InFlight;
use crate::config::limits;
use crate::connection::interim::Interim;
use crate::error::{Error, Kind};
use crate::normalize;
use crate::pool::StreamSlot;
use crate::process;

/// The response, or why there is none and whether the request is where it was.
pub(super) async fn send(
    stream: StreamSlot,
    in_flight: InFlight,
    request: &mut Request<Body>,
) -> Result<Response<Body>, (Error, bool)> {
    if request.headers().contains_key(UPGRADE) {
        // Boxed, as tunnels are rare and every request would have room for one.
        return Box::pin(tunnel::open(stream, in_flight, request)).await;
    }
    let head = head(request, stream.is_secure()).map_err(|error| (error, true))?;
    let stream = Arc::new(stream);
    let bodiless = request.method() == Method::HEAD;
    // The body knows the way, so it is asked before it is taken.
    let interim = Interim::of(request).cloned();
    let mut exchange = Exchange::begin(&stream, head, request)?;
    match exchange.response(interim.as_ref()).await {
        Ok(response) => {
            let (head, body) = response.into_parts();
            check(&head, &stream).map_err(|error| (error, false))?;
            let upload = exchange.upload.map(|upload| go_on(upload, &stream));
            let received = if bodiless || is_bodiless(head.status) {
                // Whatever comes all the same is not for the client.
                Received::Nothing
            } else {
                Received::of_h2(&head, body)
            };
            Ok(from_upstream(
                head,
                received,
                Rest::of_h2(stream, upload, in_flight),
            ))
        }
        Err(error) => {
            let unseen = error.kind() == Kind::StreamRefused;
            let unsent = unseen && exchange.put_back(request);
            Err((error, unsent))
        }
    }
}

/// The two directions of one stream, until the head of the final response is there.
struct Exchange {
    slot: Arc<StreamSlot>,
    response: ResponseFuture,
    /// The body on its way, if it has a byte.
    upload: Option<Upload>,
    /// The body, if it has none: what it holds is still held.
    empty: Option<Body>,
    interim_read: usize,
}

impl Exchange {
    /// Opens the stream; takes the body of `request`, and leaves the rest.
    fn begin(
        slot: &Arc<StreamSlot>,
        head: Request<()>,
        request: &mut Request<Body>,
    ) -> Result<Self, (Error, bool)> {
        let ends = request.body().is_end_stream();
        let (response, stream) = slot.sender().send_request(head, ends).map_err(|error| {
            // The connection has ended, or is about to: nothing went out on it.
            (Error::new(Kind::StreamRefused).with_source(error), true)
        })?;
        let body = mem::take(request.body_mut());
        let (upload, empty) = if ends {
            (None, Some(body))
        } else {
            (Some(Upload::new(stream, body)), None)
        };
        Ok(Self {
            slot: Arc::clone(slot),
            response,
            upload,
            empty,
            interim_read: 0,
        })
    }

    /// Waits for the head of the final response, and sends the body meanwhile.
    async fn response(&mut self, interim: Option<&Interim>) -> Result<Response<RecvStream>, Error> {
        poll_fn(|cx| self.poll_response(cx, interim)).await
    }

    fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        interim: Option<&Interim>,
    ) -> Poll<Result<Response<RecvStream>, Error>> {
        while let Poll::Ready(Some(Ok(response))) = self.response.poll_informational(cx) {
            self.interim_read += 1;
            if self.interim_read > limits::INTERIM_RESPONSES_READ_MAX {
                return Poll::Ready(Err(
                    Error::new(Kind::UpstreamProtocol).with_source("too many interim responses")
                ));
            }
            if let Some(interim) = interim {
                interim.pass_on(passed_on(response));
            }
        }
        if let Poll::Ready(response) = Pin::new(&mut self.response).poll(cx) {
            return Poll::Ready(response.map_err(|error| self.failed(error)));
        }
        if let Some(upload) = &mut self.upload
            && let Poll::Ready(sent) = upload.poll(cx)
        {
            match sent {
                // Kept where nothing was taken from it: a stream that is refused leaves it for another.
                Ok(()) if upload.is_touched() => self.upload = None,
                Ok(()) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Pending
    }

    /// Whether the endpoint has looked at the request is in the error, or in what it said of the connection's end.
    fn failed(&self, error: h2::Error) -> Error {
        let left_out = self
            .slot
            .farewell()
            .leaves_out(self.response.stream_id().as_u32());
        if left_out {
            Error::new(Kind::StreamRefused).with_source(error)
        } else {
            of_h2(error)
        }
    }

    /// Gives the body back to its request, if nothing was taken from it; says whether.
    fn put_back(self, request: &mut Request<Body>) -> bool {
        let body = match self.upload {
            Some(upload) => upload.into_untouched(),
            None => self.empty,
        };
        let whole = body.is_some();
        if let Some(body) = body {
            *request.body_mut() = body;
        }
        whole
    }
}

/// The request's head as HTTP/2 has it: an absolute target and no `Host` (RFC 9113 §8.3.1).
pub(super) fn head(request: &Request<Body>, secure: bool) -> Result<Request<()>, Error> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = target(request, secure)?;
    *head.version_mut() = Version::HTTP_2;
    head.headers_mut().clone_from(request.headers());
    for name in [HOST, CONNECTION, UPGRADE] {
        head.headers_mut().remove(name);
    }
    Ok(head)
}

fn target(request: &Request<Body>, secure: bool) -> Result<Uri, Error> {
    let bad = |detail: &'static str| Error::new(Kind::BadRequest).with_detail(detail);
    let Some(host) = request.headers().get(HOST) else {
        return Ok(request.uri().clone());
    };
    let authority = Authority::try_from(host.as_bytes()).map_err(|_| bad("invalid authority"))?;
    let path = request.uri().path_and_query().cloned();
    Uri::builder()
        .scheme(if secure { Scheme::HTTPS } else { Scheme::HTTP })
        .authority(authority)
        .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
        .build()
        .map_err(|_| bad("invalid request target"))
}

fn passed_on(mut response: Response<()>) -> Response<()> {
    normalize::drop_hop_by_hop(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    response
}

/// What the h2 crate does not look at.
fn check(head: &Parts, stream: &StreamSlot) -> Result<(), Error> {
    let broken = |fault: &'static str| Err(Error::new(Kind::UpstreamProtocol).with_source(fault));
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return broken("a 101 over HTTP/2");
    }
    if head.headers.len() > stream.settings().response_head.fields_max {
        return broken("too many fields in the head of a response");
    }
    Ok(())
}

fn is_bodiless(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// Lets an upload run on beside the response.
fn go_on(mut upload: Upload, stream: &Arc<StreamSlot>) -> Uploading {
    let (guard, slot) = (stream.guard(), Arc::clone(stream));
    let task = process::spawn("upstream-upload", guard, async move {
        if let Err(error) = poll_fn(|cx| upload.poll(cx)).await {
            tracing::debug!(%error, "upload broke off after the head of its response");
        }
        drop(slot);
    });
    Uploading::new(task)
}
