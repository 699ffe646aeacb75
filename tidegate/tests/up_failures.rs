//! What a developer is told when a service does not come up.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]

mod support;

use support::{Up, script};
use tidegate_testkit::wire::Wire;

async fn refused(name: &str, command: &str, said: &[&str]) {
    let up = Up::start(&script(name, command), &[]).await;
    let answer = up.get(&format!("{name}.default.localhost"), "/").await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some(), "when to try again");
    for text in said {
        assert!(
            answer.text().contains(text),
            "{text:?} is not in {:?}",
            answer.text()
        );
    }
    assert_eq!(up.stop().await, Some(0));
}

#[tokio::test]
async fn a_process_that_exits_at_once_is_reported_with_its_code_and_last_words() {
    refused(
        "crash",
        "echo cannot find the moon; exit 3",
        &["exited with code 3", "cannot find the moon"],
    )
    .await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let yaml = script("typo", "x").replace("sh, -c, \"x\"", "no-such-program-here");
    let up = Up::start(&yaml, &[]).await;
    let answer = up.get("typo.default.localhost", "/").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().contains("no-such-program-here"),
        "{}",
        answer.text()
    );
    assert_eq!(up.stop().await, Some(0));
}

#[tokio::test]
async fn another_port_than_the_given_one_is_named() {
    let mut up = Up::start(&script("stray", "exec env PORT=0 tidegate sample hello"), &[]).await;
    let mut client = Wire::connect(up.http).await;
    client
        .send("GET / HTTP/1.1\r\nhost: stray.default.localhost\r\n\r\n")
        .await;
    let line = up.program.line_with("is not ready").await;
    assert!(
        line.contains("stray opened port") && line.contains("$PORT"),
        "{line}"
    );
    drop(client);
    assert_eq!(up.stop().await, Some(0));
}

#[tokio::test]
async fn a_port_that_never_opens_is_told() {
    let mut up = Up::start(&script("mute", "exec sleep 60"), &[]).await;
    let mut client = Wire::connect(up.http).await;
    client
        .send("GET / HTTP/1.1\r\nhost: mute.default.localhost\r\n\r\n")
        .await;
    let line = up.program.line_with("is not ready after").await;
    assert!(line.contains("does it listen on $PORT"), "{line}");
    drop(client);
    assert_eq!(up.stop().await, Some(0));
}

#[tokio::test]
async fn a_crash_while_serving_is_mended() {
    let up = Up::start(&script("phoenix", "exec tidegate sample hello"), &[]).await;
    assert_eq!(up.get("phoenix.default.localhost", "/").await.status, 200);
    let state = tidegate_testkit::client::get(up.admin, "admin", "/services")
        .await
        .text();
    let pid: i32 = state
        .split("\"pid\":")
        .nth(1)
        .unwrap()
        .split([',', '}'])
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let mut up = up;
    up.program.line_with("SIGKILL").await;
    assert_eq!(up.get("phoenix.default.localhost", "/").await.status, 200);
    assert_eq!(up.stop().await, Some(0));
}
