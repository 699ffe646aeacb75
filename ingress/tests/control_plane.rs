//! Does a control plane get what it says, and does nothing that it does cost a request?

mod support;

use std::sync::Arc;

use http::StatusCode;
use support::{Gateway, Ports, items, load};
use tidegate_testkit::client::Client;
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::control_plane::model::{CLUSTER, Gate, Item, LISTENER, ROUTES};
use tidegate_testkit::kourier::Service;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::eventually;
use tokio::net::TcpStream;
use tokio::sync::Notify;

#[tokio::test]
async fn what_kourier_pushes_is_served_and_accepted() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let service = Service::numbered(1, vec![upstream.address()]);
    let version = control_plane.set(&items(std::slice::from_ref(&service), ports));
    let gateway = Gateway::start(&control_plane, ports);
    let answer = gateway.answers(&service.external_host(), 200).await;
    assert_eq!(answer.text(), "hello");
    for kind in [CLUSTER, LISTENER, ROUTES] {
        control_plane.accepted(kind, &version).await;
    }
    gateway.answers("nobody.example.com", 404).await;
}

#[tokio::test]
async fn a_control_plane_that_dies_costs_no_request_and_is_found_again() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let [one, two] = [1, 2].map(|number| Service::numbered(number, vec![upstream.address()]));
    control_plane.set(&items(std::slice::from_ref(&one), ports));
    let gateway = Gateway::start(&control_plane, ports);
    gateway.answers(&one.external_host(), 200).await;
    let over = Arc::new(Notify::new());
    let (statuses, ()) = tokio::join!(
        load(gateway.external(), one.external_host(), Arc::clone(&over)),
        async {
            control_plane.cut_connections();
            control_plane.set(&items(&[one.clone(), two.clone()], ports));
            gateway.answers(&two.external_host(), 200).await;
            control_plane.end_streams();
            over.notify_one();
        }
    );
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

#[tokio::test]
async fn endpoints_alone_change_without_a_new_connection_to_those_that_stay() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let mut service = Service::numbered(1, vec![upstream.address()]);
    control_plane.set(&items(std::slice::from_ref(&service), ports));
    let gateway = Gateway::start_with(control_plane.address(), ports, &[]);
    gateway.answers(&service.external_host(), 200).await;
    let mut client = Client::http1(gateway.external()).await;
    assert_eq!(client.get(&service.external_host(), "/").await.status, 200);
    let opened = upstream.counts().connections_open();
    service.hash = "changed".to_owned();
    service.pods = vec![upstream.address(), upstream.address()];
    let version = control_plane.set(&items(std::slice::from_ref(&service), ports));
    control_plane.accepted(CLUSTER, &version).await;
    assert_eq!(client.get(&service.external_host(), "/").await.status, 200);
    assert_eq!(upstream.counts().connections_open(), opened);
}

#[tokio::test]
async fn routes_without_their_cluster_are_refused_as_kourier_expects_and_change_nothing() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let [one, two] = [1, 2].map(|number| Service::numbered(number, vec![upstream.address()]));
    control_plane.set(&items(std::slice::from_ref(&one), ports));
    let gateway = Gateway::start(&control_plane, ports);
    gateway.answers(&one.external_host(), 200).await;
    let lacking = items(&[one.clone(), two.clone()], ports);
    let lacking: Vec<Item> = lacking
        .into_iter()
        .filter(|item| item.name != "default/service-00002-00001")
        .collect();
    control_plane.set(&lacking);
    let message = control_plane.refused(ROUTES).await;
    assert_eq!(
        message,
        "route: unknown weighted cluster 'default/service-00002-00001'"
    );
    gateway.answers(&one.external_host(), 200).await;
    control_plane.set(&items(&[one, two.clone()], ports));
    gateway.answers(&two.external_host(), 200).await;
}

#[tokio::test]
async fn garbage_is_refused_whole_and_the_last_good_stays_in_force() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let service = Service::numbered(1, vec![upstream.address()]);
    let good = items(std::slice::from_ref(&service), ports);
    control_plane.set(&good);
    let gateway = Gateway::start(&control_plane, ports);
    gateway.answers(&service.external_host(), 200).await;
    for (kind, says) in [
        (CLUSTER, "Unable to unpack as envoy.config.cluster.v3.Cluster"),
        (LISTENER, "Unable to unpack as"),
    ] {
        let mut bad = good.clone();
        bad.push(Item::new(kind, "garbage", b"\xff\xff\xff".to_vec()));
        control_plane.set(&bad);
        eventually("its refusal", async || {
            let requests = control_plane.requests();
            let refused = requests.iter().rfind(|request| request.type_url == kind)?;
            refused
                .error
                .clone()
                .filter(|(_, message)| message.contains(says))
        })
        .await;
        gateway.answers(&service.external_host(), 200).await;
    }
}

#[tokio::test]
async fn an_empty_set_deletes_listeners_and_closes_their_ports() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (control_plane, ports) = (ControlPlane::start_with(Gate::Absent).await, Ports::free());
    let service = Service::numbered(1, vec![upstream.address()]);
    control_plane.set(&items(std::slice::from_ref(&service), ports));
    let gateway = Gateway::start(&control_plane, ports);
    gateway.answers(&service.external_host(), 200).await;
    let version = control_plane.set(&[]);
    control_plane.accepted(LISTENER, &version).await;
    eventually("closed ports", async || {
        TcpStream::connect(gateway.external()).await.is_err()
    })
    .await;
    control_plane.set(&items(std::slice::from_ref(&service), ports));
    gateway.answers(&service.external_host(), 200).await;
}

#[tokio::test]
async fn after_a_restart_it_serves_from_disk_without_a_control_plane() {
    let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let service = Service::numbered(1, vec![upstream.address()]);
    control_plane.set(&items(std::slice::from_ref(&service), ports));
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("last-good");
    let flags = support::snapshot_flags(&directory);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut gateway = Gateway::start_with(control_plane.address(), ports, &flags);
    gateway.answers(&service.external_host(), 200).await;
    let snapshot = directory.join("snapshot");
    eventually("a snapshot with routes", async || {
        std::fs::metadata(&snapshot).is_ok_and(|found| found.len() > 2000)
    })
    .await;
    gateway.program.kill().await;
    let nobody = control_plane.address();
    drop(control_plane);
    let mut gateway = Gateway::start_with(nobody, ports, &flags);
    gateway.answers(&service.external_host(), 200).await;
    gateway.program.kill().await;
    std::fs::write(&snapshot, b"TIDEGATEgarbage").unwrap();
    let mut gateway = Gateway::start_with(nobody, ports, &flags);
    gateway
        .program
        .line_with("the snapshot on disk is not used")
        .await;
    assert!(TcpStream::connect(gateway.external()).await.is_err());
}
