//! How is a connection to the autoscaler made?

use http::Uri;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, protocol::WebSocketConfig},
};

use crate::limits::{LINK_HANDSHAKE_TIMEOUT, LINK_MESSAGE_BYTES_MAX};

pub(super) type Stream = TcpStream;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the address has no host")]
    NoHost,
    #[error("connect: {0}")]
    Connect(#[from] std::io::Error),
    #[error("handshake: {0}")]
    Handshake(Box<tungstenite::Error>),
    #[error("it took longer than {}s", LINK_HANDSHAKE_TIMEOUT.as_secs())]
    TooLong,
}

/// Connects and shakes hands: no subprotocol, no Origin.
pub(super) async fn connect(url: &Uri) -> Result<WebSocketStream<Stream>, ConnectError> {
    timeout(LINK_HANDSHAKE_TIMEOUT, shake_hands(url))
        .await
        .unwrap_or(Err(ConnectError::TooLong))
}

async fn shake_hands(url: &Uri) -> Result<WebSocketStream<Stream>, ConnectError> {
    let host = url.host().ok_or(ConnectError::NoHost)?;
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), url.port_u16().unwrap_or(80))).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(LINK_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(LINK_MESSAGE_BYTES_MAX));
    let shaken = client_async_with_config(url, stream, Some(config)).await;
    let (stream, _response) = shaken.map_err(|error| ConnectError::Handshake(Box::new(error)))?;
    Ok(stream)
}
