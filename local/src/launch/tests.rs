use tidegate_knative::object::{ContainerPort, Volume, VolumeSource};

use super::*;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn container(image: &str, command: &[&str], args: &[&str]) -> Container {
    Container {
        image: image.into(),
        command: words(command),
        args: words(args),
        ..Container::default()
    }
}

fn spec(serving: Container) -> RevisionSpec {
    RevisionSpec {
        serving,
        sidecars: Vec::new(),
        init_containers: Vec::new(),
        container_concurrency: 0,
        timeout_seconds: 300,
        response_start_timeout_seconds: None,
        idle_timeout_seconds: None,
        volumes: Vec::new(),
        service_account_name: None,
        enable_service_links: None,
        pod: BTreeMap::new(),
    }
}

fn mounted(serving: Container, kind: &str, path: &str) -> RevisionSpec {
    let mount = VolumeMount {
        name: "files".into(),
        mount_path: path.into(),
        sub_path: None,
        read_only: false,
        other: BTreeMap::new(),
    };
    let source = VolumeSource {
        kind: kind.into(),
        value: serde_json::json!({}),
    };
    let mut spec = spec(Container {
        volume_mounts: vec![mount],
        ..serving
    });
    spec.volumes.push(Volume {
        name: "files".into(),
        source,
    });
    spec
}

fn check_words(container: &Container, mappings: &[&str], expected: &[&str]) {
    let mappings: Vec<RunMapping> = mappings
        .iter()
        .map(|text| text.parse().expect("a mapping"))
        .collect();
    let found = process_words(container, &mappings);
    assert_eq!(found.unwrap_or_default(), words(expected), "{container:?}");
}

#[test]
fn a_mapping_wins_over_the_command_and_the_command_over_the_image() {
    check_words(&container("app:1", &["serve"], &["--x"]), &[], &["serve", "--x"]);
    check_words(
        &container("app:1", &["serve"], &["--x"]),
        &["app=run me"],
        &["run", "me"],
    );
    check_words(
        &container("app:1", &[], &["--x"]),
        &["app=run me"],
        &["run", "me", "--x"],
    );
    check_words(&container("app:1", &[], &["--x"]), &["other=run"], &[]);
}

#[test]
fn only_an_image_needs_an_engine() {
    let mut image = container("app:1", &[], &["--x"]);
    image.port = Some(ContainerPort {
        name: None,
        container_port: 9000,
    });
    image.other.insert(PULL_POLICY_FIELD.into(), "Never".into());
    let expected = ContainerPlan {
        image: "app:1".into(),
        arguments: words(&["--x"]),
        working_dir: None,
        port: 9000,
        empty_dirs: Vec::new(),
        pull: PullPolicy::Never,
    };
    assert_eq!(
        plan_launch(&spec(image), &[]),
        Ok(LaunchKind::Container(expected))
    );
}

#[test]
fn the_command_line_is_expanded_and_tidegate_means_this_program() {
    let variables = BTreeMap::from([("PORT".to_owned(), "41234".to_owned())]);
    let line = |command: &[&str]| {
        let plan = ProcessPlan {
            words: words(command),
            working_dir: None,
        };
        plan.command_line(&variables, Path::new("/opt/this"))
            .map(|line| (line.program, line.arguments))
    };
    assert_eq!(
        line(&["serve", "--port=$(PORT)"]),
        Some(("serve".into(), words(&["--port=41234"])))
    );
    assert_eq!(
        line(&["tidegate", "sample"]),
        Some(("/opt/this".into(), words(&["sample"])))
    );
    assert_eq!(line(&["./tidegate"]), Some(("./tidegate".into(), Vec::new())));
}

#[test]
fn a_process_plan_reads_as_one_would_type_it() {
    let plan = ProcessPlan {
        words: words(&["sh", "-c", "exec app $(PORT)"]),
        working_dir: None,
    };
    assert_eq!(plan.to_string(), "sh -c 'exec app $(PORT)'");
}

fn check_obstacles(spec: &RevisionSpec, expected: &[&str]) {
    let obstacles = plan_launch(spec, &[]).err().unwrap_or_default();
    let found: Vec<String> = obstacles.iter().map(Obstacle::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_cannot_run_here_is_named_with_its_field() {
    let nothing = "spec.template.spec.containers[0]: there is neither command nor image: add a command, the program to run";
    check_obstacles(&spec(container("", &[], &[])), &[nothing]);
    let mut pod = spec(container("", &["serve"], &[]));
    pod.sidecars = vec![Container {
        name: "proxy".into(),
        ..Container::default()
    }];
    pod.init_containers = vec![Container {
        name: "migrate".into(),
        ..Container::default()
    }];
    check_obstacles(
        &pod,
        &[
            "spec.template.spec.containers: one container runs here, without its sidecars: leave them out of the files for this machine (proxy)",
            "spec.template.spec.initContainers: init containers do not run here: leave them out of the files for this machine (migrate)",
        ],
    );
}

#[test]
fn mounts_are_refused_unless_they_come_for_free() {
    let process = container("", &["serve"], &[]);
    let image = container("app", &[], &[]);
    let refused = |kind: &str, path: &str| {
        format!(
            "spec.template.spec.containers[0].volumeMounts[0]: {kind} files cannot be mounted at {path} here: read files by a path of this machine, or values from env"
        )
    };
    check_obstacles(&mounted(process.clone(), "emptyDir", "/tmp"), &[]);
    check_obstacles(
        &mounted(process.clone(), "emptyDir", "/data"),
        &[&refused("emptyDir", "/data")],
    );
    check_obstacles(
        &mounted(process, "configMap", "/etc/app"),
        &[&refused("configMap", "/etc/app")],
    );
    check_obstacles(&mounted(image.clone(), "emptyDir", "/data"), &[]);
    check_obstacles(
        &mounted(image, "secret", "/etc/app"),
        &[&refused("secret", "/etc/app")],
    );
}
