//! What does `sample websocket` answer? Each message with itself; a browser that asks plainly gets a page to try it.

use std::sync::PoisonError;

use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::limits::{MESSAGE_BYTES_MAX, WEBSOCKET_PEER_MAX};
use super::server::{Connection, Stop};
use super::{Body, text, typed};

/// The one version there is (RFC 6455 §4.1).
const VERSION: &str = "13";

const PAGE: &str = include_str!("websocket.html");

type Socket = WebSocketStream<TokioIo<Upgraded>>;

pub(super) fn answer(request: &mut Request<Incoming>, connection: &Connection) -> Response<Body> {
    let headers = request.headers();
    let asked = |name, value: &str| {
        headers
            .get(name)
            .is_some_and(|found| found.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
    };
    if request.method() != Method::GET || !asked(UPGRADE, "websocket") {
        return typed(StatusCode::OK, "text/html; charset=utf-8", PAGE);
    }
    let accept = headers
        .get(SEC_WEBSOCKET_KEY)
        .map(|key| derive_accept_key(key.as_bytes()));
    let accept = accept.and_then(|accept| HeaderValue::from_str(&accept).ok());
    let (Some(accept), true) = (accept, asked(SEC_WEBSOCKET_VERSION, VERSION)) else {
        let mut refused = text(
            StatusCode::UPGRADE_REQUIRED,
            "this server speaks WebSocket version 13\n",
        );
        refused
            .headers_mut()
            .insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        return refused;
    };
    let upgrade = hyper::upgrade::on(request);
    connection
        .upgrade
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .replace(upgrade);
    let mut response = text(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = response.headers_mut();
    headers.clear();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// Echoes until the client closes or the server stops (then with Close 1001, RFC 6455 §7.4.1).
pub(super) async fn echo(upgrade: OnUpgrade, stop: &Stop) {
    let Ok(upgraded) = upgrade.await else {
        return; // The client went before its `101` was written.
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let mut socket = Socket::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    tokio::select! {
        () = echo_messages(&mut socket) => return,
        () = stop.asked() => {}
    }
    let goodbye = async {
        let going_away = CloseFrame {
            code: CloseCode::Away,
            reason: "the server stops".into(),
        };
        if socket.close(Some(going_away)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    if timeout(WEBSOCKET_PEER_MAX, goodbye).await.is_err() {
        tracing::debug!("client did not answer Close");
    }
}

async fn echo_messages(socket: &mut Socket) {
    while let Some(Ok(message)) = socket.next().await {
        if !(message.is_text() || message.is_binary()) {
            continue; // The library answers Ping and Close itself.
        }
        match timeout(WEBSOCKET_PEER_MAX, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
