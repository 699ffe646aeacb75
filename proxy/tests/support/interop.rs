//! How does a test run a client and a server that others wrote, with and without the proxy between them?

use std::net::SocketAddr;
use std::path::Path;

use tidegate_proxy::cluster::{Endpoint, Protocol};
use tidegate_testkit::certificates::Authority;
use tidegate_testkit::peers;
use tidegate_testkit::program::Program;

use super::{Front, HOST, cluster, edge, everything_to};

/// How the client reaches the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Tcp,
    Tls,
}

/// Runs one case of a script under `tests/interop`, whose server speaks `protocol`: what it says of the way without the
/// proxy and of the way through it must both be `expected`.
pub(crate) async fn check(script: &str, by: By, protocol: Protocol, case: &str, expected: &str) {
    let Some(python) = peers::python(&format!("{script} {case}")) else {
        return;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/interop")
        .join(script);
    let authority = Authority::new("interop");
    let peer = Program::new(python).arg(path).arg(case).env("PYTHONUTF8", "1");
    peer.file("trusted.pem", &authority.pem);
    let mut peer = peer.listening_to_the_test().start();
    let port = |line: &str| line.strip_prefix("listening on ")?.parse::<u16>().ok();
    let upstream = SocketAddr::from(([127, 0, 0, 1], peer.line("its port", port).await));
    let app = cluster(protocol, &[]);
    app.set_endpoints(vec![Endpoint::new(upstream).into()]);
    let snapshot = everything_to(&app, None);
    let front = match by {
        By::Tcp => Front::start(snapshot),
        By::Tls => Front::behind(edge::open(vec![edge::chain(&authority, &[HOST])]), snapshot),
    };
    let tls = if by == By::Tls {
        format!(" {HOST} trusted.pem")
    } else {
        String::new()
    };
    peer.tell(&format!("through {}{tls}", front.address)).await;
    for way in ["direct: ", "through: "] {
        let outcome = |line: &str| line.strip_prefix(way).map(str::to_owned);
        assert_eq!(peer.line(way, outcome).await, expected, "{case}, {way}");
    }
    assert!(peer.exit().await.success());
}
