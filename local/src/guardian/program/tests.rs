use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::*;

fn shell() -> (Child, ProcessGroup) {
    let mut command = Command::new("sh");
    let child = command
        .args(["-c", "read line"])
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("sh");
    let group = ProcessGroup::led_by(child.id()).expect("a child's id");
    (child, group)
}

async fn heard(input: &str) -> (Ledger, Option<Told>) {
    let mut ledger = Ledger::default();
    let told = listen(input.as_bytes(), &mut ledger).await;
    (ledger, told)
}

#[tokio::test]
async fn the_end_of_the_pipe_is_told_from_an_orderly_end() {
    let (ledger, told) = heard("add 77 5\nadd 78 5\nremove 77\n").await;
    assert_eq!((ledger.groups().count(), told), (1, None));
    let (ledger, told) = heard("add 77 5\nremove 77\ndone\nadd 78 5\n").await;
    assert_eq!((ledger, told), (Ledger::default(), Some(Told::Done)));
}

#[tokio::test]
async fn nonsense_changes_nothing() {
    let long = "x".repeat(GUARDIAN_LINE_BYTES_MAX * 2);
    let (ledger, told) = heard(&format!("add 77 5\n{long}\n\nremove x\nadd 78 5\nadd 7")).await;
    assert_eq!((ledger.groups().count(), told), (2, None));
}

#[tokio::test]
async fn a_registered_group_ends_with_the_pipe() {
    let (mut child, group) = shell();
    guard(format!("add {group}\n").as_bytes(), &Instance::generate()).await;
    assert!(!group.is_alive());
    child.wait().expect("the shell ended");
}

#[tokio::test]
async fn an_orderly_end_still_ends_what_is_registered() {
    let (mut child, group) = shell();
    guard(format!("add {group}\ndone\n").as_bytes(), &Instance::generate()).await;
    assert!(!group.is_alive());
    child.wait().expect("the shell ended");
}

#[tokio::test]
async fn a_group_that_was_taken_off_is_left_alone() {
    let (mut child, group) = shell();
    guard(
        format!("add {group}\nremove {}\n", group.id()).as_bytes(),
        &Instance::generate(),
    )
    .await;
    assert!(group.is_alive());
    group.kill();
    child.wait().expect("the shell was killed");
}
