//! How is the sidecar started, the program that a pod of Knative's has, before the backend?

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::child::{self, Process};
use crate::load::Doors;
use crate::peers::Running;

/// What it is called.
pub(super) const NAME: &str = "sidecar";
const PROGRAM: &str = "tidegate-queue-proxy";

/// Its program, if it was built beside this one.
pub(super) fn find() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    Some(own.with_file_name(PROGRAM)).filter(|program| program.is_file())
}

/// Starts it on `core` with what Knative's controller would tell it: no limit, no log, no numbers but its own.
///
/// # Errors
/// When it does not come up.
pub(super) async fn start(program: &Path, backend: SocketAddr, core: usize) -> anyhow::Result<Running> {
    let port = child::free_address().port();
    let variables = [
        ("QUEUE_SERVING_PORT", port.to_string()),
        ("USER_PORT", backend.port().to_string()),
    ];
    let fixed = [
        "CONTAINER_CONCURRENCY=0",
        "QUEUE_SERVING_TLS_PORT=0",
        "TIDEGATE_ADMIN_PORT=0",
        "TIDEGATE_STATS_PORT=0",
        "REVISION_TIMEOUT_SECONDS=300",
        "SERVING_LOGGING_CONFIG=",
        "SERVING_LOGGING_LEVEL=error",
        "SERVING_NAMESPACE=bench",
        "SERVING_CONFIGURATION=bench",
        "SERVING_REVISION=bench-00001",
        "SERVING_POD=bench-00001-pod",
        "SERVING_POD_IP=127.0.0.1",
        "GOMAXPROCS=1",
        "TIDEGATE_QUIET_SECONDS=0",
    ];
    let variables = variables.map(|(name, value)| format!("{name}={value}"));
    let program = program.display().to_string();
    let arguments = fixed
        .map(str::to_owned)
        .into_iter()
        .chain(variables)
        .chain([program]);
    let began = Instant::now();
    // `env` becomes the program, so its process is the program's.
    let mut process = Process::start(Path::new("/usr/bin/env"), arguments, Some(core))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    process.accepts(address).await?;
    let doors = Doors {
        h1: Some(address),
        websocket: Some(address),
        ..Doors::default()
    };
    Ok(super::subject::running(process, doors, began))
}
