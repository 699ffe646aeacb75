//! Do certificates rotate without cutting anybody else's connections?

mod support;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use support::secrets::{secret, secret_in, with_tls};
use support::{Gateway, Ports, items};
use tidegate_testkit::certificates::{Authority, Identity};
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

/// A program with one certificate, which a secret of the control plane names by files in this folder.
fn gateway(control_plane: &ControlPlane, folder: &Path) -> Gateway {
    let ports = Ports::free();
    let mut all = items(&[], ports);
    with_tls(&mut all, &[CHANGES]);
    control_plane.set(&[all, vec![secret_in(CHANGES, folder)]].concat());
    Gateway::start(control_plane, ports)
}

/// A version of a mounted secret takes the place of the one before, as the kubelet does it.
fn mount(volume: &Path, version: &str, certificate: &str, key: &str) -> io::Result<()> {
    fs::create_dir(volume.join(version))?;
    for (file, text) in [("tls.crt", certificate), ("tls.key", key)] {
        fs::write(volume.join(version).join(file), text)?;
        // From the second version on it is there.
        _ = symlink(format!("..data/{file}"), volume.join(file));
    }
    symlink(version, volume.join("..data_tmp"))?;
    fs::rename(volume.join("..data_tmp"), volume.join("..data"))
}

fn mount_whole(volume: &Path, version: &str, files: &Identity) -> io::Result<()> {
    mount(volume, version, &files.certificate_pem, &files.key_pem)
}

#[tokio::test]
async fn files_of_a_secret_that_are_replaced_are_read_again_and_what_cannot_be_used_changes_nothing() {
    let [one, two, three] = ["one", "two", "three"].map(Authority::new);
    let volume = tempfile::tempdir().expect("a folder");
    mount_whole(volume.path(), "v1", &one.server(CHANGES)).unwrap();
    let control_plane = ControlPlane::start().await;
    let gateway = gateway(&control_plane, volume.path());
    let shows = async |authority: &Authority| {
        eventually("its certificate", async || {
            client(gateway.external(), CHANGES, authority).await
        })
        .await
    };
    shows(&one).await;
    mount_whole(volume.path(), "v2", &two.server(CHANGES)).unwrap();
    shows(&two).await;
    let last = three.server(CHANGES);
    let half = &last.certificate_pem[..last.certificate_pem.len() / 2];
    mount(volume.path(), "half", half, &last.key_pem).unwrap();
    let failed = format!("sds.{CHANGES}.key_rotation_failed");
    eventually("half a certificate", async || gateway.stat(&failed).await == 1).await;
    assert!(client(gateway.external(), CHANGES, &two).await.is_some());
    mount_whole(volume.path(), "v3", &last).unwrap();
    shows(&three).await;
}
