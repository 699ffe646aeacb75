//! WebSocket messages back and forth (RFC 6455), one after the other on each connection.

use std::io;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::class::Shape;
use super::dial::{Dial, Wire};
use super::h1::invalid;
use super::{Counted, host};
use crate::backend::head_end;
use crate::backend::websocket::{KEY, MESSAGE, ask, tell};

/// Starts the connections of a closed loop.
pub(super) async fn start(
    senders: &mut JoinSet<io::Result<()>>,
    dial: &Dial,
    shape: &Shape,
    counted: &Counted,
) -> io::Result<()> {
    for _ in 0..shape.connections {
        let mut wire = open(dial).await?;
        let counted = counted.clone();
        senders.spawn(async move {
            loop {
                let started = Instant::now();
                if counted.is_over(started) {
                    return Ok(());
                }
                exchange(&mut wire).await?;
                counted.answered(started, Instant::now());
            }
        });
    }
    Ok(())
}

async fn open(dial: &Dial) -> io::Result<Box<dyn Wire>> {
    let mut wire = dial.open().await?;
    let head = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\r\n",
        host()
    );
    wire.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    while head_end(&answer).is_none() {
        answer.push(wire.read_u8().await?);
    }
    if answer.starts_with(b"HTTP/1.1 101 ") {
        Ok(wire)
    } else {
        Err(invalid("an upgrade that was not answered 101"))
    }
}

async fn exchange(wire: &mut Box<dyn Wire>) -> io::Result<()> {
    wire.write_all(&ask()).await?;
    let mut answer = [0; tell().len()];
    wire.read_exact(&mut answer).await?;
    if answer.ends_with(&MESSAGE) {
        Ok(())
    } else {
        Err(invalid("a message that is not the one that was sent"))
    }
}
