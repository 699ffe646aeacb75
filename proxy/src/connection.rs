//! One downstream socket's life: which protocol it speaks, its requests, its end.

use std::future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::drain::{Guard, Watch};
use crate::error::Error;
use crate::listener::Accepted;
use crate::relay;
use crate::worker::Proxy;

pub(crate) mod alarm;
mod detect;
mod establish;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod interim;
mod pace;
mod patience;
mod peer;
mod socket;
mod stream;

use establish::{Established, Refusal};
pub(crate) use patience::Patience;
pub(crate) use peer::{Peer, Scheme, TlsFacts};
pub(crate) use socket::Socket;
pub(crate) use stream::{Presence, Stream};

/// Serves one accepted connection to its end. `guard` and what else is `held` are for that long.
pub(crate) fn serve<H: Send>(
    accepted: Accepted,
    proxy: Proxy,
    guard: Guard,
    held: H,
) -> impl Future<Output = ()> + Send {
    let (remote, shared) = (accepted.remote, Arc::clone(&accepted.shared));
    // Before the future, which would have room for all of what is accepted to its end.
    let (at_once, later) = if establish::is_immediate(&shared) {
        (Some(establish::at_once(accepted)), None)
    } else {
        (None, Some(Box::pin(first_bytes(accepted))))
    };
    let held = (proxy.worker().metrics.connection(), held);
    async move {
        let established = match later {
            Some(later) => tokio::select! {
                established = later => established,
                () = shared.watch().forced() => return tracing::debug!(?remote, "connection cut at the end of the drain"),
            },
            None => at_once,
        };
        let served = match established {
            Some(Ok(established)) => speak(*established, proxy, guard).await,
            Some(Err(refusal)) => Err(refusal),
            None => Ok(()),
        };
        if let Err(refusal) = served {
            tracing::debug!(?remote, %refusal, "connection ended before its first request");
            if let Some(reason) = refusal.reason() {
                shared.refused(reason);
            }
        }
        drop(held);
    }
}

/// Serves HTTP until the connection or the drain of its filter chain is over.
fn speak(
    established: Established,
    proxy: Proxy,
    guard: Guard,
) -> impl Future<Output = Result<(), Refusal>> + Send {
    let Established {
        socket,
        presence,
        peer,
        protocol,
    } = established;
    let place = peer.place();
    let proxy = proxy.for_peer(peer);
    async move {
        // Held to the end of this.
        let Ok(_place) = place else {
            return Err(Refusal::ChainFull);
        };
        let mut socket = socket;
        if let Some(relay) = proxy.peer().relay() {
            // Boxed, as the task of every HTTP/1.1 connection would have room for it.
            Box::pin(relay::serve(*socket, &presence, &proxy, &relay)).await;
            return Ok(());
        }
        let (peer, forced) = (proxy.peer(), proxy.peer().drain().map(Watch::forced));
        socket.may_stall(peer.http().timeouts.stall);
        let served = async {
            let protocol = match protocol {
                Some(agreed) => Some(agreed),
                None => {
                    let timeout = peer.http().timeouts.request_head;
                    let detected = tokio::time::timeout(timeout, detect::protocol(&mut socket));
                    tokio::select! {
                        biased;
                        detected = detected => detected.map_err(|_elapsed| Refusal::Timeout)??,
                        () = asked_to_end(peer.drain(), &presence) => return Ok(()),
                    }
                }
            };
            match protocol {
                Some(detect::Protocol::Http1) => {
                    let _open = peer.open(false);
                    h1::serve(*socket, &presence, &proxy).await;
                }
                Some(detect::Protocol::Http2) => {
                    // Boxed, as the task of every HTTP/1.1 connection would have room for it.
                    let _open = peer.open(true);
                    Box::pin(h2::serve(*socket, proxy.clone(), guard.clone())).await;
                }
                None => {}
            }
            Ok::<(), Refusal>(())
        };
        tokio::select! {
            result = served => result,
            () = reached(forced) => {
                let remote = peer.remote();
                tracing::debug!(?remote, "connection cut at the end of the drain");
                presence.part();
                Ok(())
            }
        }
    }
}

async fn reached(phase: Option<impl Future<Output = ()>>) {
    match phase {
        Some(phase) => phase.await,
        None => future::pending().await,
    }
}

/// What comes before HTTP; none when the drain begins before anything has come.
async fn first_bytes(accepted: Accepted) -> Option<Result<Box<Established>, Refusal>> {
    let (presence, watch) = (accepted.stream.presence(), accepted.shared.watch().clone());
    // One for all: who has sent a byte late is not given the whole time again.
    let deadline = Instant::now() + accepted.shared.intake().handshake_timeout;
    tokio::select! {
        biased;
        // An error shows when the connection is read.
        first = tokio::time::timeout_at(deadline, presence.readable()) => if first.is_err() {
            return Some(Err(Refusal::Timeout));
        },
        () = asked_to_end(Some(&watch), &presence) => return None,
    }
    Some(establish::establish(accepted, deadline).await)
}

/// Resolves when the drain has begun and nothing that the client had sent by then is unread.
async fn asked_to_end(drain: Option<&Watch>, presence: &Presence) {
    match drain {
        Some(drain) => drain.draining().await,
        None => future::pending().await,
    }
    presence.caught_up().await;
}

/// A request body as it comes from the client.
pub(crate) enum RequestBody {
    /// Of an HTTP/1.1 request.
    H1(h1::Incoming),
    /// Of an HTTP/2 stream.
    H2(h2::StreamBody),
}

impl RequestBody {
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self {
            Self::H1(body) => body.poll_frame(cx),
            Self::H2(body) => body.poll_frame(cx),
        }
    }

    /// Changes how long the client may pause, or lets it for ever.
    pub(crate) fn may_pause(&mut self, idle: Option<Duration>) {
        match self {
            Self::H1(body) => body.may_pause(idle),
            // It goes by what its stream goes by.
            Self::H2(_) => {}
        }
    }

    /// Where interim responses to this request go.
    pub(crate) fn interim(&self) -> Option<&interim::Interim> {
        match self {
            Self::H1(body) => Some(body.interim()),
            Self::H2(body) => Some(body.interim()),
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::H1(body) => body.is_end_stream(),
            Self::H2(body) => body.is_end_stream(),
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::H1(body) => body.size_hint(),
            Self::H2(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, D, F>(_made_by: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_a_connection_has_no_room_for_what_is_done_seldom() {
        // With what is around it, it fits into 1 280 bytes, a size that the allocator has.
        let size = size_of_future(serve::<()>);
        assert!(size <= 1_000, "{size} bytes");
    }
}
