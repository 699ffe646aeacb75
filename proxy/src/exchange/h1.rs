//! An exchange over HTTP/1.1.

use std::future::Future;
use std::mem;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING, UPGRADE,
};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::ext::on_informational;

use super::of_hyper;
use super::response::{Received, Rest, from_upstream};
use crate::body::Body;
use crate::cluster::InFlight;
use crate::connection::interim::Interim;
use crate::error::{Error, Kind};
use crate::normalize;
use crate::pool::WayBack;
use crate::upgrade;

/// The response, or why there is none and whether the request is where it was.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold its arguments twice, and each idle connection has room for this future"
)]
pub(super) fn send(
    mut sender: http1::SendRequest<Body>,
    back: WayBack,
    in_flight: InFlight,
    request: &mut Request<Body>,
) -> impl Future<Output = Result<Response<Body>, (Error, bool)>> + Send {
    async move {
        *request.version_mut() = Version::HTTP_11;
        // Boxed, as only upgrades have it and every request has room for it.
        let asked = request.headers().get(UPGRADE).cloned().map(Box::new);
        if asked.is_some() {
            complete_handshake(request.headers_mut());
        }
        pass_interim_on(request);
        match sender.try_send_request(mem::take(request)).await {
            // The connection is the tunnel's from here on; it never goes back to the pool.
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                switch(response, asked, in_flight).map_err(|error| (error, false))
            }
            Ok(response) => {
                if let Err(fault) = framing(response.headers()) {
                    // The sender goes, and the connection with it: what follows on it is anybody's guess.
                    let error = Error::new(Kind::UpstreamProtocol).with_source(fault);
                    return Err((error, false));
                }
                let (head, body) = response.into_parts();
                let rest = Rest::of_h1(sender, back, in_flight);
                Ok(from_upstream(head, Received::H1(body), rest))
            }
            Err(mut error) => match error.take_message() {
                Some(unsent) => {
                    *request = unsent;
                    Err((of_hyper(error.into_error()), true))
                }
                None => Err((of_hyper(error.into_error()), false)),
            },
        }
    }
}

/// Interim responses go to whoever sent the request, if he can take them.
fn pass_interim_on(request: &mut Request<Body>) {
    if let Some(interim) = Interim::of(request).cloned() {
        on_informational(request, move |response| {
            let mut passed = Response::new(());
            *passed.status_mut() = response.status();
            passed.headers_mut().clone_from(response.headers());
            normalize::drop_hop_by_hop(passed.headers_mut());
            interim.pass_on(passed);
        });
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

/// A response whose length can be read in two ways is read in neither (RFC 9112 §6.3). hyper refuses the rest.
fn framing(headers: &HeaderMap) -> Result<(), &'static str> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        if lengths.next().is_some() {
            return Err("a response with two Content-Length");
        }
        if !length.as_bytes().iter().all(u8::is_ascii_digit) {
            return Err("a response with an invalid Content-Length");
        }
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if headers.contains_key(CONTENT_LENGTH) {
            return Err("a response with Content-Length and Transfer-Encoding");
        }
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err("a response with an unknown Transfer-Encoding");
        }
    }
    Ok(())
}

/// The way into a tunnel, where the upstream switches to what was asked for (RFC 9110 §7.8).
fn switch(
    mut response: Response<Incoming>,
    asked: Option<Box<HeaderValue>>,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[(&'static str, &'static str)], fine: bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        assert_eq!(framing(&headers).is_ok(), fine, "{fields:?}");
    }

    #[test]
    fn a_length_that_can_be_read_in_two_ways_is_refused() {
        check(&[], true);
        check(&[("content-length", "5")], true);
        check(&[("transfer-encoding", "Chunked")], true);
        check(&[("content-length", "5"), ("content-length", "5")], false);
        check(&[("content-length", "5, 5")], false);
        check(&[("content-length", "+5")], false);
        check(
            &[("content-length", "5"), ("transfer-encoding", "chunked")],
            false,
        );
        check(&[("transfer-encoding", "gzip, chunked")], false);
        check(&[("transfer-encoding", "identity")], false);
        check(
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            false,
        );
    }
}
