//! What of a request's head does the `h2` crate let through that HTTP/2 forbids, and what becomes a tunnel?

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use h2::ext::Protocol;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    UPGRADE,
};
use http::request::Parts;
use http::{Method, StatusCode, response, uri};
use sha1::{Digest, Sha1};

use crate::config::http::HttpSettings;
use crate::error::{Error, Kind};
use crate::normalize;

/// What is wrong with a head.
#[derive(Debug)]
pub(super) enum Flaw {
    /// It is no request: its stream is reset (RFC 9113 §8.1.1).
    Malformed(&'static str),
    /// It is one that gets an error for its answer.
    Refused(Error),
}

/// Checks a head that the `h2` crate has decoded.
pub(super) fn check(head: &Parts, settings: &HttpSettings) -> Result<(), Flaw> {
    let refused = |kind| Err(Flaw::Refused(Error::new(kind)));
    fields(&head.headers).map_err(Flaw::Malformed)?;
    if head.headers.len() > settings.head.fields_max {
        return refused(Kind::HeadTooLarge);
    }
    let target = head
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > settings.head.target_bytes_max {
        return refused(Kind::TargetTooLong);
    }
    let http = |scheme: &uri::Scheme| *scheme == uri::Scheme::HTTP || *scheme == uri::Scheme::HTTPS;
    if head.uri.scheme().is_some_and(|scheme| !http(scheme)) {
        return Err(Flaw::Malformed("a scheme other than http and https"));
    }
    Ok(())
}

/// Checks what holds for the fields of requests and of trailers.
fn fields(headers: &HeaderMap) -> Result<(), &'static str> {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let padded = |value: &HeaderValue| blank(value.as_bytes().first()) || blank(value.as_bytes().last());
    // spec: RFC 9113 §8.2.1
    if headers.values().any(padded) {
        return Err("a value that begins or ends with a blank");
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        if lengths.next().is_some() {
            return Err("more than one Content-Length");
        }
        // `h2` takes an empty one for 0 and `010` for ten, which others read as eight.
        let number = length.as_bytes().iter().all(u8::is_ascii_digit);
        if !number || length.is_empty() || length.len() > 1 && length.as_bytes().starts_with(b"0") {
            return Err("a Content-Length that is no plain number");
        }
    }
    Ok(())
}

/// Checks trailers and takes out what has no place in them, or is not believed of a client.
pub(super) fn trailers(trailers: &mut HeaderMap, settings: &HttpSettings) -> Result<(), &'static str> {
    fields(trailers)?;
    if trailers.len() > settings.head.fields_max {
        return Err("too many trailers");
    }
    normalize::drop_from_trailers(trailers);
    settings.edge.remove_from(trailers);
    Ok(())
}

/// What an extended CONNECT (RFC 8441) asked for, to be answered as such.
#[derive(Debug)]
pub(super) struct Switch {
    /// What proves that the upstream has understood the handshake, if it is WebSocket's.
    accept: Option<HeaderValue>,
}

impl Switch {
    /// Brings an extended CONNECT for one of the protocols of `settings` into the form that it has over HTTP/1.1, which
    /// is the only one behind the edge. Any other CONNECT stays what it is, and will be refused.
    pub(super) fn of(head: &mut Parts, settings: &HttpSettings) -> Result<Option<Self>, Flaw> {
        if head.method != Method::CONNECT {
            return Ok(None);
        }
        let Some(protocol) = head.extensions.remove::<Protocol>() else {
            return Ok(None);
        };
        let allowed = settings.upgrades.iter();
        let Some(protocol) = allowed
            .map(AsRef::<str>::as_ref)
            .find(|allowed| allowed.eq_ignore_ascii_case(protocol.as_str()))
        else {
            return Ok(None);
        };
        // Its DATA are the tunnel's bytes, no content.
        if head.headers.contains_key(CONTENT_LENGTH) {
            return Err(Flaw::Malformed("a CONNECT with a Content-Length"));
        }
        let token = HeaderValue::try_from(protocol).map_err(|_| Flaw::Malformed("an invalid :protocol"))?;
        head.method = Method::GET;
        head.headers
            .insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(UPGRADE, token);
        let mut accept = None;
        if protocol == WEBSOCKET {
            // spec: RFC 6455 §4.1; HTTP/2 has no use for it (RFC 8441 §5).
            let key = STANDARD.encode(fastrand::u128(..).to_be_bytes());
            accept = accept_key(&key);
            // In the place of whatever the client said under this name: the upstream answers to one key.
            let key = HeaderValue::try_from(key).map_err(|_| Flaw::Malformed("no key for the handshake"))?;
            head.headers.insert(SEC_WEBSOCKET_KEY, key);
        }
        Ok(Some(Self { accept }))
    }

    /// The head that opens the tunnel for the client, of the 101 that opened it at the upstream.
    pub(super) fn opened(&self, head: &mut response::Parts) -> Result<(), Error> {
        let accepted = head.headers.remove(SEC_WEBSOCKET_ACCEPT);
        if self.accept.is_some() && accepted != self.accept {
            return Err(Error::new(Kind::UpstreamProtocol)
                .with_source("a 101 without the right Sec-WebSocket-Accept"));
        }
        head.headers.remove(CONNECTION);
        head.headers.remove(UPGRADE);
        head.status = StatusCode::OK;
        Ok(())
    }

    /// Whether a response that opens no tunnel can be passed on: 2xx would mean that it had opened one.
    pub(super) fn refused(status: StatusCode) -> Result<(), Error> {
        if status.is_success() {
            return Err(
                Error::new(Kind::UpstreamProtocol).with_source("an upgrade was answered as a plain request")
            );
        }
        Ok(())
    }
}

const WEBSOCKET: &str = "websocket";

/// spec: RFC 6455 §4.2.2, item 5.4
fn accept_key(key: &str) -> Option<HeaderValue> {
    let digest = Sha1::new()
        .chain_update(key)
        .chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        .finalize();
    HeaderValue::try_from(STANDARD.encode(digest)).ok()
}

/// Takes out of a response what is of HTTP/1 alone (RFC 9113 §8.2.2); only a layer can have set it.
pub(super) fn drop_connection_fields(headers: &mut HeaderMap) {
    const CONNECTION_FIELDS: [HeaderName; 3] = [CONNECTION, http::header::TRANSFER_ENCODING, UPGRADE];
    if CONNECTION_FIELDS.iter().any(|name| headers.contains_key(name)) {
        normalize::drop_hop_by_hop(headers);
    }
}

#[cfg(test)]
mod tests;
