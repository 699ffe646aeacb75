//! What happens to two connections that have left HTTP: a WebSocket's bytes, both ways, to the end.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::body::Held;
use crate::config::limits;
use crate::drain::Watch;
use crate::process;

/// One side of a tunnel that is about to open.
#[derive(Debug)]
pub(crate) struct Half {
    ready: OnUpgrade,
}

impl Half {
    pub(crate) fn new(ready: OnUpgrade) -> Self {
        Self { ready }
    }
}

/// Joins the two sides in a task of its own, which keeps `held` and a drain guard to the tunnel's end.
pub(crate) fn join(downstream: Half, upstream: Half, held: Held, drain: &Watch) {
    let forced = drain.forced();
    process::spawn("tunnel", drain.guard(), async move {
        tokio::select! {
            () = copy(downstream, upstream) => {}
            () = forced => tracing::debug!("tunnel cut at the end of the drain"),
        }
        drop(held);
    });
}

async fn copy(downstream: Half, upstream: Half) {
    let (downstream, upstream) = match tokio::try_join!(downstream.ready, upstream.ready) {
        Ok(sides) => sides,
        Err(error) => return tracing::debug!(%error, "a side left before the tunnel opened"),
    };
    let (mut downstream, mut upstream) = (TokioIo::new(downstream), TokioIo::new(upstream));
    let buffer = limits::TUNNEL_BUFFER_BYTES;
    let copied =
        tokio::io::copy_bidirectional_with_sizes(&mut downstream, &mut upstream, buffer, buffer).await;
    if let Err(error) = copied {
        tracing::debug!(%error, "tunnel ended");
    }
}
