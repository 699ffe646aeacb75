//! Does it serve after a restart without a control plane, and say that what it serves may be old?

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in what it is made of"
)]

mod support;

use std::net::SocketAddr;
use std::path::PathBuf;

use http::StatusCode;
use support::load::Load;
use support::{Gateway, Ports, items};
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::control_plane::model::Gate;
use tidegate_testkit::kourier::Service;
use tidegate_testkit::upstream::Upstream;
use tidegate_testkit::wait::eventually;
use tokio::net::{TcpListener, TcpStream};

/// A snapshot on disk, and who serves it.
struct Kept {
    _upstream: Upstream,
    gateway: Gateway,
    control_plane: ControlPlane,
    service: Service,
    flags: Vec<String>,
    file: PathBuf,
    _place: tempfile::TempDir,
}

impl Kept {
    async fn new() -> Self {
        let upstream = Upstream::fixed(StatusCode::OK, "hello").await;
        let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
        let service = Service::numbered(1, vec![upstream.address()]);
        control_plane.set(&items(std::slice::from_ref(&service), ports));
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().join("last-good");
        let flags: Vec<String> = support::snapshot_flags(&directory).into();
        let gateway = start(control_plane.address(), ports, &flags, &[]);
        gateway.answers(&service.external_host(), 200).await;
        let file = directory.join("snapshot");
        eventually("a snapshot with routes", async || {
            std::fs::metadata(&file).is_ok_and(|found| found.len() > 2000)
        })
        .await;
        Self {
            _upstream: upstream,
            gateway,
            control_plane,
            service,
            flags,
            file,
            _place: place,
        }
    }

    /// Kills the program, then nobody is there to ask, and it starts again with these flags.
    async fn restart(&mut self, more: &[&str]) -> SocketAddr {
        self.gateway.program.kill().await;
        let address = self.control_plane.address();
        self.control_plane = ControlPlane::start().await;
        self.gateway = start(address, self.gateway.ports, &self.flags, more);
        address
    }

    /// It starts, and says why it does not serve what is on disk.
    async fn refuses(&mut self, more: &[&str], why: &str) {
        self.restart(more).await;
        let said = self
            .gateway
            .program
            .line_with("the snapshot on disk is not used")
            .await;
        assert!(said.contains(why), "{said}");
        assert_eq!(self.gateway.stat("tidegate.config_stale").await, 0);
        assert!(TcpStream::connect(self.gateway.external()).await.is_err());
    }

    /// What the dump says of each resource that came from a control plane.
    async fn statuses(&self) -> Vec<Option<String>> {
        let mut statuses = Vec::new();
        for kind in [
            "dynamic_active_clusters",
            "dynamic_listeners",
            "dynamic_route_configs",
        ] {
            let dump = self.gateway.dump(kind).await;
            assert!(!dump.is_empty(), "{kind}");
            let status = |entry: &serde_json::Value| entry["client_status"].as_str().map(str::to_owned);
            statuses.extend(dump.iter().map(status));
        }
        statuses
    }
}

fn start(control_plane: SocketAddr, ports: Ports, flags: &[String], more: &[&str]) -> Gateway {
    let flags = flags.iter().map(String::as_str).chain(more.iter().copied());
    Gateway::start_with(control_plane, ports, &flags.collect::<Vec<_>>())
}

#[tokio::test]
async fn killed_under_load_it_serves_again_from_disk_and_is_marked_stale_until_it_is_confirmed() {
    let mut kept = Kept::new().await;
    let host = kept.service.external_host();
    assert!(kept.statuses().await.iter().all(Option::is_none));
    let mut load = Load::start(kept.gateway.external(), std::slice::from_ref(&host));
    load.goes_on(50).await;
    // Its clients lose their connections with it; those that come after find it as it was.
    drop(load);
    let address = kept.restart(&[]).await;
    kept.gateway.answers(&host, 200).await;
    let mut load = Load::start(kept.gateway.external(), std::slice::from_ref(&host));
    load.goes_on(50).await;
    assert_eq!(kept.gateway.asks("/ready").await.text(), "LIVE\n");
    assert_eq!(kept.gateway.stat("tidegate.config_stale").await, 1);
    let statuses = kept.statuses().await;
    assert!(
        statuses
            .iter()
            .all(|status| status.as_deref() == Some("REQUESTED")),
        "{statuses:?}"
    );
    let listener = TcpListener::bind(address).await.expect("its port is still free");
    kept.control_plane = ControlPlane::start_on(listener, Gate::default(), None);
    kept.control_plane
        .set(&items(std::slice::from_ref(&kept.service), kept.gateway.ports));
    eventually("its confirmation", async || {
        kept.gateway.stat("tidegate.config_stale").await == 0
    })
    .await;
    assert!(kept.statuses().await.iter().all(Option::is_none));
    load.goes_on(50).await;
    assert!(load.ends().await > 100);
}

#[tokio::test]
async fn a_snapshot_that_is_not_its_own_or_not_whole_is_refused_and_it_starts_all_the_same() {
    let mut kept = Kept::new().await;
    kept.refuses(&["--snapshot-max-age", "0"], "--snapshot-max-age is 0 s")
        .await;
    kept.refuses(
        &["--service-node", "another"],
        "it is of node '3scale-kourier-gateway'",
    )
    .await;
    kept.refuses(&["--service-cluster", "another"], "in cluster 'kourier-knative'")
        .await;
    // None of those who refused it have written over it.
    kept.restart(&[]).await;
    kept.gateway.answers(&kept.service.external_host(), 200).await;
    let good = std::fs::read(&kept.file).expect("the snapshot");
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    for corrupt in [&good[..good.len() - 1], &bad, b"", b"TIDEGATEgarbage"] {
        std::fs::write(&kept.file, corrupt).expect("it is ours");
        kept.refuses(&[], "").await;
    }
}
