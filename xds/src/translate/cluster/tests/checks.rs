//! Health checks, outlier detection and breakers.

use envoy_types::pb::envoy::config::cluster::v3::circuit_breakers::Thresholds;
use envoy_types::pb::envoy::config::core::v3::health_check::{
    GrpcHealthCheck, HealthChecker, HttpHealthCheck, Payload, TcpHealthCheck, payload,
};
use envoy_types::pb::envoy::r#type::v3::{Int64Range, Percent};
use tidegate_proxy::cluster::health::Probe;

use super::*;

fn number(value: u32) -> Option<protobuf::UInt32Value> {
    Some(protobuf::UInt32Value { value })
}

fn checked(checker: HealthChecker) -> envoy::Cluster {
    with(|cluster| {
        cluster.health_checks = vec![core::HealthCheck {
            timeout: seconds(2),
            interval: seconds(3),
            unhealthy_threshold: number(4),
            healthy_threshold: number(5),
            health_checker: Some(checker),
            ..Default::default()
        }];
    })
}

fn http(start: i64, end: i64) -> HttpHealthCheck {
    HttpHealthCheck {
        path: "/ok".into(),
        host: "a.example".into(),
        expected_statuses: vec![Int64Range { start, end }],
        ..Default::default()
    }
}

#[test]
fn a_check_over_http_says_what_is_good() {
    let config = read(&checked(HealthChecker::HttpHealthCheck(http(200, 300)))).unwrap();
    let check = config.settings.health_check.unwrap();
    assert_eq!((check.timeout.as_secs(), check.interval.as_secs()), (2, 3));
    assert_eq!(
        (check.failures_max, check.successes_min, check.jitter_percent),
        (4, 5, 0)
    );
    let Probe::Http(probe) = check.probe else {
        panic!("{:?}", check.probe);
    };
    assert_eq!((&*probe.path, probe.host.as_deref()), ("/ok", Some("a.example")));
    assert_eq!(probe.expected, [200..=299]);
}

#[test]
fn checks_that_envoy_refuses_are_refused_in_its_words() {
    let http = |start, end| checked(HealthChecker::HttpHealthCheck(http(start, end)));
    refused(
        &http(300, 200),
        "Invalid http expected status range: expecting start < end, but found start=300 and end=200",
    );
    refused(
        &http(10, 200),
        "Invalid http expected status range: expecting start >= 100, but found start=10",
    );
    refused(
        &checked(HealthChecker::GrpcHealthCheck(GrpcHealthCheck::default())),
        "app cluster must support HTTP/2 for gRPC healthchecking",
    );
    let text = Payload {
        payload: Some(payload::Payload::Text("zz".into())),
    };
    let tcp = TcpHealthCheck {
        send: Some(text),
        ..Default::default()
    };
    refused(
        &checked(HealthChecker::TcpHealthCheck(tcp)),
        "invalid hex string 'zz'",
    );
    let broken = read(&with(|cluster| {
        cluster.health_checks = vec![core::HealthCheck::default()];
    }));
    let text = "Proto constraint validation failed (ClusterValidationError.HealthChecks[0]: embedded message failed \
                validation | caused by HealthCheckValidationError.Timeout: value is required)";
    assert_eq!(broken.map(|_| ()).unwrap_err(), Reject::Message(text.to_owned()));
}

#[test]
fn outliers_have_envoys_defaults() {
    let read = |detection: envoy::OutlierDetection| {
        read(&with(|cluster| cluster.outlier_detection = Some(detection)))
            .map(|config| config.settings.outlier.unwrap())
    };
    let usual = read(envoy::OutlierDetection::default()).unwrap();
    assert_eq!(*usual, tidegate_proxy::cluster::OutlierSettings::default());
    let long = envoy::OutlierDetection {
        base_ejection_time: seconds(400),
        ..Default::default()
    };
    assert_eq!(read(long).unwrap().ejection_max.as_secs(), 400);
    let short = envoy::OutlierDetection {
        base_ejection_time: seconds(400),
        max_ejection_time: seconds(300),
        ..Default::default()
    };
    let refusal = "outlier detector's max_ejection_time cannot be smaller than base_ejection_time";
    assert_eq!(read(short).unwrap_err(), Reject::Resource(refusal.into()));
}

#[test]
fn breakers_are_what_is_said_and_a_budget_replaces_the_bound_on_retries() {
    let thresholds = Thresholds {
        max_requests: number(7),
        retry_budget: Some(envoy::circuit_breakers::thresholds::RetryBudget {
            budget_percent: Some(Percent { value: 10.0 }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let high = Thresholds {
        priority: core::RoutingPriority::High as i32,
        max_connections: number(1),
        ..Default::default()
    };
    let settings = read(&with(|cluster| {
        cluster.circuit_breakers = Some(envoy::CircuitBreakers {
            thresholds: vec![thresholds, high],
            ..Default::default()
        });
    }))
    .unwrap()
    .settings;
    let (default, high) = (settings.breakers.default, settings.breakers.high);
    assert_eq!(
        (default.requests, default.connections, default.retries),
        (Some(7), None, None)
    );
    assert_eq!((high.connections, high.retries), (Some(1), Some(3)));
    let budget = settings.retry_budget.unwrap();
    assert_eq!((budget.percent, budget.retries_min), (10.0, 3));
}

#[test]
fn a_check_over_http_has_the_method_and_the_fields_that_are_said() {
    let read_probe = |value: &str| {
        let header = core::HeaderValue {
            key: "x-check".into(),
            value: value.into(),
            ..Default::default()
        };
        let mut http = http(200, 201);
        http.method = core::RequestMethod::Head as i32;
        http.request_headers_to_add = vec![core::HeaderValueOption {
            header: Some(header),
            ..Default::default()
        }];
        let config = read(&checked(HealthChecker::HttpHealthCheck(http)))?;
        match config.settings.health_check.unwrap().probe {
            Probe::Http(probe) => Ok(probe),
            probe => panic!("{probe:?}"),
        }
    };
    let probe = read_probe("one").unwrap();
    assert_eq!(probe.method, ::http::Method::HEAD);
    assert_eq!(probe.fields["x-check"], "one");
    let refused: Reject = read_probe("%START_TIME%").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "health_checks[0].http_health_check.request_headers_to_add: x-check: it is not supported, and traffic would go \
         otherwise without it"
    );
}
