//! Do listeners move, and hold as many connections, as Envoy's do?

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use support::{Gateway, Ports, edit, items};
use tidegate_testkit::client::get;
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::control_plane::model::{Item, LISTENER};
use tidegate_testkit::envoy::Envoy;
use tidegate_testkit::peers;
use tidegate_testkit::program::Program;
use tidegate_testkit::wait::{eventually, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const NOBODY: &str = "nobody.example.com";

/// Moves the external listener to this IP address.
fn at(items: &mut [Item], ip: &str) {
    edit(items, (LISTENER, "listener_8080"), |listener: &mut Listener| {
        let address = listener
            .address
            .as_mut()
            .and_then(|address| address.address.as_mut());
        let Some(Address::SocketAddress(socket)) = address else {
            panic!("Kourier's listeners have sockets")
        };
        socket.address = ip.to_owned();
    });
}

/// Requests on a new connection each until `over`; none may fail.
async fn asks_anew(address: SocketAddr, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        assert_eq!(get(address, NOBODY, "/").await.status, 404);
    }
}

#[tokio::test]
async fn a_listener_moves_to_an_address_that_contains_its_own_and_back_without_a_refusal() {
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let mut items = items(&[], ports);
    control_plane.set(&items);
    let gateway = Gateway::start(&control_plane, ports);
    gateway.answers(NOBODY, 404).await;
    let elsewhere = SocketAddr::from(([127, 0, 0, 2], ports.external));
    let over = AtomicBool::new(false);
    let moving = async {
        for ip in ["0.0.0.0", "127.0.0.1", "0.0.0.0", "127.0.0.1"] {
            at(&mut items, ip);
            let version = control_plane.set(&items);
            control_plane.accepted(LISTENER, &version).await;
            eventually(&format!("the move to {ip}"), async || {
                TcpStream::connect(elsewhere).await.is_ok() == (ip == "0.0.0.0")
            })
            .await;
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(moving, asks_anew(gateway.external(), &over));
}

/// Two listeners, the second of which no bound holds for.
fn bootstrap(bound: &str) -> String {
    let listener = |name: &str, exempt: bool| {
        format!(
            "
  - name: {name}
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    ignore_global_conn_limit: {exempt}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          route_config:
            virtual_hosts: [{{name: v, domains: ['*'], routes: [{{match: {{prefix: /}}, direct_response: {{status: 200}}}}]}}]
          http_filters:
          - name: router
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}"
        )
    };
    format!(
        "node: {{id: one, cluster: two}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}, ignore_global_conn_limit: true}}
{bound}
static_resources:
  listeners:{}{}
",
        listener("bounded", false),
        listener("exempt", true)
    )
}

const MONITOR: &str = "overload_manager:
  resource_monitors:
  - name: envoy.resource_monitors.global_downstream_max_connections
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
      max_active_downstream_connections: 2";

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

/// Of four connections that stand at once, which are served.
async fn served(address: SocketAddr) -> Vec<bool> {
    let (mut standing, mut served) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // One that is closed at once may not even take it.
        _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let read = soon("an answer or the end", stream.read(&mut [0; 64])).await;
        served.push(read.is_ok_and(|read| read > 0));
        standing.push(stream);
    }
    served
}

/// What the listeners served, and how many connections were counted as too many.
async fn see(admin: SocketAddr) -> ([Vec<bool>; 2], u64) {
    let bounded = served(listener(admin, "bounded").await).await;
    let exempt = served(listener(admin, "exempt").await).await;
    let stats = get(admin, "localhost", "/stats?filter=downstream_global_cx_overflow").await;
    let counted = stats.text();
    let counted = counted.lines().filter(|line| line.starts_with("listener.127"));
    let counted = counted.filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok());
    ([bounded, exempt], counted.sum())
}

async fn ours(bound: &str) -> ([Vec<bool>; 2], u64) {
    let start = Program::new(env!("CARGO_BIN_EXE_tidegate-ingress"));
    let gateway = Gateway::of(start, &bootstrap(bound), Ports::free(), &[]);
    see(gateway.admin().await).await
}

#[tokio::test]
async fn above_the_bound_connections_are_closed_and_counted_where_it_holds() {
    let expected = ([vec![true, true, false, false], vec![true; 4]], 2);
    assert_eq!(ours(MONITOR).await, expected);
    let runtime = "layered_runtime: {layers: [{name: s, static_layer: {overload: {global_downstream_max_connections: 2}}}]}";
    assert_eq!(ours(runtime).await, expected);
    assert_eq!(ours("").await, ([vec![true; 4], vec![true; 4]], 0));
}

#[tokio::test]
async fn the_bound_is_envoys() {
    let Some(program) = peers::envoy("the comparison of bounds on connections") else {
        return;
    };
    let envoy = Envoy::start(&program, &bootstrap(MONITOR)).await;
    envoy.live().await;
    assert_eq!(see(envoy.admin()).await, ours(MONITOR).await);
}

/// One listener, whose chain holds two connections.
const LIMITED: &str = r#"
node: {id: one, cluster: two}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: limited
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: limit
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit
          stat_prefix: two
          max_connections: 2
      - name: http
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          route_config:
            virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}]
          http_filters:
          - name: router
            typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
"#;

/// What a limited chain serves, and what is counted, once all of it has ended.
async fn see_limited(admin: SocketAddr) -> (Vec<bool>, Vec<String>) {
    let served = served(listener(admin, "limited").await).await;
    let counted = eventually("closed connections", async || {
        let text = get(admin, "localhost", "/stats?filter=connection_limit")
            .await
            .text();
        text.contains("active_connections: 0")
            .then_some(text)
            .ok_or("some are open")
    })
    .await;
    let prometheus = get(admin, "localhost", "/stats/prometheus?filter=connection_limit").await;
    let text = counted + &prometheus.text();
    (served, text.lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn a_chain_holds_as_many_connections_as_envoys_does() {
    let start = Program::new(env!("CARGO_BIN_EXE_tidegate-ingress"));
    let gateway = Gateway::of(start, LIMITED, Ports::free(), &[]);
    let seen = see_limited(gateway.admin().await).await;
    assert_eq!(seen.0, [true, true, false, false]);
    let Some(program) = peers::envoy("the comparison of a chain's bound on connections") else {
        return;
    };
    let envoy = Envoy::start(&program, LIMITED).await;
    envoy.live().await;
    assert_eq!(seen, see_limited(envoy.admin()).await);
}
