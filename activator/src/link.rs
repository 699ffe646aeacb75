//! How does the autoscaler hear of load? Over a WebSocket that is made anew whenever it breaks.
//!
//! A batch that cannot be sent now is dropped: the next period says more than a late one.

mod backoff;
mod connect;
mod keep_alive;

use std::{fmt, sync::Arc, time::Instant};

use futures_util::{SinkExt, StreamExt};
use http::Uri;
use prost::Message as _;
use tidegate_knative::stat::{Stat, WireStatMessage, WireStatMessages};
use tidegate_proxy::{drain::Watch, process};
use tokio::sync::mpsc;
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use crate::{
    health::Health,
    limits::{LINK_BATCHES_MAX, LINK_PING_INTERVAL, LINK_SEND_TIMEOUT, LINK_SETTLED},
    link::{backoff::Backoff, keep_alive::KeepAlive},
    reporter::StatSink,
    throttle::Revision,
};

/// Sends reports to the autoscaler. Clones share the connection.
#[derive(Clone)]
pub struct Link {
    batches: mpsc::Sender<WireStatMessages>,
    health: Health,
}

impl Link {
    /// Connects to `url` and keeps connected until the drain is over; `health` knows whether it is.
    #[must_use]
    pub fn start(url: Uri, health: Health, watch: &Watch) -> Self {
        Self::telling(url, health, watch, |_| {})
    }

    /// The same; `tell` hears too whether it is connected, each time that changes.
    #[must_use]
    pub fn telling(
        url: Uri,
        health: Health,
        watch: &Watch,
        tell: impl Fn(bool) + Send + Sync + 'static,
    ) -> Self {
        let (batches, inbox) = mpsc::channel(LINK_BATCHES_MAX);
        let link = Self {
            batches,
            health: health.clone(),
        };
        let forced = watch.forced();
        process::spawn("stats link", watch.unguarded(), async move {
            tokio::select! {
                () = forced => {}
                () = keep(&url, &health, inbox, tell) => {}
            }
        });
        link
    }

    /// Sends a batch, as one message. Drops it when there is no connection, or too much waits already.
    pub fn send(&self, batch: WireStatMessages) {
        if !self.health.is_connected() || self.batches.try_send(batch).is_err() {
            tracing::debug!("a report was dropped: the autoscaler is not connected");
        }
    }
}

impl StatSink for Link {
    fn stat(&self, revision: &Arc<Revision>, stat: Stat) {
        self.batch(vec![(Arc::clone(revision), stat)]);
    }

    fn batch(&self, stats: Vec<(Arc<Revision>, Stat)>) {
        let message = |(revision, stat): (Arc<Revision>, Stat)| WireStatMessage {
            namespace: revision.settings().namespace.clone(),
            name: revision.settings().name.clone(),
            stat: Some(stat),
        };
        self.send(WireStatMessages {
            messages: stats.into_iter().map(message).collect(),
        });
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("is_connected", &self.health.is_connected())
            .finish_non_exhaustive()
    }
}

/// Connects, again and again.
async fn keep(url: &Uri, health: &Health, mut inbox: mpsc::Receiver<WireStatMessages>, tell: impl Fn(bool)) {
    let mut backoff = Backoff::new();
    loop {
        match connect::connect(url).await {
            Ok(stream) => {
                let since = Instant::now();
                // What waited for the connection before is too old now.
                while inbox.try_recv().is_ok() {}
                health.set_connected(true);
                tell(true);
                tracing::info!(%url, "connected to the autoscaler");
                let why = carry(stream, &mut inbox).await;
                health.set_connected(false);
                tell(false);
                tracing::warn!(%url, why, "the connection to the autoscaler ended");
                if inbox.is_closed() {
                    return;
                }
                if since.elapsed() >= LINK_SETTLED {
                    backoff = Backoff::new();
                } else {
                    // Somebody who hangs up at once is not called again at once.
                    tokio::time::sleep(backoff.next()).await;
                }
            }
            Err(error) => {
                tracing::warn!(%url, %error, "the autoscaler cannot be reached");
                tokio::time::sleep(backoff.next()).await;
            }
        }
    }
}

/// Sends what comes until the connection ends; says why it did.
async fn carry(
    mut stream: WebSocketStream<connect::Stream>,
    inbox: &mut mpsc::Receiver<WireStatMessages>,
) -> &'static str {
    let mut alive = KeepAlive::new(Instant::now());
    let mut pings = tokio::time::interval(LINK_PING_INTERVAL);
    loop {
        let message = tokio::select! {
            batch = inbox.recv() => match batch {
                Some(batch) => Message::Binary(batch.encode_to_vec().into()),
                None => return "nobody reports any more",
            },
            now = pings.tick() => {
                if alive.is_over(now.into_std()) {
                    return "it does not answer pings";
                }
                Message::Ping(Vec::new().into())
            }
            read = stream.next() => match read {
                Some(Ok(Message::Pong(_))) => {
                    alive.answered(Instant::now());
                    continue;
                }
                Some(Ok(Message::Close(_))) => return "it was closed",
                // A ping is answered by the codec; nothing else is meant for us.
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return "it broke",
            },
        };
        match tokio::time::timeout(LINK_SEND_TIMEOUT, stream.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return "it broke while sending",
            Err(_elapsed) => return "it takes nothing",
        }
    }
}

/// Where Knative's autoscaler listens.
///
/// # Errors
/// When the names make no address.
pub fn autoscaler(system_namespace: &str, cluster_domain: &str) -> Result<Uri, http::uri::InvalidUri> {
    format!("ws://autoscaler.{system_namespace}.svc.{cluster_domain}:8080/").parse()
}
