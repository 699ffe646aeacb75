//! What happens to two connections that have left HTTP: a WebSocket's bytes, both ways, to the end.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::body::Body;
use crate::config::limits;
use crate::upstream::TunnelEnd;

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
    end: Option<TunnelEnd>,
}

impl Tunnel {
    /// A tunnel that keeps `held`, the body of the 101 and all that it holds, to its end.
    pub(crate) fn new(downstream: Half, upstream: Half, held: Body) -> Self {
        Self {
            downstream,
            upstream,
            held,
            end: None,
        }
    }

    /// Cuts it at `end`, if it lasts that long.
    pub(crate) fn until(self, end: Option<TunnelEnd>) -> Self {
        Self { end, ..self }
    }

    /// Moves bytes until both sides have ended, or one broke.
    pub(crate) async fn run(self) {
        let (downstream, upstream) = match tokio::try_join!(self.downstream.ready, self.upstream.ready) {
            Ok(sides) => sides,
            Err(error) => return tracing::debug!(%error, "a side left before the tunnel opened"),
        };
        let (mut downstream, mut upstream) = (TokioIo::new(downstream), TokioIo::new(upstream));
        let buffer = limits::TUNNEL_BUFFER_BYTES;
        let copy = tokio::io::copy_bidirectional_with_sizes(&mut downstream, &mut upstream, buffer, buffer);
        let copied = match self.end {
            Some(TunnelEnd(end)) => tokio::time::timeout_at(end.into(), copy).await,
            None => Ok(copy.await),
        };
        match copied {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "tunnel ended"),
            Err(_elapsed) => tracing::debug!("tunnel cut: its time is over"),
        }
        drop(self.held);
    }
}
