//! Does a `tcp_proxy` treat connections as Envoy's does, and say the same of them in logs and statistics?

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use support::{Gateway, Ports, one_listener};
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::client::{Client, get};
use tidegate_testkit::envoy::Envoy;
use tidegate_testkit::peers;
use tidegate_testkit::program::Program;
use tidegate_testkit::tls;
use tidegate_testkit::upstream::{RawConnection, RawUpstream, Upstream, nobody};
use tidegate_testkit::wait::eventually;
use tidegate_testkit::wire::Wire;

/// What the listeners are called, and where their bytes go.
const LISTENERS: [(&str, &str); 5] = [
    ("there", "cluster: app"),
    (
        "split",
        "weighted_clusters: {clusters: [{name: app, weight: 1}, {name: app, weight: 3}]}",
    ),
    ("dead", "cluster: dead, max_connect_attempts: 3"),
    ("missing", "cluster: missing"),
    ("empty", "cluster: empty"),
];

/// A listener for each, whose log line begins with its name.
fn bootstrap(upstream: SocketAddr, dead: SocketAddr) -> String {
    let listener = |(name, to): (&str, &str)| {
        format!(
            "
  - name: {name}
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: tcp
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: {name}
          {}
          access_log:
          - name: out
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format: {{text_format_source: {{inline_string: \"{LINE} {name} %PROTOCOL% %REQ(:METHOD)% \
              %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% \
              %BYTES_SENT% %UPSTREAM_CLUSTER% %UPSTREAM_HOST%\\n\"}}}}",
            to.replace(", max", "\n          max")
        )
    };
    format!(
        "node: {{id: one, cluster: two}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
static_resources:
  clusters: [{}, {}, {{name: empty, type: STATIC}}]
  listeners:{}
",
        one_listener::cluster("app", upstream, ""),
        one_listener::cluster("dead", dead, ""),
        LISTENERS.map(listener).concat()
    )
}

const LINE: &str = "access-log-line";

/// What one client of each listener saw, what was logged, and what was counted.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    clients: Vec<String>,
    log: Vec<String>,
    stats: Vec<String>,
}

async fn client(address: SocketAddr, speaks: bool) -> String {
    let mut wire = Wire::connect(address).await;
    if speaks {
        wire.send("hello").await;
        wire.half_close().await;
    }
    String::from_utf8(wire.rest().await).unwrap()
}

/// Where the listener of this name listens.
async fn listener(admin: SocketAddr, name: &str) -> SocketAddr {
    eventually(name, async || {
        let all = get(admin, "localhost", "/listeners").await.text();
        let mut lines = all.lines().filter_map(|line| line.split_once("::"));
        let found = lines.find(|(listener, _)| *listener == name)?;
        found.1.parse::<SocketAddr>().ok().filter(|at| at.port() != 0)
    })
    .await
}

async fn see(admin: SocketAddr, output: impl Fn() -> Vec<String>) -> Seen {
    let mut clients = Vec::new();
    for (name, _) in LISTENERS {
        let speaks = ["there", "split"].contains(&name);
        clients.push(client(listener(admin, name).await, speaks).await);
    }
    let log = eventually("a line for each", async || {
        let lines: Vec<_> = output()
            .into_iter()
            .filter(|line| line.starts_with(LINE))
            .collect();
        (lines.len() == LISTENERS.len()).then_some(lines)
    })
    .await;
    const COUNTED: &str = "^tcp|upstream_cx_(connect_attempts_exceeded|connect_fail|none_healthy)";
    let path = format!("/stats?filter={COUNTED}");
    let stats = get(admin, "localhost", &path.replace('^', "%5E").replace('|', "%7C")).await;
    Seen {
        clients,
        log,
        stats: stats.text().lines().map(str::to_owned).collect(),
    }
}

#[tokio::test]
async fn clients_logs_and_statistics_are_envoys() {
    let Some(program) = peers::envoy("the comparison of a tcp_proxy") else {
        return;
    };
    let upstream = RawUpstream::start(async |mut connection: RawConnection| {
        let all = connection.wire.rest().await;
        connection.wire.send([b"you said ", &*all].concat()).await;
    })
    .await;
    let bootstrap = bootstrap(upstream.address(), nobody().await);
    let mut envoy = Envoy::start(&program, &bootstrap).await;
    envoy.live().await;
    let admin = envoy.admin();
    let envoy = envoy.program();
    let expected = see(admin, || envoy.output()).await;
    let start = Program::new(env!("CARGO_BIN_EXE_tidegate-ingress"));
    let gateway = Gateway::of(start, &bootstrap, Ports::free(), &[]);
    let seen = see(gateway.admin().await, || gateway.program.output()).await;
    assert_eq!(seen, expected);
    assert_eq!(seen.clients[0], "you said hello");
}

/// TLS for one name is passed on, whatever else there is.
fn passing(upstream: SocketAddr) -> String {
    format!(
        "node: {{id: one, cluster: two}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
static_resources:
  clusters: [{}]
  listeners:
  - name: there
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    listener_filters:
    - name: tls
      typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}}
    filter_chains:
    - filter_chain_match: {{server_names: ['{NAME}'], transport_protocol: tls}}
      filters:
      - name: tcp
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: passed
          cluster: app
          access_log:
          - name: out
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format: {{text_format_source: {{inline_string: \"{LINE} %REQUESTED_SERVER_NAME% %DOWNSTREAM_TLS_VERSION% \
              %RESPONSE_FLAGS% %UPSTREAM_CLUSTER%\\n\"}}}}
",
        one_listener::cluster("app", upstream, "")
    )
}

const NAME: &str = "inner.example";

/// What a client for each of these names gets, and the line about the one that got somewhere.
async fn pass(authority: &Authority, admin: SocketAddr, output: impl Fn() -> Vec<String>) -> [String; 3] {
    let (address, config) = (
        listener(admin, "there").await,
        Arc::new(authority.client_config(&["http/1.1"], None)),
    );
    let stream = tls::connect(address, NAME, &config).await.unwrap();
    let mut client = Client::http1_over(stream).await;
    let answer = client.get(NAME, "/").await.status.to_string();
    drop(client);
    let other = tls::connect(address, "other.example", &config).await;
    let line = eventually("a line", async || {
        output().into_iter().find(|line| line.starts_with(LINE))
    });
    [answer, other.is_ok().to_string(), line.await]
}

#[tokio::test]
async fn tls_is_passed_on_by_its_server_name_as_envoy_does() {
    let Some(program) = peers::envoy("the comparison of TLS that is passed on") else {
        return;
    };
    let authority = Authority::new("tests");
    let config = Authority::server_config(&authority.server(NAME), &["http/1.1"], None);
    let upstream = Upstream::echo_tls(config).await;
    let bootstrap = passing(upstream.address());
    let mut envoy = Envoy::start(&program, &bootstrap).await;
    envoy.live().await;
    let admin = envoy.admin();
    let envoy = envoy.program();
    let expected = pass(&authority, admin, || envoy.output()).await;
    let start = Program::new(env!("CARGO_BIN_EXE_tidegate-ingress"));
    let gateway = Gateway::of(start, &bootstrap, Ports::free(), &[]);
    let seen = pass(&authority, gateway.admin().await, || gateway.program.output()).await;
    assert_eq!(seen, expected);
    assert_eq!((&*seen[0], &*seen[1]), ("200 OK", "false"));
}
