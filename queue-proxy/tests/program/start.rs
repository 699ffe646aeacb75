//! What does the sidecar need to start?

use tidegate_testkit::client::get;
use tidegate_testkit::program::Program;
use tidegate_testkit::upstream::{self, Upstream};

use crate::rig::{HOST, Sidecar, VARIABLES, listening};

#[tokio::test]
async fn qp_67_a_variable_that_is_missing_is_named_and_ends_it() {
    let mut start = Program::new(env!("CARGO_BIN_EXE_tidegate-queue-proxy"));
    for (name, value) in VARIABLES {
        start = start.env(name, value);
    }
    let mut program = start.start();
    assert_eq!(program.exit().await.code(), Some(1));
    assert_eq!(program.output(), ["required key USER_PORT missing value"]);
}

#[tokio::test]
async fn qp_67_a_port_that_is_taken_ends_it() {
    let app = Upstream::echo().await;
    let sidecar = Sidecar::start(app.address(), &[]).await;
    let mut start = Program::new(env!("CARGO_BIN_EXE_tidegate-queue-proxy"));
    let port = sidecar.main.port().to_string();
    for (name, value) in VARIABLES {
        start = start.env(name, value);
    }
    let nobody = upstream::nobody().await.port().to_string();
    let mut program = start
        .env("USER_PORT", nobody)
        .env("QUEUE_SERVING_PORT", port)
        .start();
    assert_eq!(program.exit().await.code(), Some(1));
    assert!(
        program
            .output()
            .iter()
            .any(|line| line.contains("the port is taken"))
    );
}

#[tokio::test]
async fn profiles_are_asked_for_in_vain_where_they_are_enabled() {
    let config = r#"{"runtime":{"profiling":"enabled"}}"#;
    let variables = [("OBSERVABILITY_CONFIG", config), ("PROFILING_PORT", "0")];
    let mut sidecar = Sidecar::start(upstream::nobody().await, &variables).await;
    let address = listening(&mut sidecar.program, "profiling").await;
    let status = async |path| get(address, HOST, path).await.status.as_u16();
    assert_eq!(status("/debug/pprof/profile").await, 501);
    assert_eq!(status("/").await, 404);
}
