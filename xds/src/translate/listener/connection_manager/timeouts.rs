//! How long clients may take for what, with Envoy's defaults.

use std::time::Duration;

use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use tidegate_proxy::config::http::DownstreamTimeouts;

use crate::limits;
use crate::translate::Reject;
use crate::translate::duration::duration;
use crate::translate::notes::Notes;

pub(super) fn of_manager(
    manager: &HttpConnectionManager,
    notes: &mut Notes,
) -> Result<DownstreamTimeouts, Reject> {
    let common = manager.common_http_protocol_options.as_ref();
    let longest = common.and_then(|common| common.max_stream_duration.as_ref());
    notes.add_set(&[("stream_flush_timeout", manager.stream_flush_timeout.is_some())]);
    let idle = duration(common.and_then(|common| common.idle_timeout.as_ref()))?;
    let lifetime = duration(common.and_then(|common| common.max_connection_duration.as_ref()))?;
    let stream_idle = duration(manager.stream_idle_timeout.as_ref())?.unwrap_or(limits::STREAM_IDLE_TIMEOUT);
    let stream_idle = some(stream_idle);
    let head = duration(manager.request_headers_timeout.as_ref())?.and_then(some);
    // How long after GOAWAY new streams may still come. Here they may until the client has answered it, however long that takes.
    duration(manager.drain_timeout.as_ref())?;
    let defaults = DownstreamTimeouts::default();
    Ok(DownstreamTimeouts {
        request_head: head.unwrap_or(defaults.request_head),
        idle: match idle {
            None => limits::CONNECTION_IDLE_TIMEOUT,
            Some(Duration::ZERO) => limits::FOREVER,
            Some(idle) => idle,
        },
        stream_idle,
        // To Envoy a tunnel is a stream too.
        tunnel_idle: stream_idle,
        request: duration(manager.request_timeout.as_ref())?.and_then(some),
        stream_max: duration(longest)?.and_then(some),
        connection_max: lifetime.and_then(some),
        // As in Envoy a connection that is drained ends with its last stream, and cuts none.
        drain: limits::FOREVER,
        stall: defaults.stall,
        linger: duration(manager.delayed_close_timeout.as_ref())?.unwrap_or(limits::DELAYED_CLOSE_TIMEOUT),
    })
}

/// Zero switches a time off.
fn some(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}
