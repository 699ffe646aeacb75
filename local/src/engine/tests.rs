mod fake;

use serde_json::json;
use tokio::time::timeout;

use super::*;
use crate::exit::Exit;
use crate::host::stage::{PATIENCE, Stage};
use crate::launch::PullPolicy;
use crate::replica::State;
use fake::{Fake, Quirk};

fn launch(pull: PullPolicy) -> ContainerLaunch {
    ContainerLaunch {
        name: ReplicaName {
            service: "hello".into(),
            revision: "hello-00001".into(),
            index: 2,
        },
        plan: ContainerPlan {
            image: "ghcr.io/me/app".into(),
            arguments: vec!["--port=$(PORT)".into()],
            working_dir: None,
            port: 8080,
            empty_dirs: vec!["/data".into()],
            pull,
        },
        environment: BTreeMap::from([("PORT".to_owned(), "8080".to_owned())]),
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it ends soon")
}

async fn run(fake: &Fake, stage: &Stage, pull: PullPolicy) -> Replica {
    let engine = Engine::connect_to(&fake.host())
        .await
        .expect("the engine answers");
    engine.launch(launch(pull), &stage.host)
}

const CREATED: [&str; 2] = ["POST /containers/create", "POST /containers/NAME/start"];
const REMOVED: &str = "DELETE /containers/NAME";

#[tokio::test]
async fn a_container_runs_with_its_output_on_the_terminal_until_it_is_stopped() {
    let mut stage = Stage::new();
    let fake = Fake::start(Quirk::None);
    let replica = run(&fake, &stage, PullPolicy::IfNotPresent).await;
    stage.line("hello/hello-00001/2 | listening").await;
    assert_eq!(replica.endpoint(), Some(([127, 0, 0, 1], 49155).into()));
    assert_eq!((replica.pid(), replica.port_advice()), (None, None));
    replica.mark_ready();
    assert_eq!(soon(replica.stop(PATIENCE)).await, Exit::Code(143));
    assert_eq!(replica.tail(), ["warning", "listening", "bye"]);
    let changes = fake.changes();
    assert_eq!(changes[..2], CREATED);
    assert!(changes.contains(&"POST /containers/NAME/stop".to_owned()));
    assert_eq!(changes.last().map(String::as_str), Some(REMOVED));
    stage.close().await;
}

#[tokio::test]
async fn a_container_is_created_as_the_revision_says() {
    let stage = Stage::new();
    let fake = Fake::start(Quirk::Exits(0));
    let replica = run(&fake, &stage, PullPolicy::IfNotPresent).await;
    assert_eq!(soon(replica.exited()).await, Exit::Code(0));
    let expected = json!({
        "Image": "ghcr.io/me/app",
        "Cmd": ["--port=8080"],
        "Env": ["PORT=8080"],
        "Labels": {"dev.tidegate.instance": stage.host.instance.as_str()},
        "ExposedPorts": {"8080/tcp": {}},
        "HostConfig": {
            "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Tmpfs": {"/data": ""},
        },
    });
    assert_eq!(fake.created(), expected);
    stage.close().await;
}

#[tokio::test]
async fn a_container_that_ends_at_once_tells_its_code_and_last_lines() {
    let stage = Stage::new();
    let fake = Fake::start(Quirk::Exits(3));
    let replica = run(&fake, &stage, PullPolicy::IfNotPresent).await;
    assert_eq!(soon(replica.exited()).await, Exit::Code(3));
    assert!(replica.tail().contains(&"warning".to_owned()));
    assert_eq!(replica.endpoint(), None);
    assert_eq!(fake.changes().last().map(String::as_str), Some(REMOVED));
    stage.close().await;
}

#[tokio::test]
async fn a_container_that_does_not_stop_in_time_is_killed() {
    let mut stage = Stage::new();
    let fake = Fake::start(Quirk::Stubborn);
    let replica = run(&fake, &stage, PullPolicy::IfNotPresent).await;
    stage.line("listening").await;
    let patient = replica.stop(PATIENCE * 100);
    assert_eq!(soon(replica.stop(Duration::ZERO)).await, Exit::Code(137));
    assert_eq!(soon(patient).await, Exit::Code(137));
    assert!(fake.changes().contains(&"POST /containers/NAME/kill".to_owned()));
    stage.close().await;
}

#[tokio::test]
async fn a_missing_image_is_pulled_unless_the_policy_forbids_it() {
    let check = async |quirk, pull, expected: &str, changes: &[&str]| {
        let mut stage = Stage::new();
        let fake = Fake::start(quirk);
        let replica = run(&fake, &stage, pull).await;
        stage.line(expected).await;
        soon(replica.stop(PATIENCE)).await;
        assert_eq!(fake.changes()[..changes.len()], *changes, "{quirk:?} {pull:?}");
        stage.close().await;
    };
    let pull = "POST /images/create";
    let [create, start] = CREATED;
    check(Quirk::None, PullPolicy::Never, "listening", &[create, start]).await;
    check(
        Quirk::None,
        PullPolicy::Always,
        "listening",
        &[pull, create, start],
    )
    .await;
    check(
        Quirk::ImageElsewhere,
        PullPolicy::IfNotPresent,
        "listening",
        &[pull, create, start],
    )
    .await;
    let forbidden =
        "(image ghcr.io/me/app is not here and imagePullPolicy is Never: build it, or change the policy)";
    check(Quirk::ImageElsewhere, PullPolicy::Never, forbidden, &[REMOVED]).await;
    let nowhere = "(image ghcr.io/me/app cannot be pulled: manifest unknown: try `docker pull ghcr.io/me/app`, or --run ghcr.io/me/app=COMMAND)";
    check(
        Quirk::ImageNowhere,
        PullPolicy::IfNotPresent,
        nowhere,
        &[pull, REMOVED],
    )
    .await;
}

#[tokio::test]
async fn what_is_not_created_says_so() {
    let stage = Stage::new();
    let fake = Fake::start(Quirk::ImageNowhere);
    let replica = run(&fake, &stage, PullPolicy::Never).await;
    assert_eq!(soon(replica.exited()).await, Exit::NotCreated);
    assert_eq!(*replica.state().borrow(), State::Exited(Exit::NotCreated));
    stage.close().await;
}

#[tokio::test]
async fn a_dropped_container_is_removed() {
    let mut stage = Stage::new();
    let fake = Fake::start(Quirk::None);
    let replica = run(&fake, &stage, PullPolicy::IfNotPresent).await;
    stage.line("listening").await;
    let exited = replica.exited();
    drop(replica);
    soon(exited).await;
    assert_eq!(fake.changes().last().map(String::as_str), Some(REMOVED));
    stage.close().await;
}

#[tokio::test]
async fn all_containers_of_an_instance_are_removed() {
    let fake = Fake::start(Quirk::None);
    let engine = Engine::connect_to(&fake.host())
        .await
        .expect("the engine answers");
    assert_eq!(engine.remove_all(&Instance::generate()).await.expect("a list"), 2);
    let mut changes = fake.changes();
    changes.sort();
    assert_eq!(changes, ["DELETE /containers/old-1", "DELETE /containers/old-2"]);
}

#[tokio::test]
async fn where_no_engine_answers_the_error_says_so() {
    let error = Engine::connect_to("unix:///no/such/engine.sock")
        .await
        .expect_err("there is none");
    let error = EngineError::NoEngine {
        tried: vec![error.to_string()],
    }
    .to_string();
    for part in [
        "start Docker or Podman",
        "--run IMAGE=COMMAND",
        "/no/such/engine.sock",
    ] {
        assert!(error.contains(part), "{error}");
    }
}
