//! Do listeners drain as Envoy's do, whoever asks for it?

mod support;

use support::load::Load;
use support::{Gateway, Ports, items};
use tidegate_testkit::client::{Client, get};
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
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
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
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
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
async fn a_gradual_drain_asks_more_and_more_clients_to_close() {
    let (gateway, _control_plane) = gateway(&["--drain-strategy", "gradual", "--drain-time-s", "4"]).await;
    gateway.tells("/drain_listeners?graceful&skip_exit").await;
    // Everybody is asked in the end; until then each answer says how far it has got.
    let mut asked = Vec::new();
    eventually("an end", async || {
        let answer = get(gateway.external(), NOBODY, "/").await;
        asked.push(answer.header("connection") == Some("close"));
        asked.iter().rev().take(50).filter(|closes| **closes).count() == 50
    })
    .await;
    let (early, late) = asked.split_at(asked.len() / 2);
    let share = |part: &[bool]| part.iter().filter(|closes| **closes).count() * 100 / part.len();
    assert!(asked.contains(&false) && share(early) < share(late), "{asked:?}");
    assert_eq!(gateway.asks("/ready").await.text(), "LIVE\n");
}

#[tokio::test]
async fn an_immediate_drain_fails_no_request_while_it_accepts() {
    let upstream = Upstream::fixed(http::StatusCode::OK, "hello").await;
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let service = Service::numbered(1, vec![upstream.address()]);
    control_plane.set(&items(std::slice::from_ref(&service), ports));
    let gateway = Gateway::start(&control_plane, ports);
    let host = service.external_host();
    gateway.answers(&host, 200).await;
    let mut load = Load::start(gateway.external(), std::slice::from_ref(&host));
    load.goes_on(50).await;
    gateway.tells("/drain_listeners?graceful&skip_exit").await;
    load.goes_on(200).await;
    gateway.tells("/healthcheck/fail").await;
    load.goes_on(200).await;
    gateway.tells("/healthcheck/ok").await;
    assert!(load.ends().await > 400);
}

#[tokio::test]
async fn what_a_client_still_sends_does_not_turn_the_end_after_a_drain_into_a_reset() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let service = Service::numbered(1, vec![upstream.address()]);
    control_plane.set(&items(std::slice::from_ref(&service), ports));
    let mut gateway = Gateway::start_with(control_plane.address(), ports, &["--drain-on-sigterm", "600"]);
    gateway.answers(NOBODY, 404).await;
    let mut wire = Wire::connect(gateway.external()).await;
    let host = service.external_host();
    wire.send(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
    upstream.runs(1).await;
    // Requests behind the one that is not answered: nobody reads them.
    let next = format!(
        "GET / HTTP/1.1\r\nhost: {host}\r\nx-padding: {}\r\n\r\n",
        "x".repeat(8000)
    );
    wire.send(next.repeat(40)).await;
    gateway.tells("/healthcheck/fail").await;
    assert!(gateway.program.stop().await.success());
    wire.ends().await;
}

#[tokio::test]
async fn quitquitquit_ends_the_program() {
    let (mut gateway, _control_plane) = gateway(&[]).await;
    gateway.tells("/quitquitquit").await;
    assert!(gateway.program.exit().await.success());
}
