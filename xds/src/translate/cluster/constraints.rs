//! Which constraints of its own may a cluster break?

use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3 as envoy;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, DnsLookupFamily, LbConfig, LbPolicy, SlowStartConfig,
};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::core::v3::health_check::HealthChecker;

use crate::translate::constraint::{Checked, Rules, Violation};
use crate::translate::endpoints::constraints as endpoints;
use crate::translate::message::wide;

/// Of a cluster.
pub(super) fn cluster(message: &envoy::Cluster) -> Checked {
    let of = Rules::of("Cluster");
    of.not_empty("Name", &message.name)?;
    match &message.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(number)) => of.defined::<DiscoveryType>("Type", *number)?,
        Some(ClusterDiscoveryType::ClusterType(custom)) => {
            of.within(
                "ClusterType",
                Rules::of("CustomClusterType").not_empty("Name", &custom.name),
            )?;
        }
        None => {}
    }
    of.longer("ConnectTimeout", message.connect_timeout.as_ref(), Duration::ZERO)?;
    of.defined::<LbPolicy>("LbPolicy", message.lb_policy)?;
    of.optional(
        "LoadAssignment",
        message.load_assignment.as_ref(),
        endpoints::assignment,
    )?;
    of.each("HealthChecks", &message.health_checks, health_check)?;
    of.optional("CircuitBreakers", message.circuit_breakers.as_ref(), breakers)?;
    of.optional(
        "CommonHttpProtocolOptions",
        message.common_http_protocol_options.as_ref(),
        common_http,
    )?;
    of.optional(
        "Http2ProtocolOptions",
        message.http2_protocol_options.as_ref(),
        http2,
    )?;
    of.longer("DnsRefreshRate", message.dns_refresh_rate.as_ref(), MILLISECOND)?;
    of.optional(
        "DnsFailureRefreshRate",
        message.dns_failure_refresh_rate.as_ref(),
        |rate| refresh_rate(rate.base_interval.as_ref(), rate.max_interval.as_ref()),
    )?;
    of.not_shorter("DnsJitter", message.dns_jitter.as_ref(), Duration::ZERO)?;
    of.defined::<DnsLookupFamily>("DnsLookupFamily", message.dns_lookup_family)?;
    of.optional("OutlierDetection", message.outlier_detection.as_ref(), outlier)?;
    of.longer(
        "CleanupInterval",
        message.cleanup_interval.as_ref(),
        Duration::ZERO,
    )?;
    of.optional(
        "UpstreamBindConfig",
        message.upstream_bind_config.as_ref(),
        |bind| {
            let source = bind.source_address.as_ref();
            Rules::of("BindConfig").optional("SourceAddress", source, endpoints::socket_address)
        },
    )?;
    of.optional(
        "CommonLbConfig",
        message.common_lb_config.as_ref(),
        common_balancing,
    )?;
    balancing(message)?;
    of.each(
        "TransportSocketMatches",
        &message.transport_socket_matches,
        |one| {
            let of = Rules::of("TransportSocketMatch");
            of.not_empty("Name", &one.name)?;
            of.optional("TransportSocket", one.transport_socket.as_ref(), socket)
        },
    )?;
    of.optional("TransportSocket", message.transport_socket.as_ref(), socket)
}

fn socket(socket: &core::TransportSocket) -> Checked {
    Rules::of("TransportSocket").not_empty("Name", &socket.name)
}

/// Of the times between look-ups.
pub(super) fn refresh_rate(
    base: Option<&envoy_types::pb::google::protobuf::Duration>,
    max: Option<&envoy_types::pb::google::protobuf::Duration>,
) -> Checked {
    let of = Rules::of("RefreshRate");
    of.present("BaseInterval", base)?;
    of.longer("BaseInterval", base, MILLISECOND)?;
    of.longer("MaxInterval", max, MILLISECOND)
}

