//! Probes against real servers (checks QP-31 to QP-40).

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use tidegate_knative::object::{HttpHeader, Scheme};
use tidegate_testkit::gate::Gate;
use tidegate_testkit::upstream::{self, RawConnection, RawUpstream, Upstream, answer};
use tidegate_testkit::{BoxError, body};
use tokio::net::TcpSocket;

use super::*;

mod detected;

const DECLARED_PORT: u16 = 8080;
/// Fast enough for tests, and no busy loop.
const PACE: Pace = Pace {
    eager: EAGER_POLL,
    eager_for: EAGER_POLL_FOR,
    patient: EAGER_POLL,
};
const LONG: Duration = Duration::from_secs(8);

fn probe(handler: ProbeHandler) -> Probe {
    Probe {
        handler,
        initial_delay_seconds: 0,
        timeout_seconds: 0,
        period_seconds: 0,
        success_threshold: 1,
        failure_threshold: 0,
    }
}

fn ready_probe(handler: ProbeHandler) -> ReadinessProbe {
    ReadinessProbe::new(&probe(handler), DECLARED_PORT).unwrap()
}

fn tcp() -> ProbeHandler {
    ProbeHandler::TcpSocket {
        port: PortRef::default(),
        host: None,
    }
}

fn http(path: &str) -> ProbeHandler {
    ProbeHandler::HttpGet {
        path: path.to_owned(),
        port: PortRef::default(),
        host: None,
        scheme: Scheme::Http,
        http_headers: Vec::new(),
    }
}

fn grpc() -> ProbeHandler {
    ProbeHandler::Grpc {
        port: PortRef::default(),
        service: "shop".to_owned(),
    }
}

async fn attempt(handler: ProbeHandler, address: SocketAddr) -> Result<(), String> {
    let probe = ReadinessProbe {
        attempt_timeout: LONG,
        ..ready_probe(handler)
    };
    probe
        .attempt(&Replica::at(address))
        .await
        .map_err(|failure| failure.to_string())
}

/// Answers one status after the other, and the last one from then on.
async fn answering(statuses: &'static [u16]) -> Upstream {
    let next = AtomicUsize::new(0);
    Upstream::start(move |_| {
        let index = next.fetch_add(1, Ordering::SeqCst).min(statuses.len() - 1);
        async move { answer(StatusCode::from_u16(statuses[index]).unwrap(), "") }
    })
    .await
}

/// Answers every call with this message and `grpc-status`.
async fn health_service(message: &'static [u8], status: &'static str) -> Upstream {
    Upstream::start(move |_| async move {
        let mut framed = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
        framed.extend_from_slice(message);
        let trailers = HeaderMap::from_iter([(
            HeaderName::from_static("grpc-status"),
            HeaderValue::from_static(status),
        )]);
        let with_trailers = Full::new(framed.into())
            .map_err(|never| -> BoxError { match never {} })
            .with_trailers(async { Some(Ok(trailers)) });
        Response::new(body::boxed(with_trailers))
    })
    .await
}

#[tokio::test]
async fn qp_31_a_port_is_ready_when_it_accepts() {
    let upstream = Upstream::echo().await;
    assert_eq!(attempt(tcp(), upstream.address()).await, Ok(()));
    let nobody = upstream::nobody().await;
    let failure = attempt(tcp(), nobody).await.unwrap_err();
    assert!(
        failure.starts_with(&format!("connect to {nobody}: ")),
        "{failure}"
    );
}

