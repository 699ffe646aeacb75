use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::names::INSTANCE_VARIABLE;

const PATIENCE: Duration = Duration::from_secs(10);

/// A shell that leads a group of its own; its script has come to `echo ready` when this returns.
fn shell(script: &str, instance: &Instance) -> (Child, ProcessGroup) {
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .env(INSTANCE_VARIABLE, instance.as_str())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn().expect("sh");
    let mut ready = [0; 6];
    let mut output = child.stdout.take().expect("a pipe");
    output.read_exact(&mut ready).expect("the script is ready");
    let group = ProcessGroup::led_by(child.id()).expect("a child's id");
    (child, group)
}

#[tokio::test]
async fn a_group_is_alive_until_its_last_member_ended() {
    let (mut leader, group) = shell("echo ready; read line", &Instance::generate());
    assert!(group.is_alive());
    assert!(timeout(Duration::ZERO, group.ended()).await.is_err());
    group.end(PATIENCE).await;
    timeout(PATIENCE, group.ended())
        .await
        .expect("a zombie does not count");
    leader.wait().expect("the shell ended");
    assert!(!group.is_alive());
}

#[tokio::test]
async fn what_ignores_the_request_is_killed_after_the_grace() {
    let (mut leader, group) = shell("trap '' TERM; echo ready; read line", &Instance::generate());
    group.end(Duration::from_millis(1)).await;
    leader.wait().expect("the shell was killed");
    timeout(PATIENCE, group.ended())
        .await
        .expect("nothing survives a kill");
}

#[tokio::test]
async fn a_reused_id_is_left_alone() {
    let (mut leader, group) = shell("echo ready; read line", &Instance::generate());
    let earlier = ProcessGroup {
        started: group.started.map(|started| started - 1),
        ..group
    };
    if group.started.is_some() {
        assert!(!earlier.is_alive());
        earlier.kill();
        assert!(group.is_alive());
    }
    group.kill();
    leader.wait().expect("the shell was killed");
}

#[test]
#[cfg(target_os = "linux")]
fn an_instance_is_found_by_its_environment() {
    let instance = Instance::generate();
    let (mut leader, group) = shell("echo ready; read line", &instance);
    assert_eq!(ProcessGroup::of_instance(&instance), [group]);
    assert_eq!(ProcessGroup::of_instance(&Instance::generate()), []);
    drop(leader.stdin.take());
    leader.wait().expect("the shell ended with its input");
    assert_eq!(ProcessGroup::of_instance(&instance), []);
}

#[test]
fn the_written_form_is_read_back() {
    for text in ["123 4567", "2 -"] {
        assert_eq!(text.parse::<ProcessGroup>().expect(text).to_string(), text);
    }
    for text in ["", "1 5", "0 5", "-7 5", "7", "7 x", "99999999999 5"] {
        assert!(text.parse::<ProcessGroup>().is_err(), "{text:?}");
    }
    assert_eq!(ProcessGroup::led_by(0), None);
    assert_eq!(ProcessGroup::led_by(1), None);
}
