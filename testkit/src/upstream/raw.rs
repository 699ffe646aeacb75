//! How does a test misbehave as a server? A script per connection over the bare bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use super::bind;
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
        let accepted = Arc::clone(&connections);
        let mut acceptor = JoinSet::new();
        acceptor.spawn(async move {
            let mut scripts = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        let number = accepted.fetch_add(1, Ordering::SeqCst) + 1;
                        scripts.spawn(script(RawConnection { number, wire: Wire::new(stream) }));
                    }
                    Some(Err(failed)) = scripts.join_next() => panic!("a script failed: {failed}"),
                }
            }
        });
        Self {
            address,
            connections,
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

    /// Ends the server, and fails if one of its scripts did.
    ///
    /// # Panics
    /// With the script's failure.
    pub fn finish(mut self) {
        if let Some(Err(failed)) = self.acceptor.try_join_next() {
            panic!("{failed}");
        }
    }
}
