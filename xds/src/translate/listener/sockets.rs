//! What a listener's sockets are told, and what comes before its filter chains.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::socket_option::Value;
use envoy_types::pb::envoy::config::core::v3::{SocketOption, TcpKeepalive};
use envoy_types::pb::envoy::config::listener::v3::listener::connection_balance_config::BalanceType;
use envoy_types::pb::envoy::config::listener::v3::listener_filter::ConfigType;
use envoy_types::pb::envoy::config::listener::v3::{Listener, ListenerFilter};
use envoy_types::pb::envoy::extensions::filters::listener::proxy_protocol::v3 as proxy_protocol;
use tidegate_proxy::config::limits as proxy_limits;
use tidegate_proxy::listener::Ceiling;
use tidegate_proxy::listener::settings::{Balance, Keepalive, ProxyProtocol, TcpSettings};

use super::SocketConfig;
use crate::limits;
use crate::translate::Reject;
use crate::translate::any::{type_name, unpack, unregistered, unsupported, unsupported_field};
use crate::translate::duration::duration;
use crate::translate::notes::Notes;

/// Everything of the sockets beside where they listen.
pub(super) fn of_listener(listener: &Listener, notes: &mut Notes) -> Result<SocketConfig, Reject> {
    let balance = listener.connection_balance_config.as_ref();
    let balance = balance.and_then(|config| config.balance_type.as_ref());
    notes.add_set(&[
        (
            "per_connection_buffer_limit_bytes",
            listener.per_connection_buffer_limit_bytes.is_some(),
        ),
        ("access_log", !listener.access_log.is_empty()),
        (
            "connection_balance_config",
            !matches!(balance, None | Some(BalanceType::ExactBalance(_))),
        ),
        ("drain_type", listener.drain_type != 0),
        ("freebind", listener.freebind.is_some_and(|set| set.value)),
        ("transparent", listener.transparent.is_some_and(|set| set.value)),
        (
            "tcp_fast_open_queue_length",
            listener.tcp_fast_open_queue_length.is_some(),
        ),
        ("enable_mptcp", listener.enable_mptcp),
        (
            "continue_on_listener_filters_timeout",
            listener.continue_on_listener_filters_timeout,
        ),
        (
            "use_original_dst",
            listener.use_original_dst.is_some_and(|set| set.value),
        ),
    ]);
    let mut tcp = TcpSettings {
        keepalive: listener.tcp_keepalive.as_ref().map(keepalive),
        ..TcpSettings::default()
    };
    for (index, option) in listener.socket_options.iter().enumerate() {
        if !apply(option, &mut tcp) {
            notes.add(&format!("socket_options[{index}]"), "it has no effect");
        }
    }
    let mut proxy_protocol = ProxyProtocol::Off;
    for (index, filter) in listener.listener_filters.iter().enumerate() {
        let found = notes.within(&format!("listener_filters[{index}]"), |notes| {
            listener_filter(filter, notes)
        });
        if let Some(found) = found? {
            proxy_protocol = found;
        }
    }
    let timeout = duration(listener.listener_filters_timeout.as_ref())?;
    let timeout = timeout.unwrap_or(limits::LISTENER_FILTERS_TIMEOUT);
    Ok(SocketConfig {
        backlog: listener
            .tcp_backlog_size
            .map_or(proxy_limits::LISTEN_BACKLOG, |size| size.value),
        tcp,
        balance: match balance {
            Some(BalanceType::ExactBalance(_)) => Balance::Exact,
            _ => Balance::Rough,
        },
        proxy_protocol,
        ceiling: if listener.ignore_global_conn_limit || listener.bypass_overload_manager {
            Ceiling::Exempt
        } else {
            Ceiling::Holds
        },
        handshake_timeout: if timeout.is_zero() {
            proxy_limits::HANDSHAKE_TIMEOUT
        } else {
            timeout
        },
    })
}

/// What a listener filter makes of the PROXY header, if it is about that.
fn listener_filter(filter: &ListenerFilter, notes: &mut Notes) -> Result<Option<ProxyProtocol>, Reject> {
    let Some(ConfigType::TypedConfig(config)) = &filter.config_type else {
        return Err(unregistered(&filter.name, None));
    };
    match type_name(config) {
        TLS_INSPECTOR | HTTP_INSPECTOR => Ok(None),
        PROXY_PROTOCOL => {
            if filter.filter_disabled.is_some() {
                return Err(unsupported_field(notes.place(), "filter_disabled"));
            }
            let config: proxy_protocol::ProxyProtocol = unpack(config)?;
            if !config.disallowed_versions.is_empty() {
                return Err(unsupported_field(notes.place(), "disallowed_versions"));
            }
            notes.add_set(&[
                ("rules", !config.rules.is_empty()),
                ("pass_through_tlvs", config.pass_through_tlvs.is_some()),
            ]);
            Ok(Some(if config.allow_requests_without_proxy_protocol {
                ProxyProtocol::Optional
            } else {
                ProxyProtocol::Required
            }))
        }
        of if OTHERS.contains(&of) => {
            notes.add("", format!("{of} has no effect"));
            Ok(None)
        }
        RATE_LIMIT | MODULES => Err(unsupported(notes.place(), config)),
        _ => Err(unregistered(&filter.name, Some(config))),
    }
}

const TLS_INSPECTOR: &str = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
const HTTP_INSPECTOR: &str = "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector";
const PROXY_PROTOCOL: &str = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";
const RATE_LIMIT: &str = "envoy.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit";
const MODULES: &str = "envoy.extensions.filters.listener.dynamic_modules.v3.DynamicModuleListenerFilter";
const OTHERS: [&str; 3] = [
    "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
    "envoy.extensions.filters.listener.original_src.v3.OriginalSrc",
    "envoy.extensions.filters.listener.set_filter_state.v3.Config",
];

/// Linux's own times, where a field is not set.
const KEEPALIVE: Keepalive = Keepalive {
    idle: Duration::from_secs(7200),
    interval: Duration::from_secs(75),
    probes: 9,
};

fn keepalive(settings: &TcpKeepalive) -> Keepalive {
    let seconds = |value: u32| Duration::from_secs(u64::from(value));
    Keepalive {
        idle: settings
            .keepalive_time
            .map_or(KEEPALIVE.idle, |time| seconds(time.value)),
        interval: settings
            .keepalive_interval
            .map_or(KEEPALIVE.interval, |time| seconds(time.value)),
        probes: settings
            .keepalive_probes
            .map_or(KEEPALIVE.probes, |probes| probes.value),
    }
}

/// Makes a numeric option of the system take effect: those of TCP's keep-alive are the ones that control planes send.
fn apply(option: &SocketOption, tcp: &mut TcpSettings) -> bool {
    const SOL_SOCKET: i64 = 1;
    const IPPROTO_TCP: i64 = 6;
    let Some(Value::IntValue(value)) = option.value else {
        return false;
    };
    let seconds = Duration::from_secs(u64::try_from(value).unwrap_or_default());
    let mut set = tcp.keepalive.unwrap_or(KEEPALIVE);
    match (option.level, option.name) {
        // SO_KEEPALIVE
        (SOL_SOCKET, 9) if value == 0 => {
            tcp.keepalive = None;
            return true;
        }
        (SOL_SOCKET, 9) => {}
        // TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT
        (IPPROTO_TCP, 4) => set.idle = seconds,
        (IPPROTO_TCP, 5) => set.interval = seconds,
        (IPPROTO_TCP, 6) => set.probes = u32::try_from(value).unwrap_or(KEEPALIVE.probes),
        _ => return false,
    }
    tcp.keepalive = Some(set);
    true
}
