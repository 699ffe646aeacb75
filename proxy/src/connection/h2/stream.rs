//! One HTTP/2 stream: its request as it comes, its response as the client takes it.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::UPGRADE;
use http::{Request, Response, StatusCode, request};
use http_body::Body as _;
use tokio::time::Instant;

use super::Open;
use super::duplex::Bytestream;
use super::head::{self, Flaw, Switch};
use super::link::Link;
use super::request_body::{StreamBody, expects_continue};
use super::send;
use crate::body::Body;
use crate::connection::RequestBody;
use crate::connection::alarm::Alarm;
use crate::connection::interim::Interim;
use crate::error::{Error, Kind};
use crate::respond::{self, Dialect};
use crate::upgrade::{Half, Tunnel};
use crate::upstream::TunnelEnd;
use crate::worker::Proxy;

/// Serves one stream to its end; `open` counts it until then.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold its arguments twice, and there is a task for each stream"
)]
pub(super) fn serve(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    proxy: Proxy,
    (link, open): (Arc<Link>, Open),
) -> impl Future<Output = ()> + Send {
    async move {
        let (mut head, body) = request.into_parts();
        let settings = proxy.peer().http();
        let mut stream = Stream::new(respond, Arc::clone(&link));
        if stream.is_reset().await {
            // Nothing was done for it yet, and nothing will be (rapid reset).
            return;
        }
        let checked = head::check(&head, settings).and_then(|()| Switch::of(&mut head, settings));
        match checked {
            Ok(None) => {
                stream.interim.reset(expects_continue(&head.headers));
                let (interim, settings) = (stream.interim.clone(), Arc::clone(settings));
                let body = StreamBody::new(body, &head.headers, Arc::clone(&link), interim, settings);
                let body = Body::downstream(RequestBody::H2(body));
                let request = Box::new(Request::from_parts(head, body));
                let answered = stream.outcome(pin!(proxy.handle(link.patience(), request))).await;
                if let Some(response) = answered {
                    stream.answer(response, &proxy).await;
                }
            }
            // Boxed, as the task of every other stream would have room for it.
            Ok(Some(switch)) => Box::pin(stream.tunnel(switch, head, body, &proxy)).await,
            Err(Flaw::Malformed(flaw)) => {
                tracing::debug!(flaw, "malformed request");
                stream.respond.send_reset(Reason::PROTOCOL_ERROR);
            }
            Err(Flaw::Refused(error)) => {
                let response = proxy.refuse(&error, Dialect::of(&head.headers));
                stream.answer(response, &proxy).await;
            }
        }
        drop(stream);
        drop(open);
    }
}

struct Stream {
    respond: SendResponse<Bytes>,
    link: Arc<Link>,
    interim: Interim,
    alarm: Alarm,
}

impl Stream {
    fn new(respond: SendResponse<Bytes>, link: Arc<Link>) -> Self {
        Self {
            respond,
            link,
            interim: Interim::default(),
            alarm: Alarm::default(),
        }
    }

