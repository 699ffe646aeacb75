//! Which program is measured, how is it told where its control plane is, and how is it ended?

use std::fmt;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::child;

/// The program that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Envoy,
    Tidegate,
}

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    StateOfTheWorld,
    Delta,
}

impl Transport {
    pub(super) const ALL: [Self; 2] = [Self::StateOfTheWorld, Self::Delta];
}

/// A program, its configuration and its folder.
pub(super) struct Subject {
    program: Program,
    path: PathBuf,
    folder: TempDir,
    running: Option<Child>,
}

impl Subject {
    pub(super) fn new(
        program: Program,
        path: PathBuf,
        transport: Transport,
        control: SocketAddr,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700))?;
        std::fs::write(folder.path().join(CONFIG), bootstrap(transport, control))?;
        Ok(Self {
            program,
            path,
            folder,
            running: None,
        })
    }

    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.path);
        command
            .arg("-c")
            .arg(self.folder.path().join(CONFIG))
            .args([
                "--concurrency",
                "1",
                "--log-level",
                "error",
                "--use-dynamic-base-id",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        if self.program == Program::Tidegate {
            command
                .arg("--snapshot-dir")
                .arg(self.folder.path().join(SNAPSHOT));
        }
        let running = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.path.display()))?;
        self.running = Some(running);
        Ok(())
    }

    pub(super) fn id(&self) -> anyhow::Result<u32> {
        let running = self.running.as_ref().context("it was started")?;
        running.id().context("it ended; its error output says why")
    }

    /// Asks it to end and waits until it has; who is late is killed.
    pub(super) async fn end(&mut self) -> anyhow::Result<()> {
        if let Some(mut running) = self.running.take() {
            child::ask_to_end(&mut running).await?;
        }
        Ok(())
    }

    /// Ends it as a crash would.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut running) = self.running.take() {
            running.kill().await?;
        }
        Ok(())
    }

    /// Waits until what it has accepted lies on disk and does not change any more.
    pub(super) async fn stored(&self) -> anyhow::Result<()> {
        let folder = self.folder.path().join(SNAPSHOT);
        let size = || -> u64 {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            entries
                .filter_map(|entry| entry.metadata().ok())
                .map(|metadata| metadata.len())
                .sum()
        };
        let mut before = 0;
        for _ in 0..STORED_LOOKS {
            tokio::time::sleep(STORED_PAUSE).await;
            let now = size();
            if now > 0 && now == before {
                return Ok(());
            }
            before = now;
        }
        anyhow::bail!("nothing was stored in {}", folder.display())
    }
}

const CONFIG: &str = "bootstrap.yaml";
const SNAPSHOT: &str = "snapshot";
const STORED_LOOKS: usize = 40;
const STORED_PAUSE: Duration = Duration::from_secs(1);

/// A bootstrap of Kourier's shape: ADS from one cluster, and the cluster that its status host names.
fn bootstrap(transport: Transport, control: SocketAddr) -> String {
    let api = match transport {
        Transport::StateOfTheWorld => "GRPC",
        Transport::Delta => "DELTA_GRPC",
    };
    let (address, port) = (control.ip(), control.port());
    format!(
        "node: {{id: 3scale-kourier-gateway, cluster: kourier-knative}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
dynamic_resources:
  ads_config:
    api_type: {api}
    transport_api_version: V3
    rate_limit_settings: {{}}
    set_node_on_first_message_only: true
    grpc_services: [{{envoy_grpc: {{cluster_name: xds_cluster}}}}]
  cds_config: {{ads: {{}}, resource_api_version: V3}}
  lds_config: {{ads: {{}}, resource_api_version: V3}}
static_resources:
  clusters:
  - name: service_stats
    type: static
    connect_timeout: 0.250s
    load_assignment:
      cluster_name: service_stats
      endpoints: {{lb_endpoints: {{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 9901}}}}}}}}}}
  - name: xds_cluster
    type: static
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{connection_keepalive: {{interval: 30s, timeout: 5s}}}}}}
    load_assignment:
      cluster_name: xds_cluster
      endpoints: {{lb_endpoints: {{endpoint: {{address: {{socket_address: {{address: {address}, port_value: {port}}}}}}}}}}}
"
    )
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Envoy => "envoy",
            Self::Tidegate => "tidegate",
        })
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StateOfTheWorld => "state of the world",
            Self::Delta => "delta",
        })
    }
}
