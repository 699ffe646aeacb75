//! How does a test stand in for the autoscaler?

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::Uri;
use prost::Message as _;
use tidegate_knative::stat::WireStatMessages;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use crate::upstream;
use crate::wait::eventually;

/// Takes reports over a WebSocket. Dropping it closes everything.
#[derive(Debug)]
pub struct Autoscaler {
    url: Uri,
    seen: Arc<Seen>,
    _serving: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Seen {
    frames: Mutex<Vec<Bytes>>,
    connections: Mutex<usize>,
    close: Notify,
}

impl Autoscaler {
    /// On a port of its own.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        Self::on(upstream::bind().await)
    }

    /// On a listener that is bound already.
    ///
    /// # Panics
    /// When the listener has no address.
    #[must_use]
    pub fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("a bound listener has an address");
        let url = format!("ws://{address}/").parse().expect("an address fits a URL");
        let seen = Arc::new(Seen::default());
        let serving = [serve(listener, Arc::clone(&seen))].into_iter().collect();
        Self {
            url,
            seen,
            _serving: serving,
        }
    }

    /// Where it takes reports.
    #[must_use]
    pub fn url(&self) -> Uri {
        self.url.clone()
    }

    /// Closes the connection as an autoscaler does that ends.
    pub fn restart(&self) {
        self.seen.close.notify_one();
    }

    /// How many connections came so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        *lock(&self.seen.connections)
    }

    /// All frames so far, as they came.
    #[must_use]
    pub fn bytes(&self) -> Vec<Bytes> {
        lock(&self.seen.frames).clone()
    }

    /// All frames so far.
    ///
    /// # Panics
    /// When one cannot be read.
    #[must_use]
    pub fn frames(&self) -> Vec<WireStatMessages> {
        let frames = self.bytes().into_iter().map(WireStatMessages::decode);
        frames.map(|frame| frame.expect("a frame of stats")).collect()
    }

    /// Waits for a frame that `pick` takes.
    ///
    /// # Panics
    /// At the deadline, with all frames.
    pub async fn frame(&self, what: &str, pick: impl Fn(&WireStatMessages) -> bool) -> WireStatMessages {
        eventually(what, async || {
            let frames = self.frames();
            let found = frames.iter().find(|frame| pick(frame)).cloned();
            found.ok_or_else(|| format!("{frames:?}"))
        })
        .await
    }
}

/// Takes any number of connections at once, as there may be several activators.
async fn serve(listener: TcpListener, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a listener accepts");
        let seen = Arc::clone(&seen);
        connections.spawn(async move {
            let Ok(mut stream) = tokio_tungstenite::accept_async(stream).await else {
                return;
            };
            *lock(&seen.connections) += 1;
            loop {
                tokio::select! {
                    message = stream.next() => match message {
                        Some(Ok(Message::Binary(bytes))) => lock(&seen.frames).push(bytes),
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => break,
                    },
                    () = seen.close.notified() => {
                        // Whoever has gone already needs no goodbye.
                        _ = stream.send(Message::Close(None)).await;
                        break;
                    }
                }
            }
        });
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
