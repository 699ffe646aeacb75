use std::fs;

use tokio::time::timeout;

use super::*;
use crate::host::stage::{PATIENCE, Stage};

fn name() -> ReplicaName {
    ReplicaName {
        service: "hello".into(),
        revision: "hello-00001".into(),
        index: 1,
    }
}

fn launch(host: &Host, words: &[&str]) -> Launch {
    let path = std::env::var("PATH").expect("tests run with a PATH");
    Launch {
        name: name(),
        command: CommandLine::new(words.iter().map(|word| (*word).to_owned())).expect("a program"),
        environment: vec![("PATH".into(), path), ("GREETING".into(), "hi".into())],
        working_dir: None,
        port: host.ports.lease().expect("a free port"),
    }
}

fn shell(host: &Host, script: &str) -> Replica {
    Replica::launch(launch(host, &["sh", "-c", script]), host).expect("sh starts")
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it ends soon")
}

#[tokio::test]
async fn a_replica_sees_its_environment_and_directory_and_nothing_else() {
    let mut stage = Stage::new();
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("here"), "").expect("a file");
    let script = r#"ls; echo "$GREETING $TIDEGATE_INSTANCE ${HOME-no home}"; cat; echo end >&2"#;
    let mut launch = launch(&stage.host, &["sh", "-c", script]);
    launch.working_dir = Some(directory.path().to_owned());
    let replica = Replica::launch(launch, &stage.host).expect("sh starts");
    assert_eq!(soon(replica.exited()).await, Exit::Code(0));
    stage.line("hello/hello-00001/1 | here").await;
    let expected = format!("hi {} no home", stage.host.instance);
    let mut tail = replica.tail();
    tail.sort();
    assert_eq!(tail, ["end", "here", &expected]);
    stage.close().await;
}

#[tokio::test]
async fn a_crash_tells_its_code_and_last_lines() {
    let stage = Stage::new();
    let replica = shell(&stage.host, "echo starting; echo no database >&2; exit 3");
    assert_eq!(soon(replica.exited()).await, Exit::Code(3));
    assert_eq!(*replica.state().borrow(), State::Exited(Exit::Code(3)));
    assert!(replica.tail().contains(&"no database".to_owned()));
    replica.mark_ready();
    assert_eq!(
        *replica.state().borrow(),
        State::Exited(Exit::Code(3)),
        "a dead replica does not get ready"
    );
    stage.close().await;
}

#[tokio::test]
async fn a_stop_lets_the_process_finish() {
    let mut stage = Stage::new();
    let replica = shell(
        &stage.host,
        "trap 'echo bye; exit 7' TERM; echo up; while :; do :; done",
    );
    stage.line("up").await;
    replica.mark_listening();
    replica.mark_ready();
    assert_eq!(*replica.state().borrow(), State::Ready);
    assert_eq!(soon(replica.stop(PATIENCE)).await, Exit::Code(7));
    assert_eq!(replica.tail(), ["up", "bye"]);
    stage.close().await;
}

#[tokio::test]
async fn a_shell_that_ends_at_once_does_not_cut_the_app_short() {
    let mut stage = Stage::new();
    let app = "trap 'echo finished; exit' TERM; echo up; while :; do :; done";
    let replica = shell(&stage.host, &format!("({app}) & wait"));
    stage.line("up").await;
    assert_eq!(
        soon(replica.stop(PATIENCE)).await,
        Exit::Signal(15),
        "that is the shell's end"
    );
    assert_eq!(replica.tail(), ["up", "finished"]);
    stage.close().await;
}

#[tokio::test]
async fn what_does_not_stop_in_time_is_killed() {
    let mut stage = Stage::new();
    let replica = shell(&stage.host, "trap '' TERM; echo up; while :; do sleep 1000; done");
    stage.line("up").await;
    let patient = replica.stop(PATIENCE * 100);
    assert_eq!(
        *replica.state().borrow(),
        State::Starting,
        "the supervisor has not run yet"
    );
    assert_eq!(
        soon(replica.stop(Duration::ZERO)).await,
        Exit::Signal(9),
        "a later call may shorten the grace"
    );
    assert_eq!(soon(patient).await, Exit::Signal(9));
    soon(ended(&stage.host)).await;
    stage.close().await;
}

#[tokio::test]
async fn grandchildren_end_with_the_first_process() {
    let mut stage = Stage::new();
    let replica = shell(
        &stage.host,
        "(trap '' TERM; echo up; while :; do sleep 1000; done) & wait",
    );
    stage.line("up").await;
    let first =
        rustix::process::Pid::from_raw(i32::try_from(replica.pid().expect("a process")).expect("a pid"))
            .expect("a pid");
    rustix::process::kill_process(first, rustix::process::Signal::SEGV).expect("it runs");
    assert_eq!(soon(replica.exited()).await, Exit::Signal(11));
    soon(ended(&stage.host)).await;
    stage.close().await;
}

