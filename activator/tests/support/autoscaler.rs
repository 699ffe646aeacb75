//! How does a test stand in for the autoscaler?

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use http::Uri;
use prost::Message as _;
use tidegate_knative::stat::WireStatMessages;
use tidegate_testkit::wait::eventually;
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};
use tokio_tungstenite::tungstenite::Message;

/// Takes reports over a WebSocket. Dropping it closes everything.
pub(crate) struct Autoscaler {
    url: Uri,
    seen: Arc<Seen>,
    _serving: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    frames: Mutex<Vec<WireStatMessages>>,
    connections: Mutex<usize>,
    close: Notify,
}

impl Autoscaler {
    pub(crate) async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn on(listener: TcpListener) -> Self {
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let seen = Arc::new(Seen::default());
        let serving = [serve(listener, Arc::clone(&seen))].into_iter().collect();
        Self {
            url: url.parse().unwrap(),
            seen,
            _serving: serving,
        }
    }

    pub(crate) fn url(&self) -> Uri {
        self.url.clone()
    }

    /// Closes the connection as an autoscaler does that ends.
    pub(crate) fn restart(&self) {
        self.seen.close.notify_one();
    }

    pub(crate) fn connections(&self) -> usize {
        *self.seen.connections.lock().unwrap()
    }

    /// All frames so far.
    pub(crate) fn frames(&self) -> Vec<WireStatMessages> {
        self.seen.frames.lock().unwrap().clone()
    }

    /// Waits for a frame that `pick` takes.
    pub(crate) async fn frame(
        &self,
        what: &str,
        pick: impl Fn(&WireStatMessages) -> bool,
    ) -> WireStatMessages {
        eventually(what, async || {
            let frames = self.frames();
            let found = frames.iter().find(|frame| pick(frame)).cloned();
            found.ok_or_else(|| format!("{frames:?}"))
        })
        .await
    }
}

async fn serve(listener: TcpListener, seen: Arc<Seen>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = tokio_tungstenite::accept_async(stream).await else {
            continue;
        };
        *seen.connections.lock().unwrap() += 1;
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    Some(Ok(Message::Binary(bytes))) => {
                        let frame = WireStatMessages::decode(bytes).unwrap();
                        seen.frames.lock().unwrap().push(frame);
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => break,
                },
                () = seen.close.notified() => {
                    _ = stream.send(Message::Close(None)).await;
                    break;
                }
            }
        }
    }
}
