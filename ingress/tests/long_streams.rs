//! Does a stream outlive the time of its connection, as in Envoy? A drain ends what is idle; a stream ends by itself.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::BodyExt;
use support::{Gateway, Ports, one_listener};
use tidegate_testkit::body;
use tidegate_testkit::client::{Client, get, post_request};
use tidegate_testkit::envoy::Envoy;
use tidegate_testkit::peers;
use tidegate_testkit::program::Program;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::{eventually, soon};

/// A listener whose connections are drained soon, and have little time to drain.
fn bootstrap(upstream: SocketAddr) -> String {
    let manager = "
drain_timeout: 0.1s
common_http_protocol_options: {max_connection_duration: 0.2s}";
    let hosts =
        "- {name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: app, timeout: 0s}}]}";
    one_listener::bootstrap(upstream, manager, hosts)
}

/// How many of so many messages, a while apart, are said back on one stream.
async fn said_back(client: &mut Client, messages: usize) -> usize {
    let (feed, body) = body::fed();
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let response = client.send(post_request("a", "/", body));
    let mut response = std::pin::pin!(response);
    feed.data("x").await;
    let Ok(mut response) = (&mut response).await else {
        return 0;
    };
    for said in 0..messages {
        match soon("the echo", response.frame()).await {
            Some(Ok(_)) => {}
            _ => return said,
        }
        pace.tick().await;
        feed.data("x").await;
    }
    drop(feed);
    while soon("the end", response.frame()).await.is_some() {}
    messages
}

/// The same over both protocols, on connections that are then counted as too old.
async fn see(admin: SocketAddr) -> [usize; 2] {
    let address = one_listener::address(admin).await;
    let (mut old, mut new) = (Client::http1(address).await, Client::http2(address).await);
    let said = tokio::join!(said_back(&mut old, 70), said_back(&mut new, 70));
    // Workers count by themselves, and are read now and then.
    eventually("both to be counted", async || {
        const COUNTED: &str = "http.edge.downstream_cx_max_duration_reached";
        let text = get(admin, "localhost", &format!("/stats?filter={COUNTED}"))
            .await
            .text();
        if text == format!("{COUNTED}: 2\n") {
            Ok(())
        } else {
            Err(text)
        }
    })
    .await;
    said.into()
}

#[tokio::test]
async fn a_stream_outlives_the_time_of_its_connection_as_in_envoy() {
    let upstream = Upstream::echo().await;
    let bootstrap = bootstrap(upstream.address());
    let start = Program::new(env!("CARGO_BIN_EXE_tidegate-ingress"));
    let gateway = Gateway::of(start, &bootstrap, Ports::free(), &[]);
    let envoys = async {
        let program = peers::envoy("the comparison of what a connection's time ends")?;
        let envoy = Envoy::start(&program, &bootstrap).await;
        envoy.live().await;
        Some(see(envoy.admin()).await)
    };
    let ours = async { see(gateway.admin().await).await };
    let (seen, expected) = tokio::join!(ours, envoys);
    assert_eq!(seen, expected.unwrap_or(seen));
    // That is more than any last words take.
    assert_eq!(seen, [70, 70]);
}
