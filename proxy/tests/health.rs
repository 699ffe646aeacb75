//! Are endpoints asked whether they are healthy, and believed?

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use support::{CLUSTER, Front, HOST, everything_to, with_endpoints};
use tidegate_proxy::cluster::health::{GrpcProbe, HttpProbe, Probe, TcpProbe};
use tidegate_proxy::cluster::transport::TransportSettings;
use tidegate_proxy::cluster::{
    BalanceSettings, Cluster, ClusterSettings, Endpoint, Health, HealthCheck, Protocol,
};
use tidegate_testkit::body;
use tidegate_testkit::client::get;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream, answer, nobody};
use tidegate_testkit::wait::{eventually, soon};

/// Checks often, and gives nobody a request who is not healthy.
fn settings(probe: Probe, protocol: Protocol) -> ClusterSettings {
    let check = HealthCheck {
        interval: Duration::from_millis(10),
        unhealthy_interval: Duration::from_millis(10),
        timeout: Duration::from_secs(5),
        ..HealthCheck::new(probe)
    };
    ClusterSettings {
        transport: TransportSettings {
            protocol,
            ..TransportSettings::default()
        }
        .into(),
        health_check: Some(check.into()),
        balance: BalanceSettings {
            panic_below_percent: 0,
            ..BalanceSettings::default()
        }
        .into(),
        ..ClusterSettings::new(CLUSTER)
    }
}

async fn becomes(cluster: &Cluster, index: usize, health: Health) {
    eventually(&format!("{health:?}"), async || {
        cluster.endpoints()[index].health() == health
    })
    .await;
}

/// Answers `/healthz` with the status that is set, everything else with 200.
async fn app(status: &Arc<AtomicU16>) -> Upstream {
    let status = Arc::clone(status);
    Upstream::start(move |request: Request<Incoming>| {
        let healthy = StatusCode::from_u16(status.load(Ordering::SeqCst)).unwrap_or_default();
        let status = if request.uri().path() == "/healthz" {
            healthy
        } else {
            StatusCode::OK
        };
        async move { answer(status, "app") }
    })
    .await
}

#[tokio::test]
async fn who_says_that_it_is_unhealthy_gets_nothing_until_it_is_better() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let status = Arc::new(AtomicU16::new(200));
        let app = app(&status).await;
        let settings = settings(Probe::Http(HttpProbe::get("/healthz")), protocol);
        let cluster = with_endpoints(settings, &[app.address()]);
        let front = Front::start(everything_to(&cluster, None));
        cluster.watch(&front.watch);
        becomes(&cluster, 0, Health::Healthy).await;
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
        status.store(503, Ordering::SeqCst);
        becomes(&cluster, 0, Health::Unhealthy).await;
        assert_eq!(get(front.address, HOST, "/").await.status, 503);
        status.store(200, Ordering::SeqCst);
        becomes(&cluster, 0, Health::Healthy).await;
        let first = &app.seen()[0];
        let host = first.headers.get("host").and_then(|host| host.to_str().ok());
        assert_eq!(host.or(first.uri.host()), Some(CLUSTER));
    }
}

#[tokio::test]
async fn a_newcomer_gets_nothing_before_it_has_passed_a_check() {
    let (old, new) = (Upstream::echo().await, nobody().await);
    let cluster = with_endpoints(
        settings(Probe::Tcp(TcpProbe::default()), Protocol::Http1),
        &[old.address()],
    );
    let front = Front::start(everything_to(&cluster, None));
    cluster.watch(&front.watch);
    becomes(&cluster, 0, Health::Healthy).await;
    let endpoints = [old.address(), new].map(|address| Arc::new(Endpoint::new(address)));
    cluster.set_endpoints(endpoints.to_vec());
    for _ in 0..10 {
        assert_eq!(get(front.address, HOST, "/").await.status, 200);
    }
    assert_eq!(cluster.endpoints()[1].health(), Health::Unhealthy);
}

