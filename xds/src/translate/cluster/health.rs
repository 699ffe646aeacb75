//! How are a cluster's endpoints asked whether they are healthy?

use std::ops::RangeInclusive;

use bytes::Bytes;
use envoy_types::pb::envoy::config::cluster::v3 as envoy;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::core::v3::health_check::{
    GrpcHealthCheck, HealthChecker, HttpHealthCheck, Payload, TcpHealthCheck, payload,
};
use envoy_types::pb::envoy::config::core::v3::{HeaderValueOption, RequestMethod};
use envoy_types::pb::envoy::r#type::v3::Int64Range;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tidegate_proxy::cluster::HealthCheck;
use tidegate_proxy::cluster::health::{GrpcProbe, HttpProbe, Probe, TcpProbe};
use tidegate_proxy::cluster::transport::Protocol;

use crate::translate::Reject;
use crate::translate::message::{number, positive};
use crate::translate::notes::Notes;

/// The check of a cluster that speaks `protocol`.
pub(super) fn read(
    message: &envoy::Cluster,
    protocol: Protocol,
    notes: &mut Notes,
) -> Result<Option<HealthCheck>, Reject> {
    let check = match &message.health_checks[..] {
        [] => return Ok(None),
        [check] => check,
        [..] => {
            let why = "health check at index 0 is missing a name; all health checks must have a name when multiple \
                       health checks are configured";
            return Err(Reject::Resource(why.to_owned()));
        }
    };
    let probe = match &check.health_checker {
        Some(HealthChecker::HttpHealthCheck(http)) => Probe::Http(of_http(http, notes)?),
        Some(HealthChecker::TcpHealthCheck(tcp)) => Probe::Tcp(of_tcp(tcp)?),
        Some(HealthChecker::GrpcHealthCheck(grpc)) => {
            if protocol != Protocol::Http2 {
                let why = format!(
                    "{} cluster must support HTTP/2 for gRPC healthchecking",
                    message.name
                );
                return Err(Reject::Resource(why));
            }
            Probe::Grpc(of_grpc(grpc)?)
        }
        Some(HealthChecker::CustomHealthCheck(custom)) => return Err(of_custom(custom)),
        None => return Ok(None),
    };
    for (field, there) in [
        ("alt_port", check.alt_port.is_some()),
        (
            "transport_socket_match_criteria",
            check.transport_socket_match_criteria.is_some(),
        ),
    ] {
        if there {
            return Err(Reject::unsupported(format_args!("health_checks[0].{field}")));
        }
    }
    without_effect(check, notes);
    let mut settings = HealthCheck::new(probe);
    // They are there and positive, else a constraint is broken.
    settings.timeout = positive(check.timeout.as_ref()).unwrap_or(settings.timeout);
    settings.interval = positive(check.interval.as_ref()).unwrap_or(settings.interval);
    settings.unhealthy_interval = positive(check.unhealthy_interval.as_ref()).unwrap_or(settings.interval);
    settings.jitter_percent = u8::try_from(check.interval_jitter_percent).unwrap_or(u8::MAX);
    settings.failures_max = number(check.unhealthy_threshold.as_ref()).unwrap_or(settings.failures_max);
    settings.successes_min = number(check.healthy_threshold.as_ref()).unwrap_or(settings.successes_min);
    Ok(Some(settings))
}

fn named(method: RequestMethod) -> Method {
    match method {
        RequestMethod::MethodUnspecified | RequestMethod::Get => Method::GET,
        RequestMethod::Head => Method::HEAD,
        RequestMethod::Post => Method::POST,
        RequestMethod::Put => Method::PUT,
        RequestMethod::Delete => Method::DELETE,
        RequestMethod::Connect => Method::CONNECT,
        RequestMethod::Options => Method::OPTIONS,
        RequestMethod::Trace => Method::TRACE,
        RequestMethod::Patch => Method::PATCH,
    }
}

/// The fields of a check. None of its values is made of anything: there is no request that it could be made of.
fn fields(options: &[HeaderValueOption]) -> Result<HeaderMap, Reject> {
    let mut fields = HeaderMap::new();
    for option in options {
        let header = option.header.clone().unwrap_or_default();
        let name = HeaderName::try_from(header.key.as_str());
        let value = HeaderValue::try_from(header.value.as_str());
        let (Ok(name), Ok(value), false) = (name, value, header.value.contains('%')) else {
            let path = format_args!(
                "health_checks[0].http_health_check.request_headers_to_add: {}",
                header.key
            );
            return Err(Reject::unsupported(path));
        };
        fields.append(name, value);
    }
    Ok(fields)
}

