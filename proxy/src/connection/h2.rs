//! HTTP/2 from clients, on the `h2` crate: the connection, its settings, its idle time, its end.

use std::sync::Arc;

use bytes::Bytes;
use h2::server::{Builder, Connection};
use tokio::time::Instant;

use super::socket::Socket;
use crate::config::limits;
use crate::drain::Guard;
use crate::process;
use crate::worker::Proxy;

mod stream;

use stream::Stream;
pub(super) use stream::StreamBody;

/// Serves streams until the client leaves, nothing happened for too long, or the drain asks for the end.
pub(super) async fn serve(socket: Socket, proxy: Proxy, guard: Guard) {
    let handshake = builder().handshake::<_, Bytes>(socket);
    match tokio::time::timeout(limits::REQUEST_HEAD_TIMEOUT, handshake).await {
        Ok(Ok(connection)) => accept(connection, &proxy, &guard).await,
        Ok(Err(error)) => tracing::debug!(%error, "HTTP/2 handshake failed"),
        Err(_elapsed) => tracing::debug!("HTTP/2 handshake took too long"),
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits::H2_STREAMS_MAX)
        .initial_window_size(limits::H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::H2_CONNECTION_WINDOW_BYTES)
        .max_header_list_size(u32::try_from(limits::REQUEST_HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_send_buffer_size(limits::H2_SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(limits::H2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(Some(limits::H2_LOCAL_RESETS_MAX));
    builder
}

async fn accept(mut connection: Connection<Socket, Bytes>, proxy: &Proxy, guard: &Guard) {
    let mut draining = proxy.worker().drain.draining();
    let idle = tokio::time::sleep(limits::DOWNSTREAM_IDLE_TIMEOUT);
    tokio::pin!(idle);
    let mut closing = false;
    let streams = Arc::new(());
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    idle.as_mut().reset(Instant::now() + limits::DOWNSTREAM_IDLE_TIMEOUT);
                    let proxy = proxy.clone();
                    let ((exchange, request), running) = (Stream::of(request, respond), Arc::clone(&streams));
                    process::spawn("h2-stream", guard.clone(), async move {
                        super::run(exchange, request, &proxy).await;
                        drop(running);
                    });
                }
                Some(Err(error)) => return tracing::debug!(%error, "downstream connection failed"),
                None => return,
            },
            () = &mut draining, if !closing => {
                closing = true;
                connection.graceful_shutdown();
            }
            () = &mut idle, if !closing => {
                // A long stream is not idleness.
                if Arc::strong_count(&streams) > 1 {
                    idle.as_mut().reset(Instant::now() + limits::DOWNSTREAM_IDLE_TIMEOUT);
                } else {
                    closing = true;
                    connection.graceful_shutdown();
                }
            }
        }
    }
}
