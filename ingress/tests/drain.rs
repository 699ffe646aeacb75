//! Do listeners drain as Envoy's do, whoever asks for it?

mod support;

use support::{Gateway, free_ports, items};
use tidegate_testkit::client::Client;
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::gate::Gate;
use tidegate_testkit::kourier::Service;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::eventually;
use tidegate_testkit::wire::Wire;
use tokio::net::TcpStream;

const NOBODY: &str = "nobody.example.com";

/// A gateway that serves, and what it serves by.
async fn gateway(flags: &[&str]) -> (Gateway, ControlPlane) {
    let (control_plane, ports) = (ControlPlane::start().await, free_ports());
    control_plane.set(&items(&[], ports));
    let gateway = Gateway::start_with(control_plane.address(), ports, flags);
    gateway.answers(NOBODY, 404).await;
    (gateway, control_plane)
}

#[tokio::test]
async fn a_graceful_drain_closes_by_responses_and_stops_accepting_when_its_time_is_over() {
    let (gateway, _control_plane) = gateway(&["--drain-time-s", "2"]).await;
    let mut standing = Client::http1(gateway.external()).await;
    assert_eq!(standing.get(NOBODY, "/").await.header("connection"), None);
    gateway.tells("/drain_listeners?graceful").await;
    eventually("a response that ends its connection", async || {
        let mut client = Client::http1(gateway.external()).await;
        client.get(NOBODY, "/").await.header("connection") == Some("close")
    })
    .await;
    assert_eq!(
        standing.get(NOBODY, "/").await.header("connection"),
        Some("close")
    );
    assert_eq!(gateway.asks("/ready").await.text(), "LIVE\n");
    eventually("closed ports", async || {
        TcpStream::connect(gateway.external()).await.is_err()
    })
    .await;
    assert_eq!(gateway.asks("/ready").await.text(), "LIVE\n");
}

#[tokio::test]
async fn a_drain_that_is_not_graceful_stops_accepting_at_once_and_keeps_connections() {
    let (gateway, _control_plane) = gateway(&["--drain-time-s", "600"]).await;
    let mut standing = Client::http1(gateway.external()).await;
    assert_eq!(standing.get(NOBODY, "/").await.status, 404);
    gateway.tells("/drain_listeners").await;
    eventually("closed ports", async || {
        TcpStream::connect(gateway.external()).await.is_err()
    })
    .await;
    assert_eq!(
        standing.get(NOBODY, "/").await.header("connection"),
        Some("close")
    );
}

#[tokio::test]
async fn a_failed_health_check_says_draining_and_ends_every_connection_until_it_is_taken_back() {
    let (gateway, _control_plane) = gateway(&[]).await;
    gateway.tells("/healthcheck/fail").await;
    let answer = gateway.asks("/ready").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (503, "DRAINING\n")
    );
    eventually("a response that ends its connection", async || {
        let mut client = Client::http1(gateway.external()).await;
        client.get(NOBODY, "/").await.header("connection") == Some("close")
    })
    .await;
    gateway.tells("/healthcheck/ok").await;
    eventually("a response that does not", async || {
        let mut client = Client::http1(gateway.external()).await;
        client.get(NOBODY, "/").await.header("connection").is_none()
    })
    .await;
}

#[tokio::test]
async fn sigterm_after_a_drain_ends_at_once_whatever_it_was_told_before() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let (control_plane, ports) = (ControlPlane::start().await, free_ports());
    let service = Service::numbered(1, vec![upstream.address()]);
    control_plane.set(&items(std::slice::from_ref(&service), ports));
    let flags = ["--drain-on-sigterm", "600", "--drain-time-s", "600"];
    let mut gateway = Gateway::start_with(control_plane.address(), ports, &flags);
    gateway.answers(NOBODY, 404).await;
    let mut wire = Wire::connect(gateway.external()).await;
    let host = service.external_host();
    wire.send(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
    upstream.runs(1).await;
    gateway.tells("/drain_listeners?graceful").await;
    assert!(gateway.program.stop().await.success());
    wire.ends().await;
}

#[tokio::test]
async fn quitquitquit_ends_the_program() {
    let (mut gateway, _control_plane) = gateway(&[]).await;
    gateway.tells("/quitquitquit").await;
    assert!(gateway.program.exit().await.success());
}
