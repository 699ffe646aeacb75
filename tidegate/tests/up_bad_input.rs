//! Bad input: each its own clear message and exit code, and nothing changes for what runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]

mod support;

use support::{TIDEGATE, Up, script, service, up};
use tidegate_testkit::program::Program;

async fn fails(yaml: &str, code: i32, said: &[&str]) {
    let (start, _file) = up(yaml, &[]);
    let mut program = start.start();
    let exit = program.exit().await.code();
    let output = program.output().join("\n");
    assert_eq!(exit, Some(code), "{output}");
    for text in said {
        assert!(output.contains(text), "{text:?} is not in:\n{output}");
    }
}

#[tokio::test]
async fn an_unknown_field_is_named_with_its_place_and_a_hint() {
    let yaml = service("hello", "hello", "").replace("      containers:", "      container:");
    fails(
        &yaml,
        65,
        &["services.yaml:12:7", "spec.template.spec.container", "containers"],
    )
    .await;
}

#[tokio::test]
async fn percents_that_do_not_add_up_are_summed() {
    let yaml = service("hello", "hello", "")
        + "  traffic:\n  - latestRevision: true\n    percent: 60\n  - revisionName: hello-00001\n    percent: 30\n";
    fails(&yaml, 65, &["services.yaml", "90", "100"]).await;
}

#[tokio::test]
async fn a_container_without_a_command_names_both_ways() {
    let yaml = service("hello", "hello", "")
        .replace("- command: [tidegate, sample, hello]", "- image: example.org/x");
    let (start, _file) = up(&yaml, &[]);
    let mut program = start
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .start();
    assert_eq!(program.exit().await.code(), Some(65));
    let output = program.output().join("\n");
    assert!(output.contains("--run example.org/x="), "{output}");
    assert!(output.contains("container engine"), "{output}");
}

#[tokio::test]
async fn half_a_file_and_an_empty_one_are_refused() {
    let yaml = service("hello", "hello", "");
    fails(yaml.get(..yaml.len() - 12).unwrap(), 65, &["services.yaml"]).await;
    fails("# nothing yet\n", 65, &["services.yaml"]).await;
}

#[tokio::test]
async fn an_empty_directory_is_an_error_and_so_is_no_path() {
    let start = Program::new(TIDEGATE);
    let folder = start.folder().to_owned();
    let mut program = start.arg("up").arg(&folder).start();
    assert_eq!(program.exit().await.code(), Some(65));
    assert!(
        program.output().join("\n").contains("no "),
        "{:?}",
        program.output()
    );
    let mut program = Program::new(TIDEGATE).arg("up").start();
    assert_eq!(program.exit().await.code(), Some(2));
}

#[tokio::test]
async fn a_taken_port_is_69_also_when_another_up_has_it() {
    let first = Up::start(&service("hello", "hello", ""), &[]).await;
    let http = format!("--http={}", first.http);
    let (start, _file) = up(&service("hello", "hello", ""), &[&http]);
    let mut second = start.start();
    assert_eq!(second.exit().await.code(), Some(69), "{:?}", second.output());
    let output = second.output().join("\n");
    assert!(output.contains("taken") && output.contains("--http"), "{output}");
    assert_eq!(first.stop().await, Some(0));
}

#[tokio::test]
async fn a_broken_edit_changes_nothing_and_says_why() {
    let yaml = script("steady", "exec tidegate sample hello");
    let mut up = Up::start(&yaml, &[]).await;
    up.edit(yaml.get(..yaml.len() / 2).unwrap());
    up.program.line_with("services.yaml:").await;
    assert_eq!(up.get("steady.default.localhost", "/").await.status, 200);
    assert_eq!(up.stop().await, Some(0));
}