#[tokio::test]
async fn a_degraded_one_says_so_in_a_header() {
    let app = Upstream::start(async |_| {
        let mut response = answer(StatusCode::OK, "app");
        response
            .headers_mut()
            .insert("x-degraded", http::HeaderValue::from_static("yes"));
        response
    })
    .await;
    let probe = HttpProbe {
        degraded_header: Some(http::HeaderName::from_static("x-degraded")),
        ..HttpProbe::get("/")
    };
    let cluster = with_endpoints(settings(Probe::Http(probe), Protocol::Http1), &[app.address()]);
    let front = Front::start(everything_to(&cluster, None));
    cluster.watch(&front.watch);
    becomes(&cluster, 0, Health::Degraded).await;
    assert_eq!(get(front.address, HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_check_may_have_another_method_and_fields_of_its_own() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let app = app(&Arc::new(AtomicU16::new(200))).await;
        let field = |name: &'static str, value: &'static str| {
            let value = http::HeaderValue::from_static(value);
            (http::HeaderName::from_static(name), value)
        };
        let probe = HttpProbe {
            method: http::Method::OPTIONS,
            fields: [field("user-agent", "checker"), field("x-check", "1")]
                .into_iter()
                .collect(),
            ..HttpProbe::get("/healthz")
        };
        let cluster = with_endpoints(settings(Probe::Http(probe), protocol), &[app.address()]);
        let front = Front::start(everything_to(&cluster, None));
        cluster.watch(&front.watch);
        becomes(&cluster, 0, Health::Healthy).await;
        let seen = app.seen().remove(0);
        assert_eq!(seen.method, http::Method::OPTIONS, "{protocol:?}");
        let fields = (seen.header("user-agent"), seen.header("x-check"));
        assert_eq!(fields, (Some("checker"), Some("1")), "{protocol:?}");
    }
}

#[tokio::test]
async fn bytes_are_exchanged_over_tcp() {
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        connection.wire.send("+PONG\r\n").await;
        connection.wire.rest().await;
    })
    .await;
    let probe = |receive| {
        Probe::Tcp(TcpProbe {
            send: Bytes::from_static(b"PING\r\n"),
            receive: vec![Bytes::from_static(receive)],
        })
    };
    let right = with_endpoints(settings(probe(b"PONG"), Protocol::Http1), &[upstream.address()]);
    let front = Front::start(everything_to(&right, None));
    right.watch(&front.watch);
    becomes(&right, 0, Health::Healthy).await;
}

/// Answers health checks of `service` with `status`, of others with NOT_FOUND.
async fn grpc(service: &'static [u8], status: u8) -> Upstream {
    Upstream::start(move |request: Request<Incoming>| async move {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        let asked = request
            .into_body()
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        let known = asked.get(5..) == Some(service);
        let (message, code) = if known {
            (vec![0, 0, 0, 0, 2, 8, status], "0")
        } else {
            (Vec::new(), "5")
        };
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static(code),
        )]);
        let body = Full::new(Bytes::from(message)).with_trailers(async move { Some(Ok(trailers)) });
        Response::new(body::Body::new(body.map_err(|never| match never {})))
    })
    .await
}

#[tokio::test]
async fn a_grpc_service_says_whether_it_serves() {
    let check = async |service: &'static [u8], status, expected| {
        let upstream = grpc(service, status).await;
        let probe = Probe::Grpc(GrpcProbe {
            service: "app".into(),
            authority: None,
        });
        let cluster = with_endpoints(settings(probe, Protocol::Http2), &[upstream.address()]);
        let front = Front::start(everything_to(&cluster, None));
        cluster.watch(&front.watch);
        becomes(&cluster, 0, expected).await;
    };
    check(b"\x0a\x03app", 1, Health::Healthy).await;
    check(b"\x0a\x03app", 2, Health::Unhealthy).await;
    check(b"\x0a\x05other", 1, Health::Unhealthy).await;
}

#[tokio::test]
async fn checks_end_with_the_cluster_and_with_the_drain() {
    let app = Upstream::echo().await;
    let probe = || settings(Probe::Http(HttpProbe::get("/")), Protocol::Http1);
    let front = Front::to(app.address());
    let cluster = with_endpoints(probe(), &[app.address()]);
    cluster.watch(&front.watch);
    becomes(&cluster, 0, Health::Healthy).await;
    let weak = Arc::downgrade(&cluster);
    drop(cluster);
    eventually("the end of the cluster", async || weak.upgrade().is_none()).await;
    let cluster = with_endpoints(probe(), &[app.address()]);
    cluster.watch(&front.watch);
    becomes(&cluster, 0, Health::Healthy).await;
    soon("the end of the drain", front.drain.finish(Duration::from_secs(8))).await;
    eventually("the end of the checks", async || Arc::strong_count(&cluster) == 1).await;
}
