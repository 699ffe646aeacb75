//! How does a test misbehave as a server? A script per connection over the bare bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::bind;
use crate::wait::soon;
use crate::wire::Wire;

/// A connection as a [`RawUpstream`]'s script gets it.
#[derive(Debug)]
pub struct RawConnection {
    /// Which one it is: 1 for the first that was accepted.
    pub number: usize,
    /// Its bytes.
    pub wire: Wire,
}

/// A server that runs one script per connection. Dropping it closes the port and every connection.
#[derive(Debug)]
pub struct RawUpstream {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    finish: Arc<Notify>,
    acceptor: JoinSet<()>,
}

impl RawUpstream {
    /// Runs `script` on every connection; the connection closes when the script ends (drops it). A script that panics
    /// fails the test at [`RawUpstream::finish`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use tidegate_testkit::upstream::{RawConnection, RawUpstream};
    /// use tidegate_testkit::wire::Wire;
    ///
    /// let upstream = RawUpstream::start(async |mut connection: RawConnection| {
    ///     let head = connection.wire.head().await;
    ///     assert_eq!(head.start_line(), "GET / HTTP/1.1");
    ///     connection.wire.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    /// })
    /// .await;
    /// let mut client = Wire::connect(upstream.address()).await;
    /// client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    /// assert_eq!(client.head().await.status(), 200);
    /// assert_eq!(client.rest().await, b"half");
    /// # }
    /// ```
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start<S, F>(script: S) -> Self
    where
        S: Fn(RawConnection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = bind().await;
        let address = listener.local_addr().expect("a bound listener has an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let finish = Arc::new(Notify::new());
        let mut acceptor = JoinSet::new();
        acceptor.spawn(accept(
            listener,
            script,
            Arc::clone(&connections),
            Arc::clone(&finish),
        ));
        Self {
            address,
            connections,
            finish,
            acceptor,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Takes no more connections, waits for the scripts that run, and fails if one of them did.
    ///
    /// # Panics
    /// When a script failed, or does not end.
    pub async fn finish(mut self) {
        self.finish.notify_one();
        if let Some(Err(failed)) = soon("the end of the scripts", self.acceptor.join_next()).await {
            panic!("{failed}");
        }
    }
}

async fn accept<S, F>(listener: TcpListener, script: S, connections: Arc<AtomicUsize>, finish: Arc<Notify>)
where
    S: Fn(RawConnection) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut scripts = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let number = connections.fetch_add(1, Ordering::SeqCst) + 1;
                scripts.spawn(script(RawConnection { number, wire: Wire::new(stream) }));
            }
            Some(Err(failed)) = scripts.join_next() => panic!("a script failed: {failed}"),
            () = finish.notified() => break,
        }
    }
    while let Some(ended) = scripts.join_next().await {
        ended.unwrap_or_else(|failed| panic!("a script failed: {failed}"));
    }
}
