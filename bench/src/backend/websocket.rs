//! What does the backend do with a WebSocket: it takes the upgrade and says every message back (RFC 6455)?

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The key of every upgrade, which is RFC 6455's own example (§1.3), so that its answer is known.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// What every message says.
pub const MESSAGE: [u8; LENGTH] = *b"Hello, World, 32 bytes in all...";

const LENGTH: usize = 32;
/// A whole message in one frame of binary data (§5.2).
const BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;
const ASK_HEAD: usize = 6;
const TELL_HEAD: usize = 2;

/// The frame that a client sends: masked, with a mask that changes nothing.
#[must_use]
pub const fn ask() -> [u8; ASK_HEAD + LENGTH] {
    let mut frame = [0; ASK_HEAD + LENGTH];
    frame[0] = BINARY;
    frame[1] = MASKED | LENGTH as u8;
    let mut at = 0;
    while at < LENGTH {
        frame[ASK_HEAD + at] = MESSAGE[at];
        at += 1;
    }
    frame
}

/// The frame that the backend answers with.
#[must_use]
pub const fn tell() -> [u8; TELL_HEAD + LENGTH] {
    let mut frame = [0; TELL_HEAD + LENGTH];
    frame[0] = BINARY;
    frame[1] = LENGTH as u8;
    let mut at = 0;
    while at < LENGTH {
        frame[TELL_HEAD + at] = MESSAGE[at];
        at += 1;
    }
    frame
}

/// Answers the upgrade, then one message after the other, until the client ends it.
pub(super) async fn serve(stream: &mut TcpStream) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut frame = [0; ASK_HEAD + LENGTH];
    loop {
        match stream.read_exact(&mut frame).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        };
        if frame != ask() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "another message"));
        }
        stream.write_all(&tell()).await?;
    }
}
