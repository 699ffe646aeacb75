//! What answers behind the proxies: an HTTP/1.1 server that does next to nothing, so that the proxy is what is seen.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub mod echo;
pub mod websocket;

/// The path whose answer has a body of 1 KiB.
pub const KIB_PATH: &str = "/kib";
/// The path whose answer has a body of [`LARGE_BYTES`]; every other path gets [`SMALL_BODY`].
pub const LARGE_PATH: &str = "/large";
/// The size of the large body.
pub const LARGE_BYTES: usize = 100 * 1024;
/// The small body.
pub const SMALL_BODY: &str = "Hello World!\n";

/// What an activator asks a pod with, and what it wants to hear (Knative: `pkg/http/header`, `pkg/queue`).
const NETWORK_PROBE: &str = "k-network-probe";
const PROBED: &str = "queue";
const READ_BYTES: usize = 16 * 1024;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Answers every request on `listener`'s connections, until it is dropped.
///
/// # Errors
/// When accepting fails.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        connections.spawn(async move { connection(stream).await });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (small, kib) = (answer(SMALL_BODY.as_bytes()), answer(&[b'x'; 1024]));
    let probed = answer(PROBED.as_bytes());
    let large = answer(&[b'x'; LARGE_BYTES]);
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    loop {
        while let Some(end) = head_end(&buffer) {
            let head = buffer.split_to(end);
            if field(&head, "upgrade").is_some() {
                return websocket::serve(&mut stream).await;
            }
            let length = field(&head, "content-length").and_then(|length| length.parse().ok());
            skip(&mut stream, &mut buffer, length.unwrap_or_default()).await?;
            let answer = match target(&head) {
                path if path == LARGE_PATH.as_bytes() => &large,
                path if path == KIB_PATH.as_bytes() => &kib,
                _ if field(&head, NETWORK_PROBE).is_some() => &probed,
                _ => &small,
            };
            stream.write_all(answer).await?;
        }
        buffer.reserve(READ_BYTES);
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// Reads a request's body and forgets it.
async fn skip(stream: &mut TcpStream, buffer: &mut BytesMut, mut left: usize) -> io::Result<()> {
    loop {
        let here = buffer.len().min(left);
        buffer.advance(here);
        left -= here;
        if left == 0 {
            return Ok(());
        }
        buffer.reserve(READ_BYTES);
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The value of a field in a head.
fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let fields = head.split(|byte| *byte == b'\n').skip(1);
    let mut fields = fields.filter_map(|line| str::from_utf8(line).ok()?.split_once(':'));
    let found = fields.find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

/// Where the first complete head in `bytes` ends.
#[must_use]
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    let start = bytes
        .windows(HEAD_END.len())
        .position(|window| window == HEAD_END)?;
    Some(start + HEAD_END.len())
}

fn target(head: &[u8]) -> &[u8] {
    head.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
}

/// A 200 with this body, as the wire has it.
#[must_use]
pub fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_behind_its_empty_line() {
        let check = |bytes: &str, expected| assert_eq!(head_end(bytes.as_bytes()), expected, "{bytes:?}");
        check("GET / HTTP/1.1\r\nhost: a\r\n\r\nrest", Some(27));
        check("GET / HTTP/1.1\r\nhost: a\r\n", None);
        check("", None);
    }

    #[test]
    fn a_field_is_found_by_its_name_in_any_case() {
        let head = b"POST / HTTP/1.1\r\nhost: a:80\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(field(head, "content-length"), Some("12"));
        assert_eq!(field(head, "host"), Some("a:80"));
        assert_eq!(field(head, "upgrade"), None);
    }

    #[test]
    fn the_target_is_the_second_word() {
        assert_eq!(target(b"GET /large HTTP/1.1\r\n"), b"/large");
        assert_eq!(target(b"GET"), b"");
    }
}
