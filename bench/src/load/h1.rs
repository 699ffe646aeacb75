//! HTTP/1.1 requests, one after the other on each connection, or each on a connection of its own.

use std::io;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::class::{Shape, Traffic};
use super::dial::{Dial, Wire};
use super::{Counted, host};
use crate::backend::head_end;

const BUFFER_BYTES: usize = 128 * 1024;

/// Starts the connections of a closed loop.
pub(super) async fn start(
    senders: &mut JoinSet<io::Result<()>>,
    dial: &Dial,
    shape: &Shape,
    counted: &Counted,
) -> io::Result<()> {
    for _ in 0..shape.connections {
        let mut connection = Connection::open(dial, shape.traffic).await?;
        let (counted, anew) = (counted.clone(), shape.traffic == Traffic::Connections);
        senders.spawn(async move {
            loop {
                let started = Instant::now();
                if counted.is_over(started) {
                    return Ok(());
                }
                if anew {
                    connection.reopen().await?;
                }
                connection.exchange(&counted, started).await?;
            }
        });
    }
    Ok(())
}

/// A keep-alive connection that sends one request again and again.
pub(super) struct Connection {
    dial: Dial,
    wire: Box<dyn Wire>,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(dial: &Dial, traffic: Traffic) -> io::Result<Self> {
        Ok(Self {
            wire: dial.open().await?,
            dial: dial.clone(),
            request: request(traffic),
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    async fn reopen(&mut self) -> io::Result<()> {
        self.wire = self.dial.open().await?;
        Ok(())
    }

    /// One request and its answer; counted from `started`. A connection that failed is opened again.
    pub(super) async fn exchange(&mut self, counted: &Counted, started: Instant) -> io::Result<()> {
        match self.send_and_read().await {
            Ok(()) => counted.answered(started, Instant::now()),
            Err(_) => {
                counted.failed();
                self.reopen().await?;
            }
        }
        Ok(())
    }

    async fn send_and_read(&mut self) -> io::Result<()> {
        self.wire.write_all(&self.request).await?;
        self.wire.flush().await?;
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
        match self.wire.read(room).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

fn request(traffic: Traffic) -> Vec<u8> {
    let (method, path, body) = match traffic {
        Traffic::Get(path) => ("GET", path, 0),
        Traffic::Post(bytes) => ("POST", "/", bytes),
        _ => ("GET", "/", 0),
    };
    let length = match body {
        0 => String::new(),
        bytes => format!("Content-Length: {bytes}\r\n"),
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: tidegate-bench\r\nAccept: */*\r\n{length}\r\n",
        host()
    );
    [head.into_bytes(), vec![b'x'; body]].concat()
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

pub(super) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
