//! HTTP/1.1 to upstreams, on hyper's client.

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::held::Held;
use super::key::Key;
use super::stream::Stream;
use crate::body::Body;
use crate::cluster::transport::ResponseHeadLimits;
use crate::config::limits;
use crate::drain::Watch;
use crate::error::{Error, Kind};
use crate::process;

/// Starts HTTP/1.1. The connection's task, which keeps `permit`, ends when the last sender is gone. It keeps no drain
/// open: whatever it has to finish, a downstream connection waits for.
pub(super) async fn start(
    stream: Stream,
    key: &Key,
    permit: Held,
    drain: &Watch,
) -> Result<http1::SendRequest<Body>, Error> {
    let (sender, connection) = builder(key.transport.settings().response_head)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Error::new(Kind::ConnectFailed).with_source(error))?;
    let address = key.address.clone();
    process::spawn("upstream-h1", drain.unguarded(), async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%address, %error, "upstream connection ended");
        }
        drop(permit);
    });
    Ok(sender)
}

fn builder(head: ResponseHeadLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(limits::UPSTREAM_BUFFER_BYTES.max(head.bytes_max))
        .max_header_size(head.bytes_max);
    if head.fields_max != limits::HEADER_FIELDS_MAX {
        builder.max_headers(head.fields_max);
    }
    builder
}
