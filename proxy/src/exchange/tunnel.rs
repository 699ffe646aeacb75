//! A tunnel on a stream of an upstream's HTTP/2 connection (RFC 8441), for clients of either protocol.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
};
use http::{Method, Request, Response, StatusCode};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::response::{Received, Rest, from_upstream};
use super::upload::poll_room;
use super::{h2 as exchange, of_h2};
use crate::body::Body;
use crate::cluster::InFlight;
use crate::error::{Error, Kind};
use crate::normalize;
use crate::pool::StreamSlot;
use crate::upgrade;

/// What a server proves its understanding of WebSocket with (RFC 6455 §1.3).
const WEBSOCKET_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Sends an upgrade as an extended CONNECT; its 2xx becomes a 101 with the way into the tunnel.
pub(super) async fn open(
    slot: StreamSlot,
    in_flight: InFlight,
    request: &mut Request<Body>,
) -> Result<Response<Body>, (Error, bool)> {
    let mut sender = slot.sender();
    if !sender.is_extended_connect_protocol_enabled() {
        let advice = "WebSocket needs HTTP/1.1, but this port is declared as h2c and announces no extended CONNECT: \
                      declare it as http1";
        return Err((Error::new(Kind::ProtocolMismatch).with_detail(advice), true));
    }
    let (head, key) = connect(request, slot.is_secure()).map_err(|error| (error, true))?;
    let upgrade = request.headers().get(UPGRADE).cloned();
    let opened = sender.send_request(head, false);
    let (response, sending) = opened.map_err(|error| {
        // The connection has ended, or is about to: nothing went out on it.
        (Error::new(Kind::StreamRefused).with_source(error), true)
    })?;
    let id = response.stream_id().as_u32();
    let response = response.await.map_err(|error| {
        let unseen = slot.farewell().leaves_out(id) || error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let error = if unseen {
            Error::new(Kind::StreamRefused).with_source(error)
        } else {
            of_h2(error)
        };
        (error, unseen)
    })?;
    let (mut head, receiving) = response.into_parts();
    if !head.status.is_success() {
        // Nothing more will be sent on it.
        drop(sending);
        let received = Received::of_h2(&head, receiving);
        return Ok(from_upstream(
            head,
            received,
            Rest::of_h2(slot.into(), None, in_flight),
        ));
    }
    normalize::drop_hop_by_hop(&mut head.headers);
    head.status = StatusCode::SWITCHING_PROTOCOLS;
    head.headers.remove(CONTENT_LENGTH);
    head.headers
        .insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(upgrade) = upgrade {
        head.headers.insert(UPGRADE, upgrade);
    }
    if let Some(accept) = key.and_then(|key| accept(&key)) {
        head.headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    head.extensions.insert(upgrade::Half::ready(Tunnel {
        sending,
        receiving,
        unread: Bytes::new(),
    }));
    Ok(Response::from_parts(head, Body::empty().hold((slot, in_flight))))
}

/// The request's head as an extended CONNECT (RFC 8441 §5), and the client's key where it has one.
fn connect(request: &Request<Body>, secure: bool) -> Result<(Request<()>, Option<HeaderValue>), Error> {
    let protocol = request
        .headers()
        .get(UPGRADE)
        .and_then(|value| value.to_str().ok());
    let protocol = protocol.map(str::to_ascii_lowercase).unwrap_or_default();
    let mut head = exchange::head(request, secure)?;
    *head.method_mut() = Method::CONNECT;
    head.extensions_mut().insert(Protocol::from(protocol.as_str()));
    let key = head.headers_mut().remove(SEC_WEBSOCKET_KEY);
    Ok((head, key))
}

pub(super) fn is_websocket(upgrade: &HeaderValue) -> bool {
    upgrade.as_bytes().eq_ignore_ascii_case(b"websocket")
}

/// The answer to a client's key (RFC 6455 §4.2.2).
fn accept(key: &HeaderValue) -> Option<HeaderValue> {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(WEBSOCKET_GUID);
    HeaderValue::try_from(STANDARD.encode(hash.finalize())).ok()
}

/// The bytes of a stream, both ways. Dropped before its end, it resets the stream.
struct Tunnel {
    sending: SendStream<Bytes>,
    receiving: RecvStream,
    unread: Bytes,
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.unread.is_empty() {
            match ready!(this.receiving.poll_data(cx)) {
                Some(Ok(data)) => this.unread = data,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let taken = this.unread.len().min(buf.remaining());
        if let Some(bytes) = this.unread.get(..taken) {
            buf.put_slice(bytes);
        }
        this.unread.advance(taken);
        // The window opens as the bytes are taken, so that a slow reader slows the upstream.
        let released = this.receiving.flow_control().release_capacity(taken);
        Poll::Ready(released.map_err(io::Error::other))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let Some(room) = ready!(poll_room(&mut self.sending, buf.len(), cx)) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let taken = room.min(buf.len());
        let bytes = Bytes::copy_from_slice(buf.get(..taken).unwrap_or_default());
        let sent = self.sending.send_data(bytes, false);
        Poll::Ready(sent.map(|()| taken).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = self.sending.send_data(Bytes::new(), true);
        Poll::Ready(ended.map_err(io::Error::other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_answered_as_in_the_rfc() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept(&key).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
