//! Do certificates rotate without cutting anybody else's connections?

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use support::secrets::{secret, with_tls};
use support::{Gateway, Ports, items};
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::client::Client;
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::wait::eventually;

const STAYS: &str = "stays.example.com";
const CHANGES: &str = "changes.example.com";

/// A client that believes this authority alone; none where it is shown another's certificate.
async fn client(address: SocketAddr, name: &str, authority: &Authority) -> Option<Client> {
    // It may not listen yet.
    tokio::net::TcpStream::connect(address).await.ok()?;
    let config = Arc::new(authority.client_config(&["http/1.1"], None));
    let stream = tidegate_testkit::tls::connect(address, name, &config)
        .await
        .ok()?;
    Some(Client::http1_over(stream).await)
}

#[tokio::test]
async fn a_rotated_certificate_is_shown_and_connections_of_other_chains_go_on() {
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let [one, two] = [Authority::new("one"), Authority::new("two")];
    let mut all = items(&[], ports);
    with_tls(&mut all, &[STAYS, CHANGES]);
    let kept = secret(STAYS, &one);
    control_plane.set(&[all.clone(), vec![kept.clone(), secret(CHANGES, &one)]].concat());
    let gateway = Gateway::start(&control_plane, ports);
    let mut standing = eventually("TLS", async || client(gateway.external(), STAYS, &one).await).await;
    assert_eq!(standing.get(STAYS, "/").await.status, 404);
    let mut leaving = client(gateway.external(), CHANGES, &one)
        .await
        .expect("a handshake");
    assert_eq!(leaving.get(CHANGES, "/").await.header("connection"), None);
    control_plane.set(&[all, vec![kept, secret(CHANGES, &two)]].concat());
    eventually("the new certificate", async || {
        client(gateway.external(), CHANGES, &two).await
    })
    .await;
    assert_eq!(standing.get(STAYS, "/").await.header("connection"), None);
    assert_eq!(
        leaving.get(CHANGES, "/").await.header("connection"),
        Some("close")
    );
}
