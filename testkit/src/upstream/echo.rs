//! What do the ready-made upstreams answer?

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream};
use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::rt::Executor;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::answer;
use crate::BoxError;
use crate::body::{self, Body};

/// The request's body as the response's, frame by frame.
pub(super) fn stream_back(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(body::boxed(body));
    if let Some(kind) = head.headers.get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, kind.clone());
    }
    response
}

/// A body that sends `text`, waits until it was taken, and then fails.
pub(super) fn break_off_after(text: &'static str) -> Body {
    let frames =
        stream::once(async move { Ok::<_, BoxError>(Frame::data(Bytes::from_static(text.as_bytes()))) });
    let broken = stream::once(async {
        // The text must be on the wire before the connection is cut.
        tokio::task::yield_now().await;
        Err("the script breaks the body off here".into())
    });
    StreamBody::new(frames.chain(broken)).boxed_unsync()
}

/// Answers an upgrade or an extended CONNECT (RFC 8441), and echoes messages until the peer closes.
pub async fn websocket(mut request: Request<Incoming>) -> Response<Body> {
    if request.method() == Method::CONNECT {
        echo_to(&mut request);
        return answer(StatusCode::OK, "");
    }
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY).cloned() else {
        return answer(StatusCode::UPGRADE_REQUIRED, "this upstream speaks WebSocket\n");
    };
    echo_to(&mut request);
    let mut response = answer(StatusCode::SWITCHING_PROTOCOLS, "");
    let accept = derive_accept_key(key.as_bytes());
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(
        SEC_WEBSOCKET_ACCEPT,
        HeaderValue::from_str(&accept).expect("base64 fits a header"),
    );
    response
}

fn echo_to(request: &mut Request<Incoming>) {
    let upgrade = hyper::upgrade::on(request);
    TokioExecutor::new().execute(async move {
        if let Ok(upgraded) = upgrade.await {
            echo_messages(upgraded).await;
        }
    });
}

async fn echo_messages(upgraded: Upgraded) {
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}
