//! Which protocol a client speaks on a plain connection, from its first bytes.

use std::io;

use tokio::io::{AsyncReadExt, ReadBuf};

use super::socket::Socket;

/// What a connection turned out to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// The client connection preface (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The bytes that detection had to read, to be read again by the protocol.
#[derive(Debug, Default)]
pub(crate) struct Prefix {
    bytes: [u8; PREFACE.len()],
    len: usize,
    replayed: usize,
}

impl Prefix {
    /// Puts what is left of the prefix into `buffer`; false when nothing is.
    pub(crate) fn replay(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let left = self.bytes.get(self.replayed..self.len).unwrap_or_default();
        let fits = left.len().min(buffer.remaining());
        if fits == 0 {
            return false;
        }
        buffer.put_slice(left.get(..fits).unwrap_or_default());
        self.replayed += fits;
        true
    }
}

/// Reads until the protocol is certain: usually one read. `None` when the client left without a byte.
pub(crate) async fn protocol(socket: &mut Socket) -> io::Result<Option<Protocol>> {
    let mut prefix = Prefix::default();
    let protocol = loop {
        let Some(room) = prefix.bytes.get_mut(prefix.len..).filter(|room| !room.is_empty()) else {
            break Protocol::Http2;
        };
        let read = socket.read(room).await?;
        prefix.len += read;
        let so_far = prefix.bytes.get(..prefix.len).unwrap_or_default();
        if prefix.len == 0 {
            return Ok(None);
        }
        if read == 0 || !PREFACE.starts_with(so_far) {
            break Protocol::Http1;
        }
    };
    socket.prefix = prefix;
    Ok(Some(protocol))
}
