//! Who are the clients of the park bench? One process that holds all connections and does as it is told by its input.

use std::io::{self, Write};
use std::net::SocketAddr;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidegate_proxy::config::limits;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::backend::head_end;
use crate::fixture;

/// Room for a small answer.
const ANSWER_BYTES: usize = 512;
/// Descriptors beside those of the connections.
const SPARE_DESCRIPTORS: u64 = 100;

/// Follows the commands of its input, one a line, and answers each with a line: `connect N` opens N connections and
/// has one request answered on each; `send N` sends a request on the first N; `receive` reads their answers.
///
/// # Errors
/// When a connection fails or an answer is not 200.
pub async fn run(target: SocketAddr) -> anyhow::Result<()> {
    let mut connections: Vec<TcpStream> = Vec::new();
    let mut waiting = 0;
    // Nothing else happens here between two commands, so the wait for one may block.
    for command in io::stdin().lines() {
        let command = command?;
        let (verb, count) = command.split_once(' ').unwrap_or((&command, "0"));
        let count: usize = count
            .parse()
            .with_context(|| format!("no number in '{command}'"))?;
        let done = match verb {
            "connect" => {
                connections = connect(target, count).await?;
                "connected"
            }
            "send" => {
                for connection in connections.iter_mut().take(count) {
                    send(connection, "/").await?;
                }
                waiting = count;
                "sent"
            }
            "receive" => {
                for connection in connections.iter_mut().take(waiting) {
                    receive(connection).await?;
                }
                "received"
            }
            _ => anyhow::bail!("unknown command '{command}'"),
        };
        writeln!(io::stdout(), "{done}")?;
    }
    Ok(())
}

async fn connect(target: SocketAddr, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    allow_descriptors(count as u64 + SPARE_DESCRIPTORS)?;
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = TcpStream::connect(target).await?;
        connection.set_nodelay(true)?;
        send(&mut connection, fixture::DIRECT_PATH).await?;
        receive(&mut connection).await?;
        connections.push(connection);
    }
    Ok(connections)
}

/// Sends a request as a small client does.
pub(crate) async fn send(connection: &mut (impl AsyncWrite + Unpin), path: &str) -> io::Result<()> {
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: tidegate-bench\r\nAccept: */*\r\n\r\n",
        fixture::host(0)
    );
    connection.write_all(head.as_bytes()).await
}

/// Reads one answer with its body, which has to be a 200 and to say its length.
pub(crate) async fn receive(connection: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<()> {
    let mut answer = Vec::with_capacity(ANSWER_BYTES);
    while !is_whole(&answer) {
        anyhow::ensure!(
            connection.read_buf(&mut answer).await? > 0,
            "a connection was closed without an answer"
        );
    }
    let answer = String::from_utf8_lossy(&answer);
    anyhow::ensure!(answer.starts_with("HTTP/1.1 200 "), "an answer was '{answer}'");
    Ok(())
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = head_end(answer) else {
        return false;
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or_default();
    answer.len() >= end + length
}

/// Lets this process, and the proxies that it starts, open so many files and sockets beside those that a proxy keeps for
/// its upstreams.
///
/// # Errors
/// When the system does not permit it; the message says what to raise.
pub fn allow_descriptors(needed: u64) -> anyhow::Result<()> {
    let needed = needed + (limits::DESCRIPTORS_RESERVED + limits::DESCRIPTORS_UPSTREAM_MAX) as u64;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum.map(|maximum| maximum.max(needed)),
    };
    let advice = || format!("{needed} open files are needed: raise the hard limit (`ulimit -Hn {needed}`)");
    setrlimit(Resource::Nofile, raised).with_context(advice)
}
