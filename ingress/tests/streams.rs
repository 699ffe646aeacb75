//! Do streams and connections end after as long, and as much, as in Envoy, and with the same words?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;

use support::{Gateway, Ports, one_listener};
use tidegate_testkit::client::get;
use tidegate_testkit::envoy::Envoy;
use tidegate_testkit::peers;
use tidegate_testkit::program::Program;
use tidegate_testkit::upstream::{RawConnection, RawUpstream};
use tidegate_testkit::wait::eventually;
use tidegate_testkit::wire::Wire;

/// A listener whose streams last a while at most, and whose connections have two requests.
fn bootstrap(upstream: SocketAddr) -> String {
    let manager = r#"
delayed_close_timeout: 0.3s
common_http_protocol_options: {max_stream_duration: 0.3s, max_requests_per_connection: 2}
access_log:
- name: out
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
    log_format:
      text_format_source:
        inline_string: "line %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n""#;
    let hosts = "
- name: v
  domains: ['*']
  routes:
  - {match: {prefix: /direct}, direct_response: {status: 413}}
  - match: {prefix: /route}
    route: {cluster: app, timeout: 0.1s, max_stream_duration: {max_stream_duration: 0.5s}}
  - {match: {prefix: /}, route: {cluster: app, timeout: 0s}}";
    one_listener::bootstrap(upstream, manager, hosts)
}

/// One that begins a response to `/begin`, and answers nothing.
async fn silent() -> RawUpstream {
    RawUpstream::start(async |mut connection: RawConnection| {
        if connection.wire.head().await.start_line().contains("/begin") {
            let begun = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegun";
            connection.wire.send(begun).await;
        }
        connection.wire.rest().await;
    })
    .await
}

/// The status, the body and the `connection` of what `request` gets.
async fn told(address: SocketAddr, request: &str) -> String {
    let mut wire = Wire::connect(address).await;
    wire.send(request).await;
    let message = wire.message().await;
    let connection = message.head.header("connection").unwrap_or_default();
    format!("{} '{}' {connection}", message.status(), message.text())
}

/// What clients are told, the lines of the log, and what was counted.
async fn see(admin: SocketAddr, output: impl Fn() -> Vec<String>) -> [Vec<String>; 3] {
    let address = one_listener::address(admin).await;
    let upload = "host: a\r\ncontent-length: 1000000\r\n\r\nsome";
    let mut clients = vec![
        told(address, "GET /none HTTP/1.1\r\nhost: a\r\n\r\n").await,
        told(address, "GET /route HTTP/1.1\r\nhost: a\r\n\r\n").await,
        told(address, &format!("POST /upload HTTP/1.1\r\n{upload}")).await,
        told(address, &format!("POST /direct HTTP/1.1\r\n{upload}")).await,
    ];
    let mut begun = Wire::connect(address).await;
    begun.send("GET /begin HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = begun.head().await.status();
    clients.push(format!(
        "{head} {}",
        String::from_utf8(begun.rest().await).unwrap()
    ));
    let mut spent = Wire::connect(address).await;
    for _ in 0..2 {
        spent.send("GET /direct HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let message = spent.message().await;
        clients.push(message.head.header("connection").unwrap_or_default());
    }
    let log = eventually("all lines", async || {
        let mut all = output();
        all.retain(|line| line.starts_with("line "));
        (all.len() == 7).then_some(all).ok_or(output().join("\n"))
    });
    const COUNTED: &str = "http.edge.downstream_(rq_max_duration|cx_max_requests)_reached";
    let stats = get(admin, "localhost", &format!("/stats?filter={COUNTED}")).await;
    let stats = stats.text().lines().map(str::to_owned).collect();
    [clients, log.await, stats]
}

#[tokio::test]
async fn streams_end_as_envoys_do() {
    let Some(program) = peers::envoy("the comparison of how streams end") else {
        return;
    };
    let upstream = silent().await;
    let bootstrap = bootstrap(upstream.address());
    let mut envoy = Envoy::start(&program, &bootstrap).await;
    envoy.live().await;
    let admin = envoy.admin();
    let envoy = envoy.program();
    let expected = see(admin, || envoy.output()).await;
    let start = Program::new(env!("CARGO_BIN_EXE_tidegate-ingress"));
    let gateway = Gateway::of(start, &bootstrap, Ports::free(), &[]);
    let seen = see(gateway.admin().await, || gateway.program.output()).await;
    assert_eq!(seen, expected);
}
