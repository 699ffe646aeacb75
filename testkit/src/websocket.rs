//! How does a test talk WebSocket?

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};

use crate::wait::soon;

/// A client's WebSocket connection.
#[derive(Debug)]
pub struct WebSocket {
    stream: WebSocketStream<TcpStream>,
}

impl WebSocket {
    /// Connects to `address` and upgrades `path` of `host`.
    ///
    /// # Errors
    /// When the handshake is refused: `Error::Http` carries the response.
    ///
    /// # Panics
    /// When nobody listens at `address`.
    pub async fn connect(address: SocketAddr, host: &str, path: &str) -> Result<Self, Error> {
        let connected = soon("a connection", TcpStream::connect(address)).await;
        let stream = connected.unwrap_or_else(|error| panic!("connect to {address}: {error}"));
        let url = format!("ws://{host}{path}");
        let (stream, _) = soon("the upgrade", tokio_tungstenite::client_async(url, stream)).await?;
        Ok(Self { stream })
    }

    /// Sends one text message.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn say(&mut self, text: &str) {
        let sent = soon("the peer to read", self.stream.send(Message::text(text))).await;
        sent.unwrap_or_else(|error| panic!("send {text:?}: {error}"));
    }

    /// The next text message.
    ///
    /// # Panics
    /// When something else comes, or nothing.
    pub async fn hear(&mut self) -> String {
        match self.next().await {
            Some(Ok(Message::Text(text))) => text.to_string(),
            other => panic!("expected a text message, got {other:?}"),
        }
    }

    /// The code of the peer's Close, which comes next.
    ///
    /// # Panics
    /// When something else comes, or nothing.
    pub async fn asked_to_close(&mut self) -> u16 {
        match self.next().await {
            Some(Ok(Message::Close(Some(frame)))) => frame.code.into(),
            other => panic!("expected a Close with a code, got {other:?}"),
        }
    }

    /// The next message of any kind; none after the end.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        soon("a message", self.stream.next()).await
    }

    /// Closes in order, whoever began: sends or answers Close, and waits for the end.
    ///
    /// # Panics
    /// When the peer does not end in order.
    pub async fn close(mut self) {
        match soon("the peer to read", self.stream.close(None)).await {
            Ok(()) | Err(Error::Protocol(ProtocolError::SendAfterClosing)) => {}
            Err(error) => panic!("close: {error}"),
        }
        while let Some(message) = self.next().await {
            message.unwrap_or_else(|error| panic!("expected an orderly close, got {error}"));
        }
    }
}
