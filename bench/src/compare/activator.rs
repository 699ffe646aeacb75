//! How is the activator started, the program, for a revision whose pod is the backend?

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};
use tidegate_testkit::knative::api::{Api, CONFIG_MAPS, ENDPOINTS, REVISIONS};
use tidegate_testkit::knative::autoscaler::Autoscaler;

use crate::child::{self, Process};
use crate::fixture;
use crate::load::Doors;
use crate::peers::Running;

/// What it is called.
pub(super) const NAME: &str = "activator";
const PROGRAM: &str = "tidegate-activator";

/// What stands around it, as long as it runs.
pub(super) struct Cluster {
    _api: Api,
    _autoscaler: Autoscaler,
}

/// Its program, if it was built beside this one.
pub(super) fn find() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    Some(own.with_file_name(PROGRAM)).filter(|program| program.is_file())
}

/// Starts it on `core`, beside an API server that lists the revision and its pod, and an autoscaler.
///
/// # Errors
/// When it does not come up.
pub(super) async fn start(
    program: &Path,
    backend: SocketAddr,
    core: usize,
) -> anyhow::Result<(Running, Cluster)> {
    let (api, autoscaler) = (Api::start().await, Autoscaler::start().await);
    let host = fixture::host(fixture::ASKED);
    let revision = host.split('.').next().unwrap_or_default();
    api.put(CONFIG_MAPS, quiet()).await;
    api.put(REVISIONS, object(revision)).await;
    api.put(ENDPOINTS, endpoints(revision, backend)).await;
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, api.kubeconfig())?;
    let ports = [
        child::free_address(),
        child::free_address(),
        child::free_address(),
    ];
    let numbers = ports.map(|address| address.port().to_string()).join(",");
    let arguments = [
        format!("KUBECONFIG={}", kubeconfig.display()),
        "POD_NAME=activator-1".to_owned(),
        "POD_IP=10.0.9.1".to_owned(),
        "SYSTEM_NAMESPACE=knative-serving".to_owned(),
        format!("TIDEGATE_TEST_PORTS={numbers}"),
        format!("TIDEGATE_TEST_AUTOSCALER={}", autoscaler.url()),
        "TIDEGATE_TEST_STOP_DELAY=0s".to_owned(),
        program.display().to_string(),
    ];
    let began = Instant::now();
    // `env` becomes the program, so its process is the program's.
    let mut process = Process::start(Path::new("/usr/bin/env"), arguments, Some(core))?;
    let [http, _h2c, _tls] = ports;
    process.accepts(http).await?;
    let doors = Doors {
        h1: Some(http),
        websocket: Some(http),
        ..Doors::default()
    };
    let mut running = super::subject::running(process, doors, began);
    running.folder = Some(folder);
    let around = Cluster {
        _api: api,
        _autoscaler: autoscaler,
    };
    Ok((running, around))
}

fn quiet() -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "knative-serving", "name": "config-logging"},
        "data": {"loglevel.activator": "error"},
    })
}

fn object(name: &str) -> Value {
    json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
        "metadata": {"namespace": "default", "name": name, "uid": "u", "labels": {
            "serving.knative.dev/configuration": name, "serving.knative.dev/service": name}},
        "spec": {"containerConcurrency": 0, "timeoutSeconds": 300,
            "containers": [{"image": name, "ports": [{"containerPort": 8080}]}]},
    })
}

fn endpoints(name: &str, pod: SocketAddr) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"namespace": "default", "name": format!("{name}-private"), "labels": {
            "serving.knative.dev/revision": name, "serving.knative.dev/revisionUID": "u",
            "networking.internal.knative.dev/serviceType": "Private"}},
        "subsets": [{"addresses": [{"ip": pod.ip()}],
            "ports": [{"name": "http", "port": pod.port(), "protocol": "TCP"}]}],
    })
}
