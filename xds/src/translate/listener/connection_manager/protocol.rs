//! What holds for HTTP/1 and HTTP/2, each by itself: versions, sizes, upgrades.

use envoy_types::pb::envoy::config::core::v3::Http2ProtocolOptions;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use tidegate_proxy::config::http::{HeadLimits, Http1Settings, Http2KeepAlive, Http2Settings, Http10};

use crate::limits;
use crate::translate::Reject;
use crate::translate::duration::duration;
use crate::translate::filter;
use crate::translate::notes::Notes;

const WEBSOCKET: &str = "websocket";

/// How large a head may be.
pub(super) fn head_limits(manager: &HttpConnectionManager) -> HeadLimits {
    let kilobytes = manager
        .max_request_headers_kb
        .map_or(limits::REQUEST_HEAD_KB, |size| size.value);
    let bytes_max = usize::try_from(kilobytes)
        .unwrap_or(usize::MAX)
        .saturating_mul(1024);
    let common = manager.common_http_protocol_options.as_ref();
    let fields = common.and_then(|common| common.max_headers_count);
    let fields = fields.map_or(limits::HEADER_FIELDS, |count| count.value);
    HeadLimits {
        bytes_max,
        target_bytes_max: bytes_max,
        fields_max: usize::try_from(fields).unwrap_or(usize::MAX),
    }
}

pub(super) fn http1(manager: &HttpConnectionManager, notes: &mut Notes) -> Result<Http1Settings, Reject> {
    let Some(options) = &manager.http_protocol_options else {
        return Ok(Http1Settings::default());
    };
    notes.within("http_protocol_options", |notes| {
        notes.add_set(&[
            (
                "default_host_for_http_10",
                !options.default_host_for_http_10.is_empty(),
            ),
            ("header_key_format", options.header_key_format.is_some()),
            ("allow_chunked_length", options.allow_chunked_length),
            (
                "allow_absolute_url",
                options.allow_absolute_url.is_some_and(|allowed| !allowed.value),
            ),
            ("send_fully_qualified_url", options.send_fully_qualified_url),
            ("enable_trailers", options.enable_trailers),
            (
                "ignore_http_11_upgrade",
                !options.ignore_http_11_upgrade.is_empty(),
            ),
        ]);
    });
    Ok(Http1Settings {
        http_10: if options.accept_http_10 {
            Http10::Accepted
        } else {
            Http10::Refused
        },
    })
}

pub(super) fn http2(manager: &HttpConnectionManager, notes: &mut Notes) -> Result<Http2Settings, Reject> {
    let defaults = Http2Settings {
        streams_max: limits::H2_STREAMS,
        ..Http2Settings::default()
    };
    let Some(options) = &manager.http2_protocol_options else {
        return Ok(defaults);
    };
    notes.within("http2_protocol_options", |notes| {
        notes.add_set(&[
            ("hpack_table_size", options.hpack_table_size.is_some()),
            ("allow_metadata", options.allow_metadata),
            (
                "custom_settings_parameters",
                !options.custom_settings_parameters.is_empty(),
            ),
            ("max_outbound_frames", options.max_outbound_frames.is_some()),
        ]);
    });
    let window = |size: Option<u32>, default| size.unwrap_or(default);
    Ok(Http2Settings {
        streams_max: options
            .max_concurrent_streams
            .map_or(defaults.streams_max, |streams| streams.value),
        stream_window_bytes: window(
            options.initial_stream_window_size.map(|size| size.value),
            defaults.stream_window_bytes,
        ),
        connection_window_bytes: window(
            options.initial_connection_window_size.map(|size| size.value),
            defaults.connection_window_bytes,
        ),
        keep_alive: keep_alive(options)?,
        streams_of: defaults.streams_of,
    })
}

fn keep_alive(options: &Http2ProtocolOptions) -> Result<Option<Http2KeepAlive>, Reject> {
    let Some(settings) = &options.connection_keepalive else {
        return Ok(None);
    };
    let interval = duration(settings.interval.as_ref())?;
    let timeout = duration(settings.timeout.as_ref())?.unwrap_or(limits::H2_KEEP_ALIVE_TIMEOUT);
    Ok(interval.map(|interval| Http2KeepAlive { interval, timeout }))
}

/// Upgrades of a connection manager.
pub(super) struct Upgrades {
    /// Those that mean something: all that it names, and `websocket`.
    pub(super) known: Vec<Box<str>>,
    /// Those of them that it does not allow, so that only a route may.
    pub(super) by_route: Vec<Box<str>>,
}

/// Which upgrades there are, and which of them a route has to allow by itself.
pub(super) fn upgrades(manager: &HttpConnectionManager, notes: &mut Notes) -> Result<Upgrades, Reject> {
    let mut upgrades = Upgrades {
        known: Vec::new(),
        by_route: Vec::new(),
    };
    let mut named: Vec<String> = Vec::new();
    for (index, config) in manager.upgrade_configs.iter().enumerate() {
        let token = config.upgrade_type.to_ascii_lowercase();
        if named.contains(&token) {
            return Err(Reject::Resource(format!(
                "Error: multiple upgrade configs with the same name: '{}'",
                config.upgrade_type
            )));
        }
        let field = format!("upgrade_configs[{index}]");
        if !config.filters.is_empty() {
            notes.within(&field, |notes| {
                filter::of_upgrade(&config.filters, &manager.http_filters, notes)
            })?;
            notes.add(&field, "the filters of an upgrade are those of every request");
        }
        let enabled = config.enabled.is_none_or(|enabled| enabled.value);
        if token == "connect" || token == "connect-udp" {
            notes.add(&field, "CONNECT is refused");
        } else {
            upgrades.known.push(token.as_str().into());
            if !enabled {
                upgrades.by_route.push(token.as_str().into());
            }
        }
        named.push(token);
    }
    if !named.iter().any(|token| token == WEBSOCKET) {
        upgrades.known.push(WEBSOCKET.into());
        upgrades.by_route.push(WEBSOCKET.into());
    }
    Ok(upgrades)
}
