//! A client and a scripted control plane over real sockets: what arrives, what is asked, and what happens when either breaks.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_proxy::Proxy;
use tidegate_proxy::cluster::transport::Http2Keepalive;
use tidegate_proxy::cluster::{Cluster, ClusterSettings, Endpoint, Protocol};
use tidegate_proxy::config::{Handle, Snapshot};
use tidegate_proxy::drain::Drain;
use tidegate_proxy::process::spawn;
use tidegate_proxy::upstream::Direct;
use tidegate_testkit::control_plane::model::{CLUSTER, Gate, Item, LISTENER, ROUTES};
use tidegate_testkit::control_plane::{ControlPlane, Recorded};
use tidegate_testkit::upstream::bind;
use tidegate_testkit::wait::{eventually, soon};
use tidegate_xds::client::{Client, Delivery, Status, Streams, Wanted};
use tidegate_xds::resource::{Kind, Rejection, Update, Verdict};
use tidegate_xds::session::{Backoff, NodeOn, Settings, Variant};
use tidegate_xds::wire::Node;
use tokio::sync::{mpsc, watch};

#[path = "client/failures.rs"]
mod failures;
#[path = "client/files.rs"]
mod files;
#[path = "client/streams.rs"]
mod streams;

/// A client at work, and its other ends.
struct Running {
    wanted: watch::Sender<Wanted>,
    deliveries: mpsc::Receiver<Delivery>,
    status: Arc<Status>,
    late: watch::Receiver<BTreeSet<Kind>>,
    _drain: Drain,
}

/// Starts a client of this control plane that wants clusters, listeners and the routes `r`.
fn start(control_plane: &ControlPlane, streams: Streams, change: impl FnOnce(&mut Settings)) -> Running {
    start_at(control_plane.address(), streams, change, |_| {})
}

fn start_at(
    address: SocketAddr,
    streams: Streams,
    change: impl FnOnce(&mut Settings),
    bound: impl FnOnce(&mut Client<Direct>),
) -> Running {
    let mut settings = ClusterSettings::new("xds_cluster");
    settings.transport.protocol = Protocol::Http2;
    settings.transport.http2.keepalive = Some(Http2Keepalive {
        interval: Duration::from_millis(50),
        timeout: Duration::from_secs(3),
    });
    let cluster = Cluster::new(settings);
    cluster.set_endpoints(vec![Endpoint::new(address).into()]);
    let (drain, watched) = Drain::new();
    let proxy = Proxy::new(Handle::new(Snapshot::default()), watched.clone());
    let mut settings = Settings::new(Node {
        id: "node".into(),
        cluster: "gateway".into(),
        ..Node::default()
    });
    settings.backoff = Backoff {
        base: Duration::from_millis(1),
        max: Duration::from_millis(10),
    };
    change(&mut settings);
    let status = Arc::new(Status::default());
    let mut client = Client::new(
        Direct::new(&proxy, cluster),
        "xds_cluster",
        settings,
        Arc::clone(&status),
    );
    bound(&mut client);
    let late = client.late();
    let names = [
        (Kind::Cluster, [].into()),
        (Kind::Listener, [].into()),
        (Kind::Routes, ["r".into()].into()),
    ];
    let (wanted, names) = watch::channel(Wanted::from(names));
    let (sender, deliveries) = mpsc::channel(1);
    // Everything ends with the test's runtime.
    drop(spawn(
        "client",
        watched.unguarded(),
        client.run(streams, names, sender),
    ));
    Running {
        wanted,
        deliveries,
        status,
        late,
        _drain: drain,
    }
}

impl Running {
    /// The next update, and who waits for the verdict.
    async fn next(&mut self) -> Delivery {
        let delivery = soon("a delivery", self.deliveries.recv()).await;
        delivery.expect("the client runs")
    }

    /// Accepts updates until one is as `wanted` says.
    async fn accept_until(&mut self, wanted: impl Fn(&Update) -> bool) -> Update {
        loop {
            let Delivery { update, verdict } = self.next().await;
            verdict.send(Verdict::Accepted).expect("the client waits for it");
            if wanted(&update) {
                return update;
            }
        }
    }

    /// Accepts updates until these kinds have this version.
    async fn accept_version(&mut self, version: &str, kinds: &[Kind]) {
        let mut open: Vec<Kind> = kinds.to_vec();
        while !open.is_empty() {
            let update = self.accept_until(|_| true).await;
            open.retain(|kind| *kind != update.kind || *update.version != *version);
        }
    }
}

fn refuse(message: &str) -> Verdict {
    Verdict::Rejected(Rejection {
        message: message.to_owned(),
        failed: Vec::new(),
        whole: true,
    })
}

/// One resource of each kind that is wanted.
fn one_of_each(salt: u64) -> [Item; 3] {
    [
        Item::named(CLUSTER, "c", salt),
        Item::named(LISTENER, "l", salt),
        Item::named(ROUTES, "r", salt),
    ]
}
