//! Do access logs go to a new file once the old one was renamed, by signal and by admin endpoint?

mod support;

use std::path::Path;

use envoy_types::pb::envoy::config::accesslog::v3::{AccessLog, access_log};
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use support::managers::edit_manager;
use support::secrets::packed;
use support::{Gateway, Ports, items};
use tidegate_testkit::client::get;
use tidegate_testkit::control_plane::ControlPlane;
use tidegate_testkit::wait::eventually;

/// Has the connection manager write to this file.
fn log_to(manager: &mut HttpConnectionManager, file: &Path) {
    let log = FileAccessLog {
        path: file.display().to_string(),
        ..Default::default()
    };
    manager.access_log.push(AccessLog {
        name: "envoy.access_loggers.file".to_owned(),
        config_type: Some(access_log::ConfigType::TypedConfig(packed(&log))),
        ..Default::default()
    });
}

/// Asks for `path` until a line about it is in the file.
async fn written(gateway: &Gateway, path: &str, file: &Path) {
    eventually(&format!("a line about {path}"), async || {
        get(gateway.external(), "nobody.example.com", path).await;
        std::fs::read_to_string(file).is_ok_and(|text| text.contains(path))
    })
    .await;
}

#[tokio::test]
async fn a_renamed_access_log_is_followed_by_a_new_one_when_the_program_is_told() {
    let (control_plane, ports) = (ControlPlane::start().await, Ports::free());
    let place = tempfile::tempdir().expect("a directory");
    let [file, first, second] = ["log", "log.1", "log.2"].map(|name| place.path().join(name));
    let mut all = items(&[], ports);
    edit_manager(&mut all, |manager| log_to(manager, &file));
    control_plane.set(&all);
    let gateway = Gateway::start(&control_plane, ports);
    gateway.answers("nobody.example.com", 404).await;
    written(&gateway, "/before", &file).await;
    std::fs::rename(&file, &first).expect("it is ours");
    written(&gateway, "/renamed", &first).await;
    gateway.program.signal(rustix::process::Signal::USR1);
    written(&gateway, "/by-signal", &file).await;
    std::fs::rename(&file, &second).expect("it is ours");
    gateway.tells("/reopen_logs").await;
    written(&gateway, "/by-admin", &file).await;
    let old = std::fs::read_to_string(&second).expect("it was renamed");
    assert!(!old.contains("/by-admin"), "{old}");
}