    async fn is_reset(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(self.respond.poll_reset(cx).is_ready())).await
    }

    /// The response that a request is answered by; none when the client has given the stream up, and its request with it.
    async fn outcome(
        &mut self,
        mut handled: Pin<&mut impl Future<Output = Response<Body>>>,
    ) -> Option<Response<Body>> {
        let mut since = self.link.began();
        poll_fn(|cx| {
            if let Poll::Ready(response) = handled.as_mut().poll(cx) {
                // What came with the response goes first.
                self.pass_interim(cx);
                return Poll::Ready(Some(response));
            }
            ready!(self.poll_given_up(cx, &mut since));
            self.respond.send_reset(Reason::CANCEL);
            Poll::Ready(None)
        })
        .await
    }

    fn poll_given_up(&mut self, cx: &mut Context<'_>, since: &mut Instant) -> Poll<()> {
        self.pass_interim(cx);
        let reset = self.respond.poll_reset(cx);
        if reset.is_pending() {
            self.link.poll_unanswered(cx, &mut self.alarm, since);
        }
        reset.map(drop)
    }

    /// Sends the interim responses that have come.
    fn pass_interim(&mut self, cx: &Context<'_>) {
        while let Poll::Ready(mut response) = self.interim.poll_next(cx) {
            head::drop_connection_fields(response.headers_mut());
            if let Err(error) = self.respond.send_informational(response) {
                tracing::debug!(%error, "an interim response could not be sent");
            }
        }
    }

    /// Sends a response to its end.
    fn answer(&mut self, response: Response<Body>, proxy: &Proxy) -> impl Future<Output = ()> + Send {
        let begun = self.begin(response, proxy);
        let pace = send::Pace::new(proxy.peer().http().timeouts.stall);
        async move {
            if let Some((stream, body)) = begun {
                send::body(stream, body, &self.link, &mut self.alarm, pace).await;
            }
            // With this and the request's body the last handles of the stream go: `h2` tells a client that is not done
            // with its request that no more of it is wanted (RFC 9113 §8.1).
            self.link.answer();
        }
    }

    /// Sends the head of a response. Returns where its body goes, if it has any and the client is still there.
    fn begin(&mut self, response: Response<Body>, proxy: &Proxy) -> Option<(SendStream<Bytes>, Body)> {
        let (mut head, mut body) = response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // Not a status of HTTP/2 (RFC 9113 §8.6); nothing asked for it either.
            let error = Error::new(Kind::LayerFailed).with_source("a 101 over HTTP/2");
            (head, body) = failed(&error, body, proxy).into_parts();
        }
        head::drop_connection_fields(&mut head.headers);
        let ended = body.is_end_stream();
        self.link.respond();
        match self.respond.send_response(Response::from_parts(head, ()), ended) {
            Ok(stream) => (!ended).then_some((stream, body)),
            Err(error) => {
                tracing::debug!(%error, "response could not be sent");
                None
            }
        }
    }

    /// Answers an extended CONNECT: by the tunnel that it asked for, or by why there is none.
    async fn tunnel(&mut self, switch: Switch, mut head: request::Parts, receive: RecvStream, proxy: &Proxy) {
        // It travels with the body as a rule; here the body is the tunnel's.
        head.extensions.insert(self.interim.clone());
        let request = Box::new(Request::from_parts(head, Body::empty()));
        let link = Arc::clone(&self.link);
        let answered = self.outcome(pin!(proxy.handle(link.patience(), request))).await;
        let Some(mut response) = answered else {
            return;
        };
        let upstream = response.extensions_mut().remove::<Half>();
        let Some(upstream) = upstream.filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS) else {
            drop(receive);
            if let Err(error) = Switch::refused(response.status()) {
                response = failed(&error, response.into_body(), proxy);
            }
            return self.answer(response, proxy).await;
        };
        let end = response.extensions_mut().remove::<TunnelEnd>();
        let protocol = response.headers().get(UPGRADE).cloned();
        let (mut head, held) = mem::take(&mut response).into_parts();
        if let Err(error) = switch.opened(&mut head) {
            let failed = failed(&error, held, proxy);
            return self.answer(failed, proxy).await;
        }
        head::drop_connection_fields(&mut head.headers);
        match self.respond.send_response(Response::from_parts(head, ()), false) {
            Ok(send) => {
                let downstream =
                    Half::ready(Bytestream::new(receive, send, proxy.peer().http().timeouts.stall));
                let tunnel = Tunnel::new(downstream, upstream, held).until(end);
                tunnel.of(proxy, protocol.as_ref()).run().await;
            }
            Err(error) => tracing::debug!(%error, "the tunnel's response could not be sent"),
        }
    }
}

/// The response that says so, in the place of the one that has this body.
fn failed(error: &Error, body: Body, proxy: &Proxy) -> Response<Body> {
    tracing::debug!(%error, "request failed");
    let response = respond::from_error(error, Dialect::Http, proxy.peer().http());
    body.replaced(error, response)
}