#[tokio::test]
async fn qp_32_a_get_carries_path_query_agent_and_headers() {
    let upstream = Upstream::echo().await;
    let header = |name: &str, value: &str| HttpHeader {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let handler = ProbeHandler::HttpGet {
        path: "/ready?deep=1".to_owned(),
        port: PortRef::Name(DECLARED_PORT.to_string()),
        host: Some("localhost".to_owned()),
        scheme: Scheme::Http,
        http_headers: vec![header("X-Probe", "yes"), header("Host", "ignored.example")],
    };
    assert_eq!(attempt(handler, upstream.address()).await, Ok(()));
    let seen = upstream.seen().remove(0);
    assert_eq!(seen.uri, "/ready?deep=1");
    assert_eq!(seen.header("user-agent"), Some("kube-probe//"));
    assert_eq!(seen.header("x-probe"), Some("yes"));
    let host = format!("localhost:{}", upstream.address().port());
    assert_eq!(seen.header("host"), Some(host.as_str()));
}

/// An application that leads around: `/0` to `/1` and so on up to `/end`, which is well.
async fn leading_around(end: usize) -> Upstream {
    Upstream::start(move |request| {
        let place: usize = request
            .uri()
            .path()
            .trim_start_matches('/')
            .parse()
            .unwrap_or_default();
        let mut response = answer(StatusCode::NO_CONTENT, "");
        if place < end {
            *response.status_mut() = StatusCode::FOUND;
            let next = HeaderValue::try_from(format!("/{}", place + 1)).unwrap();
            response.headers_mut().insert("location", next);
        }
        async { response }
    })
    .await
}

#[tokio::test]
async fn qp_32_redirects_are_followed_for_ten_requests() {
    for (redirects, is_ready) in [(1, true), (9, true), (10, false)] {
        let upstream = leading_around(redirects).await;
        let got = attempt(http("/0"), upstream.address()).await;
        assert_eq!(got.is_ok(), is_ready, "{redirects}: {got:?}");
        let seen = upstream.seen();
        assert_eq!(seen.len(), (redirects + 1).min(10));
        assert_eq!(seen.last().unwrap().header("user-agent"), Some("kube-probe//"));
    }
}

#[tokio::test]
async fn qp_32_secrets_stay_with_the_host_that_they_are_for() {
    let there = Upstream::echo().await;
    for (host, keeps) in [("localhost", true), ("127.0.0.1", false)] {
        let next = format!("http://{host}:{}/", there.address().port());
        let here = Upstream::start(move |_request| {
            let mut response = answer(StatusCode::FOUND, "");
            let next = HeaderValue::try_from(&next).unwrap();
            response.headers_mut().insert("location", next);
            async { response }
        })
        .await;
        let header = |name: &str| HttpHeader {
            name: name.to_owned(),
            value: "x".to_owned(),
        };
        let secrets = ["Authorization", "Cookie", "Cookie2", "WWW-Authenticate"];
        let handler = ProbeHandler::HttpGet {
            path: "/".to_owned(),
            port: PortRef::Name(DECLARED_PORT.to_string()),
            host: Some("localhost".to_owned()),
            scheme: Scheme::Http,
            http_headers: secrets
                .iter()
                .chain(&["X-Probe"])
                .map(|name| header(name))
                .collect(),
        };
        assert_eq!(attempt(handler, here.address()).await, Ok(()));
        let seen = there.seen().pop().unwrap();
        assert_eq!(seen.header("x-probe"), Some("x"));
        for name in secrets {
            assert_eq!(seen.header(name).is_some(), keeps, "{name} at {host}");
        }
    }
}

#[tokio::test]
async fn a_path_may_lack_its_slash_or_be_empty() {
    let upstream = Upstream::echo().await;
    for (path, expected) in [("", "/"), ("ready", "/ready"), ("//healthz", "//healthz")] {
        assert_eq!(attempt(http(path), upstream.address()).await, Ok(()));
        assert_eq!(upstream.seen().last().unwrap().uri, expected);
    }
}

#[tokio::test]
async fn qp_33_a_get_is_judged_by_its_status() {
    for (status, is_ready) in [
        (200, true),
        (204, true),
        (302, true),
        (399, true),
        (400, false),
        (503, false),
    ] {
        let upstream = Upstream::fixed(StatusCode::from_u16(status).unwrap(), "").await;
        let result = attempt(http("/up"), upstream.address()).await;
        let refusal = Err(format!("GET /up answered {status}, not 200 to 399"));
        assert_eq!(result, if is_ready { Ok(()) } else { refusal });
    }
}

#[tokio::test]
async fn qp_33_a_server_that_breaks_off_is_not_ready() {
    let silent = RawUpstream::start(async |_| {}).await;
    let failure = attempt(http("/"), silent.address()).await.unwrap_err();
    assert!(failure.starts_with("HTTP/1.1: "), "{failure}");
    let failure = attempt(grpc(), silent.address()).await.unwrap_err();
    assert!(failure.starts_with("HTTP/2: "), "{failure}");
}

#[tokio::test]
async fn qp_33_an_attempt_of_an_aggressive_probe_is_short() {
    let upstream = Upstream::held(&Gate::closed()).await;
    let failure = ready_probe(http("/"))
        .attempt(&Replica::at(upstream.address()))
        .await
        .unwrap_err();
    assert_eq!(failure.to_string(), "no answer within 100ms");
}

#[tokio::test]
async fn qp_35_a_grpc_service_is_ready_when_it_serves() {
    let upstream = health_service(&[0x08, 1], "0").await;
    assert_eq!(attempt(grpc(), upstream.address()).await, Ok(()));
    let seen = upstream.seen().remove(0);
    assert_eq!(seen.uri.path(), "/grpc.health.v1.Health/Check");
    assert_eq!(seen.header("content-type"), Some("application/grpc"));
    assert_eq!(seen.header("te"), Some("trailers"));
}

#[tokio::test]
async fn qp_35_a_grpc_service_that_does_not_serve_says_why() {
    for (message, status, expected) in [
        (&[0x08, 2][..], "0", "the gRPC health service answered NotServing"),
        (
            &[][..],
            "5",
            "the gRPC health service failed: grpc-status 5, message none",
        ),
    ] {
        let upstream = health_service(message, status).await;
        assert_eq!(
            attempt(grpc(), upstream.address()).await,
            Err(expected.to_owned())
        );
    }
    let not_grpc = Upstream::fixed(StatusCode::NOT_FOUND, "").await;
    let failure = attempt(grpc(), not_grpc.address()).await.unwrap_err();
    assert_eq!(failure, "the gRPC health service answered HTTP status 404");
}

#[derive(Debug)]
struct Commands;

impl RunCommand for Commands {
    fn run<'a>(
        &'a self,
        command: &'a [String],
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            if command.last().is_some_and(|last| last == "good") {
                Ok(())
            } else {
                Err("exit status 3".into())
            }
        })
    }
}

