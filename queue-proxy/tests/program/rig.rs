//! How does a test run the sidecar program before an application of its own?

use std::net::SocketAddr;
use std::sync::Mutex;

use http::{Request, Response};
use tidegate_testkit::body::{self, Body, Feed};
use tidegate_testkit::client::{Answer, Client, get_request};
use tidegate_testkit::program::Program;
use tidegate_testkit::upstream::Upstream;

pub(crate) const HOST: &str = "app.example";
pub(crate) const PROBER: &str = "Knative-Activator-Probe";

/// What the controller sets at least; ports that the system chooses.
pub(crate) const VARIABLES: [(&str, &str); 14] = [
    ("CONTAINER_CONCURRENCY", "0"),
    ("QUEUE_SERVING_PORT", "0"),
    ("QUEUE_SERVING_TLS_PORT", "0"),
    ("TIDEGATE_ADMIN_PORT", "0"),
    ("TIDEGATE_STATS_PORT", "0"),
    ("TIDEGATE_QUIET_SECONDS", "0"),
    ("REVISION_TIMEOUT_SECONDS", "300"),
    ("SERVING_LOGGING_CONFIG", "{}"),
    ("SERVING_LOGGING_LEVEL", "info"),
    ("SERVING_NAMESPACE", "default"),
    ("SERVING_CONFIGURATION", "hello"),
    ("SERVING_REVISION", "hello-00001"),
    ("SERVING_POD", "hello-00001-abc"),
    ("SERVING_POD_IP", "127.0.0.1"),
];

/// A sidecar that serves. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Sidecar {
    pub(crate) program: Program,
    pub(crate) main: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) stats: SocketAddr,
}

impl Sidecar {
    /// Before the application at `app`, with these variables beside or instead of the usual ones.
    pub(crate) async fn start(app: SocketAddr, variables: &[(&str, &str)]) -> Self {
        let mut start = Program::new(env!("CARGO_BIN_EXE_tidegate-queue-proxy"));
        for (name, value) in VARIABLES.iter().chain(variables) {
            start = start.env(name, value);
        }
        let mut program = start.env("USER_PORT", app.port().to_string()).start();
        let main = listening(&mut program, "main").await;
        let admin = listening(&mut program, "admin").await;
        let stats = listening(&mut program, "stats").await;
        Self {
            program,
            main,
            admin,
            stats,
        }
    }

    /// A GET over a connection of its own, with these headers.
    pub(crate) async fn get(&self, headers: &[(&'static str, &str)]) -> Answer {
        Client::http1(self.main).await.call(request(headers)).await
    }

    /// What the sidecar answers an activator that asks whether the application is ready.
    pub(crate) async fn probe(&self) -> (u16, String) {
        let answer = self
            .get(&[("user-agent", PROBER), ("k-network-probe", "queue")])
            .await;
        (answer.status.as_u16(), answer.text())
    }
}

/// Where a listener that has just opened listens, by the address that tests reach it at.
pub(crate) async fn listening(program: &mut Program, name: &str) -> SocketAddr {
    let before = format!("listening on {name} ");
    let port = program.line(name, |line| {
        let (_, address) = line.split_once(&before)?;
        let address: SocketAddr = address.split('"').next()?.parse().ok()?;
        Some(address.port())
    });
    SocketAddr::from(([127, 0, 0, 1], port.await))
}

/// A GET with these headers.
pub(crate) fn request(headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = get_request(HOST, "/path?query");
    for (name, value) in headers {
        request
            .headers_mut()
            .append(*name, value.parse().expect("a value"));
    }
    request
}

/// A response with status, one header and body, for tables.
pub(crate) fn told(answer: &Answer) -> (u16, String, bool) {
    let no_sniff = answer.header("x-content-type-options") == Some("nosniff");
    (answer.status.as_u16(), answer.text(), no_sniff)
}

/// An application that answers the first request with what the test feeds it.
pub(crate) async fn fed_app() -> (Feed, Upstream) {
    let (feed, fed) = body::fed();
    let fed = Mutex::new(Some(fed));
    let app = Upstream::start(move |_| {
        let body = fed.lock().expect("no test panics with it").take();
        async { Response::new(body.unwrap_or_else(body::empty)) }
    });
    (feed, app.await)
}
