//! When does a client see what the control plane has said?

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::backend::head_end;

/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_micros(500);
/// How long one answer may take; then the connection is given up.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// Answers every request on a listener's connections with `body`, and with the hash that a probe was routed by.
pub(super) async fn answering(listener: TcpListener, body: &'static str) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(async move { _ = answer_all(stream, body).await });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer_all(mut stream: TcpStream, body: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::new();
    loop {
        while let Some(end) = head_end(&buffer) {
            let head = String::from_utf8_lossy(&buffer.split_to(end)).to_ascii_lowercase();
            let hash = head.lines().find_map(|line| line.strip_prefix(HASH));
            let hash = hash.map_or_else(String::new, |hash| format!("{HASH}{hash}\r\n"));
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\n{hash}content-length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await?;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

const HASH: &str = "k-network-hash: ";

/// Waits until a request for `host` is answered with 200 and a body that starts with `body`.
pub(super) async fn seen(
    address: SocketAddr,
    host: &str,
    body: &str,
    deadline: Duration,
) -> anyhow::Result<()> {
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let shown = |head: &str, got: &str| head.starts_with("HTTP/1.1 200") && got.starts_with(body);
    asked(address, &request, shown, deadline)
        .await
        .with_context(|| format!("{host} never answered '{body}'"))
}

/// Waits until a probe of Knative's for `host` is routed with this hash.
pub(super) async fn probed(
    address: SocketAddr,
    host: &str,
    hash: &str,
    deadline: Duration,
) -> anyhow::Result<()> {
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nk-network-hash: override\r\n\r\n");
    asked(address, &request, |head, _| head.contains(hash), deadline)
        .await
        .with_context(|| format!("{host} was never routed with {hash}"))
}

/// Asks without an end, whatever comes, on one connection as long as it stands.
pub(super) async fn ask_on_and_on(address: SocketAddr, host: &str) {
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            while let Ok(Ok(_answer)) = timeout(ANSWER_DEADLINE, ask(&mut stream, &request)).await {}
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Asks over and over, on one connection as long as it stands, until an answer is as it should be.
async fn asked(
    address: SocketAddr,
    request: &str,
    shown: impl Fn(&str, &str) -> bool,
    deadline: Duration,
) -> anyhow::Result<()> {
    let asking = async {
        loop {
            if let Ok(mut stream) = TcpStream::connect(address).await {
                while let Ok(Ok((head, body))) = timeout(ANSWER_DEADLINE, ask(&mut stream, request)).await {
                    if shown(&head, &body) {
                        return;
                    }
                    sleep(LOOK_AGAIN).await;
                }
            }
            sleep(LOOK_AGAIN).await;
        }
    };
    Ok(timeout(deadline, asking).await?)
}

async fn ask(stream: &mut TcpStream, request: &str) -> io::Result<(String, String)> {
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = BytesMut::new();
    let end = loop {
        if let Some(end) = head_end(&buffer) {
            break end;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&buffer.split_to(end)).into_owned();
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    while buffer.len() < length.unwrap_or(0) {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((head, String::from_utf8_lossy(&buffer).into_owned()))
}