fn of_http(http: &HttpHealthCheck, notes: &mut Notes) -> Result<HttpProbe, Reject> {
    let method = RequestMethod::try_from(http.method).unwrap_or_default();
    if http.send.is_some() && matches!(method, RequestMethod::MethodUnspecified | RequestMethod::Get) {
        let why = "HTTP health check cannot specify a request payload with method 'GET'. Only methods that support a \
                   request body (POST, PUT, PATCH, OPTIONS) can be used with payload.";
        return Err(Reject::Resource(why.to_owned()));
    }
    let selecting = [
        ("send", http.send.is_some()),
        ("receive", !http.receive.is_empty()),
        ("service_name_matcher", http.service_name_matcher.is_some()),
    ];
    for (field, there) in selecting {
        if there {
            return Err(Reject::unsupported(format_args!(
                "health_checks[0].http_health_check.{field}"
            )));
        }
    }
    notes.ignored(
        "health_checks[0].http_health_check.request_headers_to_remove",
        !http.request_headers_to_remove.is_empty(),
    );
    let mut probe = HttpProbe::get(http.path.as_str());
    probe.method = named(method);
    probe.fields = fields(&http.request_headers_to_add)?;
    probe.host = (!http.host.is_empty()).then(|| http.host.as_str().into());
    if !http.expected_statuses.is_empty() {
        probe.expected = ranges("expected", &http.expected_statuses)?;
    }
    probe.retriable = ranges("retriable", &http.retriable_statuses)?;
    Ok(probe)
}

/// Ranges that include their start and not their end, as their own kind.
fn ranges(what: &str, ranges: &[Int64Range]) -> Result<Vec<RangeInclusive<u16>>, Reject> {
    let range = |Int64Range { start, end }: &Int64Range| {
        let refuse = |why: String| {
            Err(Reject::Resource(format!(
                "Invalid http {what} status range: expecting {why}"
            )))
        };
        if start >= end {
            return refuse(format!("start < end, but found start={start} and end={end}"));
        }
        if *start < 100 {
            return refuse(format!("start >= 100, but found start={start}"));
        }
        if *end > 600 {
            return refuse(format!("end <= 600, but found end={end}"));
        }
        let status = |number: i64| u16::try_from(number).unwrap_or(u16::MAX);
        Ok(status(*start)..=status(*end - 1))
    };
    ranges.iter().map(range).collect()
}

fn of_tcp(tcp: &TcpHealthCheck) -> Result<TcpProbe, Reject> {
    if tcp.proxy_protocol_config.is_some() {
        return Err(Reject::unsupported(
            "health_checks[0].tcp_health_check.proxy_protocol_config",
        ));
    }
    Ok(TcpProbe {
        send: tcp.send.as_ref().map_or(Ok(Bytes::new()), bytes)?,
        receive: tcp.receive.iter().map(bytes).collect::<Result<_, _>>()?,
    })
}

fn bytes(payload: &Payload) -> Result<Bytes, Reject> {
    match &payload.payload {
        Some(payload::Payload::Text(text)) => {
            hex(text).ok_or_else(|| Reject::Resource(format!("invalid hex string '{text}'")))
        }
        Some(payload::Payload::Binary(bytes)) => Ok(Bytes::from(bytes.clone())),
        None => Ok(Bytes::new()),
    }
}

fn hex(text: &str) -> Option<Bytes> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    };
    pairs.map(byte).collect::<Option<Vec<u8>>>().map(Bytes::from)
}

fn of_grpc(grpc: &GrpcHealthCheck) -> Result<GrpcProbe, Reject> {
    if !grpc.initial_metadata.is_empty() {
        return Err(Reject::unsupported(
            "health_checks[0].grpc_health_check.initial_metadata",
        ));
    }
    Ok(GrpcProbe {
        service: grpc.service_name.as_str().into(),
        authority: (!grpc.authority.is_empty()).then(|| grpc.authority.as_str().into()),
    })
}

fn of_custom(custom: &core::health_check::CustomHealthCheck) -> Reject {
    use core::health_check::custom_health_check::ConfigType;
    let url = match &custom.config_type {
        Some(ConfigType::TypedConfig(packed)) => packed.type_url.as_str(),
        None => "",
    };
    match url.contains("/envoy.extensions.health_checkers.") {
        true => Reject::unsupported(format_args!("health_checks[0].custom_health_check: {url}")),
        false => Reject::unknown_extension(&custom.name, url),
    }
}

fn without_effect(check: &core::HealthCheck, notes: &mut Notes) {
    let fields = [
        ("initial_jitter", check.initial_jitter.is_some()),
        ("interval_jitter", check.interval_jitter.is_some()),
        ("no_traffic_interval", check.no_traffic_interval.is_some()),
        (
            "no_traffic_healthy_interval",
            check.no_traffic_healthy_interval.is_some(),
        ),
        ("unhealthy_edge_interval", check.unhealthy_edge_interval.is_some()),
        ("healthy_edge_interval", check.healthy_edge_interval.is_some()),
        ("event_log_path", !check.event_log_path.is_empty()),
        ("event_logger", !check.event_logger.is_empty()),
        ("event_service", check.event_service.is_some()),
        ("tls_options", check.tls_options.is_some()),
        (
            "reuse_connection",
            check.reuse_connection.is_some_and(|reuse| !reuse.value),
        ),
    ];
    for (field, there) in fields {
        notes.ignored(format_args!("health_checks[0].{field}"), there);
    }
}
