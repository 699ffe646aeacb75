//! What do parked requests go to? Backends that note when the first bytes of each request arrive.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Instant;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::backend::{SMALL_BODY, answer, head_end};

/// How many arrivals may be unread.
const ARRIVALS_MAX: usize = 100_000;
const READ_BYTES: usize = 2_048;

/// Replicas, all served by one thread.
#[derive(Debug)]
pub(super) struct Replicas {
    start: mpsc::Sender<std::net::TcpListener>,
    arrivals: mpsc::Receiver<Instant>,
}

impl Replicas {
    /// The thread, without a replica.
    pub(super) fn start() -> anyhow::Result<Self> {
        let (start, started) = mpsc::channel(1);
        let (arrived, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new()
            .name("replicas".into())
            .spawn(move || runtime.block_on(serve(started, arrived)))?;
        Ok(Self { start, arrivals })
    }

    /// One more replica, which listens when this returns.
    pub(super) fn add(&self) -> anyhow::Result<SocketAddr> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        self.start
            .try_send(listener)
            .context("the replicas' thread has ended")?;
        Ok(address)
    }

    /// When the next `count` requests arrived.
    pub(super) async fn arrivals(&mut self, count: usize) -> anyhow::Result<Vec<Instant>> {
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            all.push(
                self.arrivals
                    .recv()
                    .await
                    .context("the replicas' thread has ended")?,
            );
        }
        Ok(all)
    }
}

async fn serve(
    mut started: mpsc::Receiver<std::net::TcpListener>,
    arrived: mpsc::Sender<Instant>,
) -> std::io::Result<()> {
    let mut replicas = JoinSet::new();
    while let Some(listener) = started.recv().await {
        let (listener, arrived) = (TcpListener::from_std(listener)?, arrived.clone());
        replicas.spawn(async move { replica(listener, &arrived).await });
    }
    Ok(())
}

async fn replica(listener: TcpListener, arrived: &mpsc::Sender<Instant>) -> std::io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let arrived = arrived.clone();
        connections.spawn(async move { connection(stream, &arrived).await });
    }
}

async fn connection(mut stream: TcpStream, arrived: &mpsc::Sender<Instant>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let answer = answer(SMALL_BODY.as_bytes());
    let mut request = Vec::with_capacity(READ_BYTES);
    while stream.read_buf(&mut request).await? > 0 {
        let first = Instant::now();
        while head_end(&request).is_none() {
            anyhow::ensure!(stream.read_buf(&mut request).await? > 0, "half a request");
        }
        arrived.try_send(first)?;
        request.clear();
        stream.write_all(&answer).await?;
    }
    Ok(())
}
