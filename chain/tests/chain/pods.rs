//! How are pods started and ended, as a kubelet does it: an application, and the sidecar before it?

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;
use rustix::process::Signal;
use serde_json::json;
use tidegate_testkit::client::{Client, get};
use tidegate_testkit::program::Program;
use tidegate_testkit::wait::eventually;

use crate::app::{App, Visits};
use crate::programs::probe;

/// What the controller tells a sidecar.
const SIDECAR: [(&str, &str); 10] = [
    ("TIDEGATE_ADMIN_PORT", "0"),
    ("TIDEGATE_STATS_PORT", "0"),
    ("TIDEGATE_QUIET_SECONDS", "1"),
    ("REVISION_TIMEOUT_SECONDS", "600"),
    ("SERVING_LOGGING_CONFIG", "{}"),
    ("SERVING_LOGGING_LEVEL", "info"),
    ("SERVING_NAMESPACE", "default"),
    ("SERVING_CONFIGURATION", "hello"),
    ("SERVING_POD_IP", "127.0.0.1"),
    ("GOMAXPROCS", "1"),
];

/// Where pods take requests over TLS. Nobody asks for another port: each pod has an address of its own.
pub(crate) const TLS_PORT: u16 = 8112;

/// How a sidecar is started.
#[derive(Clone, Debug)]
struct Plan {
    app: SocketAddr,
    revision: String,
    pod: String,
    concurrency: u32,
    /// Of the pod; the port is 0 where any will do.
    address: SocketAddr,
    /// Where its certificate is, if it has one.
    certificates: Option<PathBuf>,
}

/// A sidecar, before whatever application.
#[derive(Debug)]
pub(crate) struct Sidecar {
    program: Program,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    pub(crate) stats: SocketAddr,
}

impl Sidecar {
    /// Of this pod of this revision, before the application at `app`.
    pub(crate) async fn start(app: SocketAddr, (revision, pod): (&str, &str), concurrency: u32) -> Self {
        let plan = Plan {
            app,
            revision: revision.to_owned(),
            pod: pod.to_owned(),
            concurrency,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            certificates: None,
        };
        plan.start().await
    }

    pub(crate) fn terminate(&self) {
        self.program.signal(Signal::TERM);
    }

    /// What the hook of the pod's containers waits for.
    pub(crate) async fn drains(&self) {
        let hook = get(self.admin, "localhost", "/wait-for-drain").await;
        assert_eq!(hook.status, 200);
    }

    /// Waits for its end, once it was told.
    pub(crate) async fn ends(mut self) {
        let status = self.program.exit().await;
        assert!(status.success(), "a sidecar ended with {status}");
    }
}

impl Plan {
    async fn start(&self) -> Sidecar {
        let port = self.app.port();
        // One try at a time: whoever asks counts.
        let probe = json!({"tcpSocket": {"port": port, "host": "127.0.0.1"}, "successThreshold": 1, "periodSeconds": 1});
        let tls_port = self.certificates.as_ref().map_or(0, |_| TLS_PORT);
        let mut start = Program::new(env!("CARGO_BIN_EXE_chain-queue-proxy"))
            .env("SERVING_REVISION", &self.revision)
            .env("SERVING_POD", &self.pod)
            .env("CONTAINER_CONCURRENCY", self.concurrency.to_string())
            .env("USER_PORT", port.to_string())
            .env("SERVING_READINESS_PROBE", probe.to_string())
            .env("TIDEGATE_ADDRESS", self.address.ip().to_string())
            .env("QUEUE_SERVING_PORT", self.address.port().to_string())
            .env("QUEUE_SERVING_TLS_PORT", tls_port.to_string());
        for (name, value) in SIDECAR {
            start = start.env(name, value);
        }
        if let Some(folder) = &self.certificates {
            start = start.env("TIDEGATE_CERTIFICATES", folder);
        }
        let mut program = start.start();
        let address = listening(&mut program, "main").await;
        let admin = listening(&mut program, "admin").await;
        let stats = listening(&mut program, "stats").await;
        if self.certificates.is_some() {
            listening(&mut program, "tls").await;
        }
        Sidecar {
            program,
            address,
            admin,
            stats,
        }
    }
}

async fn listening(program: &mut Program, name: &str) -> SocketAddr {
    let before = format!("listening on {name} ");
    let address = program.line(name, |line| {
        let (_, address) = line.split_once(&before)?;
        address.split('"').next()?.parse().ok()
    });
    address.await
}

/// A pod: an application and its sidecar, at an address of their own.
#[derive(Debug)]
pub(crate) struct Pod {
    app: App,
    plan: Plan,
    sidecar: Sidecar,
}

impl Pod {
    pub(crate) async fn start(
        revision: &str,
        concurrency: u32,
        visits: &Arc<Visits>,
        certificates: Option<&Path>,
    ) -> Self {
        let app = App::start(visits).await;
        let plan = Plan {
            app: app.address(),
            revision: revision.to_owned(),
            pod: format!("{revision}-{}", app.address().port()),
            concurrency,
            address: SocketAddr::new(address_beside(app.address()), 0),
            certificates: certificates.map(Path::to_owned),
        };
        let sidecar = plan.start().await;
        Self { app, plan, sidecar }
    }

    /// Where it takes requests.
    pub(crate) fn address(&self) -> SocketAddr {
        self.sidecar.address
    }

    /// Who its application is among all that are visited.
    pub(crate) fn app(&self) -> SocketAddr {
        self.app.address()
    }

    /// Waits until the kubelet would call it ready.
    pub(crate) async fn is_ready(&self) {
        eventually("a ready pod", async || {
            let mut request = probe(&self.address().to_string());
            let queue = HeaderValue::from_static("queue");
            request.headers_mut().insert("k-network-probe", queue);
            Client::http1(self.address()).await.call(request).await.status == 200
        })
        .await;
    }

    /// Waits until it has taken over a certificate that was replaced.
    pub(crate) async fn shows_another_certificate(&mut self) {
        let said = "Certificate and/or key have changed on disk and were reloaded.";
        self.sidecar.program.line_with(said).await;
    }

    /// What the kubelet does first with a pod that is deleted: SIGTERM for the sidecar, and the hook of the application.
    pub(crate) fn terminate(&self) {
        self.sidecar.terminate();
    }

    /// SIGKILL for the sidecar, which is gone; the application goes on.
    pub(crate) async fn kill_sidecar(&mut self) {
        self.sidecar.program.kill().await;
    }

    /// What the kubelet does then: starts it again, where it was.
    pub(crate) async fn restart_sidecar(&mut self) {
        let plan = Plan {
            address: self.sidecar.address,
            ..self.plan.clone()
        };
        self.sidecar = plan.start().await;
    }

    /// Waits for the hook, ends the application, and waits for the end of the sidecar.
    pub(crate) async fn ends(self) {
        self.sidecar.drains().await;
        self.app.terminate();
        self.sidecar.ends().await;
    }
}

/// An address that nobody else has while the application has its port.
fn address_beside(app: SocketAddr) -> IpAddr {
    let [high, low] = app.port().to_be_bytes();
    Ipv4Addr::new(127, 1, high, low).into()
}