fn balancing(message: &envoy::Cluster) -> Checked {
    let of = Rules::of("Cluster");
    match &message.lb_config {
        Some(LbConfig::RoundRobinLbConfig(config)) => {
            let held = Rules::of("RoundRobinLbConfig").optional(
                "SlowStartConfig",
                config.slow_start_config.as_ref(),
                slow_start,
            );
            of.within("RoundRobinLbConfig", held)
        }
        Some(LbConfig::LeastRequestLbConfig(config)) => {
            let held = || {
                let of = Rules::of("LeastRequestLbConfig");
                of.at_least("ChoiceCount", wide(config.choice_count.as_ref()), 2)?;
                of.optional("SlowStartConfig", config.slow_start_config.as_ref(), slow_start)
            };
            of.within("LeastRequestLbConfig", held())
        }
        Some(LbConfig::RingHashLbConfig(config)) => {
            let held = || {
                let of = Rules::of("RingHashLbConfig");
                let size = |size: Option<envoy_types::pb::google::protobuf::UInt64Value>| {
                    size.map(|size| size.value)
                };
                of.at_most("MinimumRingSize", size(config.minimum_ring_size), RING_POINTS_MAX)?;
                of.at_most("MaximumRingSize", size(config.maximum_ring_size), RING_POINTS_MAX)
            };
            of.within("RingHashLbConfig", held())
        }
        Some(LbConfig::MaglevLbConfig(config)) => {
            let size = config.table_size.map(|size| size.value);
            let held = Rules::of("MaglevLbConfig").at_most("TableSize", size, MAGLEV_SLOTS_MAX);
            of.within("MaglevLbConfig", held)
        }
        Some(LbConfig::OriginalDstLbConfig(_)) | None => Ok(()),
    }
}

fn slow_start(message: &SlowStartConfig) -> Checked {
    Rules::of("SlowStartConfig").percent("MinWeightPercent", message.min_weight_percent.as_ref())
}

fn common_balancing(message: &CommonLbConfig) -> Checked {
    let of = Rules::of("CommonLbConfig");
    of.percent("HealthyPanicThreshold", message.healthy_panic_threshold.as_ref())?;
    let hashing = message.consistent_hashing_lb_config.as_ref();
    of.optional("ConsistentHashingLbConfig", hashing, |hashing| {
        let factor = wide(hashing.hash_balance_factor.as_ref());
        Rules::of("ConsistentHashingLbConfig").at_least("HashBalanceFactor", factor, 100)
    })
}

fn breakers(message: &envoy::CircuitBreakers) -> Checked {
    let thresholds = |one: &envoy::circuit_breakers::Thresholds| {
        let of = Rules::of("Thresholds");
        of.defined::<core::RoutingPriority>("Priority", one.priority)?;
        of.optional("RetryBudget", one.retry_budget.as_ref(), |budget| {
            Rules::of("RetryBudget").percent("BudgetPercent", budget.budget_percent.as_ref())
        })
    };
    let of = Rules::of("CircuitBreakers");
    of.each("Thresholds", &message.thresholds, thresholds)?;
    of.each("PerHostThresholds", &message.per_host_thresholds, thresholds)
}

fn outlier(message: &envoy::OutlierDetection) -> Checked {
    let of = Rules::of("OutlierDetection");
    of.longer("Interval", message.interval.as_ref(), Duration::ZERO)?;
    of.longer(
        "BaseEjectionTime",
        message.base_ejection_time.as_ref(),
        Duration::ZERO,
    )?;
    let percents = [
        ("MaxEjectionPercent", &message.max_ejection_percent),
        ("EnforcingConsecutive_5Xx", &message.enforcing_consecutive_5xx),
        ("EnforcingSuccessRate", &message.enforcing_success_rate),
        (
            "EnforcingConsecutiveGatewayFailure",
            &message.enforcing_consecutive_gateway_failure,
        ),
        (
            "EnforcingConsecutiveLocalOriginFailure",
            &message.enforcing_consecutive_local_origin_failure,
        ),
        (
            "EnforcingLocalOriginSuccessRate",
            &message.enforcing_local_origin_success_rate,
        ),
        (
            "FailurePercentageThreshold",
            &message.failure_percentage_threshold,
        ),
        (
            "EnforcingFailurePercentage",
            &message.enforcing_failure_percentage,
        ),
        (
            "EnforcingFailurePercentageLocalOrigin",
            &message.enforcing_failure_percentage_local_origin,
        ),
    ];
    for (field, percent) in percents {
        of.at_most(field, wide(percent.as_ref()), 100)?;
    }
    of.longer(
        "MaxEjectionTime",
        message.max_ejection_time.as_ref(),
        Duration::ZERO,
    )
}

