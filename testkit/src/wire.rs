//! What exactly went over the socket? One byte-exact HTTP/1 connection, used from either end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub use self::message::{Head, Message};
use crate::wait::soon;

mod message;

/// How much one read takes from the socket at most.
const READ_BYTES: usize = 16 * 1024;

/// A connection that sends exactly the given bytes and keeps what it received until a test takes it: TCP, or whatever
/// [`Wire::over`] is given, such as TLS.
#[derive(Debug)]
pub struct Wire<S = TcpStream> {
    stream: S,
    unread: Vec<u8>,
    ended: bool,
}

impl Wire<TcpStream> {
    /// Connects to a server.
    ///
    /// # Panics
    /// When nobody listens at `address`.
    pub async fn connect(address: SocketAddr) -> Self {
        let connected = soon("a connection", TcpStream::connect(address)).await;
        Self::new(connected.unwrap_or_else(|error| panic!("connect to {address}: {error}")))
    }

    /// Wraps a socket that stands already, such as an accepted one.
    ///
    /// # Panics
    /// When the socket refuses `TCP_NODELAY`.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        stream
            .set_nodelay(true)
            .expect("a fresh socket takes TCP_NODELAY");
        Self::over(stream)
    }

    /// This end's address.
    ///
    /// # Panics
    /// When the socket has none.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.stream
            .local_addr()
            .expect("a connected socket has an address")
    }

    /// Drops the connection with a reset.
    ///
    /// # Panics
    /// When the socket refuses.
    pub fn reset(self) {
        self.stream
            .set_zero_linger()
            .expect("a TCP socket can linger zero seconds");
    }

    /// The socket itself, for what this type does not do. What was received and not read is lost.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Wraps a stream of any kind.
    pub fn over(stream: S) -> Self {
        Self {
            stream,
            unread: Vec::new(),
            ended: false,
        }
    }

    /// Writes exactly these bytes.
    ///
    /// # Panics
    /// When the peer has closed the connection.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        if let Err(error) = self.try_send(bytes).await {
            panic!("send {} bytes: {error}; unread: {}", bytes.len(), self.shown());
        }
    }

    /// Writes exactly these bytes, or says why that failed.
    ///
    /// # Errors
    /// The socket's own.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        soon("the peer to read", self.stream.write_all(bytes.as_ref())).await
    }

    /// Reads one head, up to and with the empty line.
    ///
    /// # Panics
    /// When the connection ends before, or nothing comes until the deadline.
    pub async fn head(&mut self) -> Head {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at + 4;
            }
            self.more("a head").await;
        };
        Head::new(self.take(end))
    }

    /// Reads one message: its head, then the body as the head frames it (length, chunked with trailers, or up to the end).
    ///
    /// # Panics
    /// As [`Wire::head`], or when the framing is broken.
    pub async fn message(&mut self) -> Message {
        let head = self.head().await;
        let status = head.is_response().then(|| head.status());
        let chunked = head
            .header("transfer-encoding")
            .is_some_and(|value| value.ends_with("chunked"));
        let length = head.header("content-length");
        let (body, trailers) = match (status, length) {
            (Some(100..=199 | 204 | 304), _) => (Vec::new(), Vec::new()),
            _ if chunked => self.chunks().await,
            (_, Some(length)) => {
                let length = length.parse().expect("content-length is a number");
                (self.bytes(length).await, Vec::new())
            }
            (Some(_), None) => (self.rest().await, Vec::new()),
            (None, None) => (Vec::new(), Vec::new()),
        };
        Message { head, body, trailers }
    }

    /// Reads exactly `count` bytes.
    ///
    /// # Panics
    /// When the connection ends before, or they do not come until the deadline.
    pub async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            self.more("more of a body").await;
        }
        self.take(count)
    }

    /// Reads one line, without its line end.
    ///
    /// # Panics
    /// When the connection ends before, or it does not come until the deadline.
    pub async fn line(&mut self) -> String {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n") {
                break at;
            }
            self.more("a line").await;
        };
        let line = self.take(end + 2);
        String::from_utf8_lossy(&line[..end]).into_owned()
    }

    /// Reads everything up to the peer's orderly end. A reset counts as an end too: see [`Wire::reset_by_peer`].
    ///
    /// # Panics
    /// When the connection is still open at the deadline.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.fill("the end of the connection").await.unwrap_or(0) > 0 {}
        std::mem::take(&mut self.unread)
    }

    /// Asserts that the peer ends the connection and sends nothing more before.
    ///
    /// # Panics
    /// When something comes, or the connection stays open.
    pub async fn ends(&mut self) {
        let rest = self.rest().await;
        assert!(
            rest.is_empty(),
            "expected the end, got {}",
            String::from_utf8_lossy(&rest)
        );
    }

    /// Asserts that the peer resets the connection instead of ending it.
    ///
    /// # Panics
    /// When the connection ends in order, or stays open.
    pub async fn reset_by_peer(&mut self) {
        loop {
            match self.fill("a reset").await {
                Ok(0) => panic!("expected a reset, got an orderly end after {}", self.shown()),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }

    /// Asserts that nothing more comes for `quiet`, and that the connection stays open meanwhile.
    ///
    /// # Panics
    /// When something comes, or the connection ends.
    pub async fn stays_silent(&mut self, quiet: Duration) {
        assert!(self.unread.is_empty(), "expected silence, got {}", self.shown());
        let mut byte = [0; READ_BYTES];
        if let Ok(read) = tokio::time::timeout(quiet, self.stream.read(&mut byte)).await {
            let count = read.unwrap_or_else(|error| panic!("expected silence, got {error}"));
            panic!(
                "expected silence, got {count} bytes: {}",
                String::from_utf8_lossy(&byte[..count])
            );
        }
    }

    /// Ends this direction only (half-close); the other can still be read.
    ///
    /// # Panics
    /// When the connection is gone already.
    pub async fn half_close(&mut self) {
        self.stream.shutdown().await.expect("the connection stands");
    }

    async fn chunks(&mut self) -> (Vec<u8>, Vec<String>) {
        let mut body = Vec::new();
        loop {
            let line = self.line().await;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("chunk size `{line}`"));
            if size == 0 {
                break;
            }
            body.extend(self.bytes(size).await);
            assert_eq!(self.bytes(2).await, b"\r\n", "a chunk ends with a line end");
        }
        let mut trailers = Vec::new();
        loop {
            match self.line().await {
                line if line.is_empty() => return (body, trailers),
                line => trailers.push(line),
            }
        }
    }

    async fn more(&mut self, awaited: &str) {
        match self.fill(awaited).await {
            Ok(0) => panic!(
                "waiting for {awaited}: the connection ended after {}",
                self.shown()
            ),
            Ok(_) => {}
            Err(error) => panic!("waiting for {awaited}: {error} after {}", self.shown()),
        }
    }

    async fn fill(&mut self, awaited: &str) -> std::io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let what = format!("{awaited}, after {}", self.shown());
        self.unread.reserve(READ_BYTES);
        let read = soon(&what, self.stream.read_buf(&mut self.unread)).await;
        self.ended = matches!(read, Ok(0));
        read
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.unread.split_off(count);
        std::mem::replace(&mut self.unread, rest)
    }

    fn shown(&self) -> String {
        format!("{:?}", String::from_utf8_lossy(&self.unread))
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests;