#[tokio::test]
async fn a_dropped_replica_is_killed() {
    let mut stage = Stage::new();
    let replica = shell(&stage.host, "trap '' TERM; echo up; while :; do sleep 1000; done");
    stage.line("up").await;
    let exited = replica.exited();
    drop(replica);
    assert_eq!(soon(exited).await, Exit::Signal(9));
    soon(ended(&stage.host)).await;
    stage.close().await;
}

/// Until no process of this test is left.
async fn ended(host: &Host) {
    for group in ProcessGroup::of_instance(&host.instance) {
        group.ended().await;
    }
}

#[tokio::test]
async fn launch_errors_say_what_to_do() {
    let stage = Stage::new();
    let directory = tempfile::tempdir().expect("a directory");
    // Written by another process: a file that this one has open for writing cannot be run, and a test beside may fork.
    let file = |name: &str, text: &str, mode: &str| {
        let path = directory.path().join(name);
        let mut write = std::process::Command::new("sh");
        write.args(["-c", r#"printf %s "$1" > "$2" && chmod "$3" "$2""#, "sh", text]);
        assert!(write.arg(&path).arg(mode).status().expect("sh").success());
        path.to_str().expect("text").to_owned()
    };
    let check = |program: &str, expected: &str| {
        let error = Replica::launch(launch(&stage.host, &[program]), &stage.host)
            .expect_err(program)
            .to_string();
        assert!(error.contains(expected), "{program}: {error}");
    };
    check(
        "tidegate-no-such-program",
        "tidegate-no-such-program not found: is it installed and on PATH?",
    );
    check(
        "./no/such",
        "./no/such not found: is it built, and is the path right?",
    );
    check(&file("plain", "text", "644"), "is not executable");
    check(
        &file("lost", "#!/no/such/interpreter\n", "755"),
        "exists, but what it needs to start does not",
    );
    check(
        &file("odd", "\u{1}\u{2}", "755"),
        "is no program for this machine",
    );
    let busy = file("busy", "#!/bin/sh\n", "755");
    let _writer = fs::OpenOptions::new().append(true).open(&busy).expect("a file");
    check(&busy, "is being written: is a build still running?");
    stage.close().await;
}

#[tokio::test]
async fn a_program_is_found_on_its_own_path_from_where_it_runs() {
    let stage = Stage::new();
    let directory = tempfile::tempdir().expect("a directory");
    let build = "mkdir a b; echo text > a/app; printf '#!/bin/sh\\necho b $0' > b/app; chmod +x b/app";
    let mut sh = std::process::Command::new("sh");
    assert!(
        sh.args(["-c", build])
            .current_dir(directory.path())
            .status()
            .expect("sh")
            .success()
    );
    let run = |program: &str, path: &str| {
        let mut launch = launch(&stage.host, &[program]);
        launch.environment = vec![("PATH".into(), path.into())];
        launch.working_dir = Some(directory.path().to_owned());
        Replica::launch(launch, &stage.host)
    };
    for (program, path, expected) in [
        ("app", "a:b", "b b/app"),
        ("b/app", "", "b b/app"),
        ("./b/app", "a", "b ./b/app"),
    ] {
        let replica = run(program, path).expect(program);
        assert_eq!(soon(replica.exited()).await, Exit::Code(0));
        assert_eq!(replica.tail(), [expected]);
    }
    let error = run("app", "a").expect_err("it is text").to_string();
    assert_eq!(
        error,
        "a/app is not executable: is it a program, and did it get chmod +x?"
    );
    stage.close().await;
}

#[tokio::test]
async fn a_missing_working_directory_is_named() {
    let stage = Stage::new();
    let mut launch = launch(&stage.host, &["true"]);
    launch.working_dir = Some("/no/such/directory".into());
    let error = Replica::launch(launch, &stage.host)
        .expect_err("no directory")
        .to_string();
    assert_eq!(
        error,
        "workingDir /no/such/directory is no directory: create it or correct the path"
    );
    stage.close().await;
}

#[test]
fn a_command_line_needs_a_program() {
    let words = |words: &[&str]| CommandLine::new(words.iter().map(|word| (*word).to_owned()));
    assert_eq!(words(&[]), None);
    assert_eq!(words(&["", "x"]), None);
    assert_eq!(words(&["a", "b"]).expect("a program").arguments, ["b"]);
}