fn health_check(message: &core::HealthCheck) -> Checked {
    let of = Rules::of("HealthCheck");
    for (field, time) in [("Timeout", &message.timeout), ("Interval", &message.interval)] {
        of.present(field, time.as_ref())?;
        of.longer(field, time.as_ref(), Duration::ZERO)?;
    }
    of.present("UnhealthyThreshold", message.unhealthy_threshold.as_ref())?;
    of.present("HealthyThreshold", message.healthy_threshold.as_ref())?;
    let times = [
        ("NoTrafficInterval", &message.no_traffic_interval),
        ("NoTrafficHealthyInterval", &message.no_traffic_healthy_interval),
        ("UnhealthyInterval", &message.unhealthy_interval),
        ("UnhealthyEdgeInterval", &message.unhealthy_edge_interval),
        ("HealthyEdgeInterval", &message.healthy_edge_interval),
    ];
    for (field, time) in times {
        of.longer(field, time.as_ref(), Duration::ZERO)?;
    }
    match &message.health_checker {
        Some(HealthChecker::HttpHealthCheck(http)) => {
            let held = || {
                let of = Rules::of("HttpHealthCheck");
                of.not_empty("Path", &http.path)?;
                of.defined::<core::RequestMethod>("Method", http.method)?;
                match http.method == core::RequestMethod::Connect as i32 {
                    true => Err(of.broken("Method", "value must not be in list [CONNECT]")),
                    false => Ok(()),
                }
            };
            of.within("HttpHealthCheck", held())
        }
        Some(HealthChecker::CustomHealthCheck(custom)) => of.within(
            "CustomHealthCheck",
            Rules::of("CustomHealthCheck").not_empty("Name", &custom.name),
        ),
        Some(HealthChecker::TcpHealthCheck(_) | HealthChecker::GrpcHealthCheck(_)) => Ok(()),
        None => Err(Violation::unset("health_checker")),
    }
}

/// Of options that both versions of HTTP have.
pub(in crate::translate) fn common_http(message: &core::HttpProtocolOptions) -> Checked {
    let of = Rules::of("HttpProtocolOptions");
    of.at_least("MaxHeadersCount", wide(message.max_headers_count.as_ref()), 1)?;
    match wide(message.max_response_headers_kb.as_ref()) {
        Some(0 | 8193..) => Err(of.broken("MaxResponseHeadersKb", "value must be inside range (0, 8192]")),
        _ => Ok(()),
    }
}

/// Of options of HTTP/2.
pub(in crate::translate) fn http2(message: &core::Http2ProtocolOptions) -> Checked {
    let of = Rules::of("Http2ProtocolOptions");
    let most = i32::MAX.unsigned_abs().into();
    of.between(
        "MaxConcurrentStreams",
        wide(message.max_concurrent_streams.as_ref()),
        1,
        most,
    )?;
    let windows = [
        ("InitialStreamWindowSize", &message.initial_stream_window_size),
        (
            "InitialConnectionWindowSize",
            &message.initial_connection_window_size,
        ),
    ];
    for (field, window) in windows {
        of.between(field, wide(window.as_ref()), 65535, most)?;
    }
    of.optional(
        "ConnectionKeepalive",
        message.connection_keepalive.as_ref(),
        |keepalive| {
            let of = Rules::of("KeepaliveSettings");
            of.not_shorter("Interval", keepalive.interval.as_ref(), MILLISECOND)?;
            of.present("Timeout", keepalive.timeout.as_ref())?;
            of.not_shorter("Timeout", keepalive.timeout.as_ref(), MILLISECOND)?;
            of.not_shorter(
                "ConnectionIdleInterval",
                keepalive.connection_idle_interval.as_ref(),
                MILLISECOND,
            )
        },
    )
}

const MILLISECOND: Duration = Duration::from_millis(1);
const RING_POINTS_MAX: u64 = 8_388_608;
const MAGLEV_SLOTS_MAX: u64 = 5_000_011;