#[tokio::test]
async fn qp_36_a_command_needs_somebody_who_runs_it() {
    let exec = |words: &[&str]| {
        ready_probe(ProbeHandler::Exec {
            command: words.iter().map(|&word| word.into()).collect(),
        })
    };
    let replica = Replica::at(upstream::nobody().await);
    let failure = exec(&["check", "good"]).attempt(&replica).await.unwrap_err();
    assert_eq!(failure.to_string(), "exec probe not supported");
    let replica = replica.with_commands(&Commands);
    exec(&["check", "good"]).attempt(&replica).await.unwrap();
    let failure = exec(&["check", "bad"]).attempt(&replica).await.unwrap_err();
    assert_eq!(failure.to_string(), r#"command "check": exit status 3"#);
}

#[test]
fn a_probe_that_cannot_succeed_is_refused() {
    let with = |scheme, name: &str| ProbeHandler::HttpGet {
        path: "/".to_owned(),
        port: PortRef::default(),
        host: None,
        scheme,
        http_headers: vec![HttpHeader {
            name: name.to_owned(),
            value: String::new(),
        }],
    };
    for (handler, expected) in [
        (with(Scheme::Http, "a b"), InvalidProbe::Header("a b".to_owned())),
        (http("/a b"), InvalidProbe::Path("/a b".to_owned())),
        (
            ProbeHandler::Exec { command: Vec::new() },
            InvalidProbe::EmptyCommand,
        ),
    ] {
        assert_eq!(
            ReadinessProbe::new(&probe(handler), DECLARED_PORT).unwrap_err(),
            expected
        );
    }
}

#[tokio::test]
async fn qp_37_a_standard_attempt_takes_the_time_it_was_given() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let slow = Probe {
        period_seconds: 10,
        timeout_seconds: 8,
        ..probe(http("/"))
    };
    let slow = ReadinessProbe::new(&slow, DECLARED_PORT).unwrap();
    let replica = Replica::at(upstream.address());
    let open = async {
        upstream.runs(1).await;
        gate.open();
    };
    let (result, ()) = tokio::join!(slow.attempt(&replica), open);
    result.unwrap();
    assert_eq!(upstream.seen().len(), 1, "one attempt");
}

