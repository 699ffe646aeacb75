//! How does the ingress end, and what do its clients see of it?

mod support;

use support::{Gateway, Ports, items};
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::gate::Gate;
use tidegate_testkit::kourier::Service;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::eventually;
use tidegate_testkit::wire::Wire;
use tokio::net::TcpStream;

#[tokio::test]
async fn sigterm_drains_where_it_is_told_to() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let service = Service::numbered(1, vec![upstream.address()]);
    control_plane.set(&items(std::slice::from_ref(&service), ports));
    let flags = ["--drain-on-sigterm", "30"];
    let mut gateway = Gateway::start_with(control_plane.address(), ports, &flags);
    gateway.answers("nobody.example.com", 404).await;
    let mut wire = Wire::connect(gateway.external()).await;
    let host = service.external_host();
    wire.send(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
    upstream.runs(1).await;
    gateway.program.signal(rustix::process::Signal::TERM);
    eventually("closed ports", async || {
        TcpStream::connect(gateway.external()).await.is_err()
    })
    .await;
    gate.open();
    let message = wire.message().await;
    assert_eq!(message.status(), 200);
    assert_eq!(message.head.header("connection").as_deref(), Some("close"));
    assert!(gateway.program.exit().await.success());
}

#[tokio::test]
async fn a_request_that_comes_on_a_standing_connection_after_sigterm_is_answered() {
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    control_plane.set(&items(&[], ports));
    let flags = ["--drain-on-sigterm", "30"];
    let mut gateway = Gateway::start_with(control_plane.address(), ports, &flags);
    gateway.answers("nobody.example.com", 404).await;
    let mut wire = Wire::connect(gateway.external()).await;
    const REQUEST: &str = "GET / HTTP/1.1\r\nhost: nobody.example.com\r\n\r\n";
    for (is_ending, connection) in [(false, None), (true, Some("close"))] {
        if is_ending {
            gateway.program.signal(rustix::process::Signal::TERM);
            eventually("closed ports", async || {
                TcpStream::connect(gateway.external()).await.is_err()
            })
            .await;
        }
        wire.send(REQUEST).await;
        let message = wire.message().await;
        assert_eq!(message.status(), 404);
        assert_eq!(message.head.header("connection").as_deref(), connection);
    }
    wire.ends().await;
    assert!(gateway.program.exit().await.success());
}

#[tokio::test]
async fn sigterm_without_a_drain_ends_at_once_and_clients_see_the_end() {
    let gate = Gate::closed();
    let upstream = Upstream::held(&gate).await;
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let service = Service::numbered(1, vec![upstream.address()]);
    control_plane.set(&items(std::slice::from_ref(&service), ports));
    let flags = ["--drain-on-sigterm", "0"];
    let mut gateway = Gateway::start_with(control_plane.address(), ports, &flags);
    gateway.answers("nobody.example.com", 404).await;
    let mut wire = Wire::connect(gateway.external()).await;
    let host = service.external_host();
    wire.send(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
    upstream.runs(1).await;
    assert!(gateway.program.stop().await.success());
    wire.ends().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_and_ends_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let start = tidegate_testkit::program::Program::new(env!("CARGO_BIN_EXE_tidegate-ingress"));
    let yaml = format!(
        "{{static_resources: {{listeners: [{{name: l, address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}, \
         filter_chains: [{{filters: [{{name: h, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, \
         stat_prefix: s, route_config: {{virtual_hosts: []}}, http_filters: [{{name: r, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]}}}}]}}]}}]}}}}"
    );
    let mut program = start.args(["--config-yaml", &yaml]).start();
    let line = program.line_with("cannot bind").await;
    assert!(
        line.contains(&format!("cannot bind '127.0.0.1:{port}': Address already in use")),
        "{line}"
    );
    assert_eq!(program.exit().await.code(), Some(1));
}
