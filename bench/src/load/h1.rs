//! HTTP/1.1 requests, one after the other on each connection.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Counted, Shape, host};
use crate::backend::head_end;

const BUFFER_BYTES: usize = 128 * 1024;

/// Starts the connections of a closed loop.
pub(super) async fn start(
    senders: &mut JoinSet<io::Result<()>>,
    target: SocketAddr,
    shape: &Shape,
    counted: &Counted,
) -> io::Result<()> {
    for _ in 0..shape.connections {
        let connection = Connection::open(target, shape.path).await?;
        let counted = counted.clone();
        senders.spawn(async move { repeat(connection, &counted).await });
    }
    Ok(())
}

async fn repeat(mut connection: Connection, counted: &Counted) -> io::Result<()> {
    loop {
        let started = Instant::now();
        if counted.is_over(started) {
            return Ok(());
        }
        connection.exchange(counted, started).await?;
    }
}

/// A keep-alive connection that sends one request again and again.
pub(super) struct Connection {
    target: SocketAddr,
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(target: SocketAddr, path: &str) -> io::Result<Self> {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: tidegate-bench\r\nAccept: */*\r\n\r\n",
            host()
        );
        Ok(Self {
            target,
            stream: connect(target).await?,
            request: head.into_bytes(),
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// One request and its answer; counted from `started`. A connection that failed is opened again.
    pub(super) async fn exchange(&mut self, counted: &Counted, started: Instant) -> io::Result<()> {
        match self.send_and_read().await {
            Ok(()) => counted.answered(started, Instant::now()),
            Err(_) => {
                counted.failed();
                self.stream = connect(self.target).await?;
            }
        }
        Ok(())
    }

    async fn send_and_read(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.request).await?;
        let mut filled = 0;
        let (head, length) = loop {
            filled += self.read(filled).await?;
            let so_far = self.buffer.get(..filled).unwrap_or_default();
            if let Some(end) = head_end(so_far) {
                break (end, body_length(so_far.get(..end).unwrap_or_default())?);
            }
        };
        let mut left = (head + length).saturating_sub(filled);
        while left > 0 {
            left = left.saturating_sub(self.read(0).await?);
        }
        Ok(())
    }

    async fn read(&mut self, at: usize) -> io::Result<usize> {
        let room = self.buffer.get_mut(at..).filter(|room| !room.is_empty());
        let room = room.ok_or_else(|| invalid("the head of an answer is too long"))?;
        match self.stream.read(room).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

async fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The `Content-Length` of a 200; anything else is a failed request.
fn body_length(head: &[u8]) -> io::Result<usize> {
    let head = str::from_utf8(head).map_err(|_| invalid("an answer's head is not text"))?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(invalid("an answer other than 200"));
    }
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|(_, value)| value.trim().parse().ok());
    length.ok_or_else(|| invalid("an answer without Content-Length"))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