#[tokio::test]
async fn qp_37_a_standard_attempt_takes_no_longer_than_it_was_given() {
    let upstream = Upstream::held(&Gate::closed()).await;
    let short = Probe {
        period_seconds: 10,
        timeout_seconds: 1,
        ..probe(http("/"))
    };
    let short = ReadinessProbe::new(&short, DECLARED_PORT).unwrap();
    let failure = short.attempt(&Replica::at(upstream.address())).await.unwrap_err();
    assert_eq!(failure.to_string(), "no answer within 1s");
    assert_eq!(upstream.seen().len(), 1, "one attempt");
}

#[tokio::test]
async fn qp_38_a_server_that_fails_at_first_becomes_ready() {
    let upstream = answering(&[503, 500, 404, 200]).await;
    let ready = ready_probe(http("/"))
        .until_ready(&Replica::at(upstream.address()), &PACE, LONG)
        .await;
    assert_eq!(ready.unwrap().attempts, 4);
}

#[tokio::test]
async fn qp_39_successes_must_follow_each_other() {
    let upstream = answering(&[200, 200, 503, 200, 200, 200, 503]).await;
    let thrice = Probe {
        success_threshold: 3,
        ..probe(http("/"))
    };
    let thrice = ReadinessProbe::new(&thrice, DECLARED_PORT).unwrap();
    let ready = thrice
        .until_ready(&Replica::at(upstream.address()), &PACE, LONG)
        .await;
    assert_eq!(ready.unwrap().attempts, 6);
}

#[tokio::test]
async fn a_server_that_comes_up_late_is_found() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = socket.local_addr().unwrap();
    let probe = ready_probe(tcp());
    let replica = Replica::at(address);
    let failure = probe.attempt(&replica).await.unwrap_err();
    assert!(matches!(failure, Failure::Connect { .. }), "{failure}");
    let come_up = async { socket.listen(1).unwrap() };
    let (ready, _listener) = tokio::join!(probe.until_ready(&replica, &Pace::LOCAL, LONG), come_up);
    assert_eq!(ready.unwrap().attempts, 2);
}

#[tokio::test]
async fn a_replica_that_does_not_come_up_is_given_up_with_its_last_failure() {
    let upstream = answering(&[500]).await;
    let limit = Duration::from_millis(30);
    let not_ready = ready_probe(http("/"))
        .until_ready(&Replica::at(upstream.address()), &PACE, limit)
        .await;
    let not_ready = not_ready.unwrap_err();
    assert!(not_ready.attempts >= 1);
    assert!(
        not_ready
            .to_string()
            .ends_with(": GET / answered 500, not 200 to 399"),
        "{not_ready}"
    );
}

#[test]
fn only_connecting_in_vain_is_repeated_eagerly() {
    let connect = Failure::Connect {
        address: String::new(),
        source: std::io::ErrorKind::ConnectionRefused.into(),
    };
    let status = Failure::Status {
        path: "/".to_owned(),
        status: 503,
    };
    let command = Failure::Command {
        command: "check".to_owned(),
        message: String::new(),
    };
    let early = EAGER_POLL_FOR / 2;
    for (failure, elapsed, expected) in [
        (Some(&connect), early, EAGER_POLL),
        (Some(&connect), EAGER_POLL_FOR, POLL),
        (Some(&status), early, POLL),
        (Some(&command), early, COMMAND_POLL),
        (None, early, POLL),
    ] {
        assert_eq!(
            Pace::LOCAL.pause_after(failure, elapsed),
            expected,
            "{failure:?} after {elapsed:?}"
        );
    }
    assert_eq!(Pace::SIDECAR.pause_after(Some(&connect), Duration::ZERO), POLL);
}
