//! How does a test stand in for the autoscaler? It takes reports over a WebSocket.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use prost::Message as _;
use tidegate_knative::stat::{WireStatMessage, WireStatMessages};
use tidegate_testkit::upstream::bind;
use tidegate_testkit::wait::eventually;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

/// Dropping it closes everything.
pub(crate) struct Autoscaler {
    pub(crate) address: SocketAddr,
    seen: Seen,
    _serving: JoinSet<()>,
}

type Seen = Arc<Mutex<Vec<WireStatMessage>>>;

impl Autoscaler {
    pub(crate) async fn start() -> Self {
        let listener = bind().await;
        let address = listener.local_addr().expect("it is bound");
        let seen = Seen::default();
        let serving = [serve(listener, Arc::clone(&seen))].into_iter().collect();
        Self {
            address,
            seen,
            _serving: serving,
        }
    }

    /// Waits for a report that is as `wanted` says.
    pub(crate) async fn report(
        &self,
        what: &str,
        wanted: impl Fn(&WireStatMessage) -> bool,
    ) -> WireStatMessage {
        eventually(what, async || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let found = seen.iter().find(|report| wanted(report)).cloned();
            found.ok_or_else(|| format!("{seen:?}"))
        })
        .await
    }
}

async fn serve(listener: TcpListener, seen: Seen) {
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(mut stream) = accept_async(stream).await else {
            continue;
        };
        while let Some(Ok(message)) = stream.next().await {
            if let Message::Binary(bytes) = message {
                let batch = WireStatMessages::decode(bytes).expect("a batch of reports");
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.extend(batch.messages);
            }
        }
    }
}
