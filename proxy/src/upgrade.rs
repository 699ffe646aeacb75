//! What happens to two connections that have left HTTP: a WebSocket's bytes, both ways, to the end.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::body::Body;
use crate::config::limits;

/// One side of a tunnel that is about to open. The upstream's travels in the extensions of its 101 response, so
/// that a layer may wrap the response's body.
#[derive(Clone, Debug)]
pub(crate) struct Half {
    ready: OnUpgrade,
}

impl Half {
    pub(crate) fn new(ready: OnUpgrade) -> Self {
        Self { ready }
    }
}

/// A tunnel that opens when both its connections have left HTTP.
pub(crate) struct Tunnel {
    downstream: Half,
    upstream: Half,
    held: Body,
}

impl Tunnel {
    /// A tunnel that keeps `held`, the body of the 101 and all that it holds, to its end.
    pub(crate) fn new(downstream: Half, upstream: Half, held: Body) -> Self {
        Self {
            downstream,
            upstream,
            held,
        }
    }

    /// Moves bytes until both sides have ended, or one broke.
    pub(crate) async fn run(self) {
        let (downstream, upstream) = match tokio::try_join!(self.downstream.ready, self.upstream.ready) {
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
        drop(self.held);
    }
}
