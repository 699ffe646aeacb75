//! What a file means where its author said nothing.

use std::collections::BTreeMap;

use tidegate_knative::object::{
    EnvSource, PortRef, Probe, ProbeHandler, Protocol, Quantity, RevisionSpec, Service, TrafficTarget,
    TrafficTo,
};
use tidegate_knative::{Defaults, ImageRule, Object, Position, load};

/// A Service with these lines as `spec.template.spec`.
fn service(spec: &str, defaults: &Defaults) -> Service {
    let spec: String = spec.lines().map(|line| format!("      {line}\n")).collect();
    let text = format!(
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: hello\n\
         spec:\n  template:\n    spec:\n{spec}"
    );
    match load("hello.yaml", &text, defaults).unwrap().pop() {
        Some(Object::Service(service)) => service,
        other => panic!("{other:?}"),
    }
}

fn spec(text: &str) -> RevisionSpec {
    service(text, &Defaults::default()).template.spec
}

fn connect() -> ProbeHandler {
    ProbeHandler::TcpSocket {
        port: PortRef::Number(0),
        host: None,
    }
}

#[test]
fn the_smallest_service_gets_knatives_defaults() {
    let service = service("containers: [{image: hello}]", &Defaults::default());
    assert_eq!(
        (
            service.metadata.name.as_str(),
            service.metadata.namespace.as_str()
        ),
        ("hello", "default")
    );
    let to = TrafficTo::LatestOf("hello".to_owned());
    assert_eq!(
        service.traffic,
        [TrafficTarget {
            to,
            tag: None,
            percent: 100
        }]
    );
    let spec = service.template.spec;
    assert_eq!(spec.serving.name, "user-container");
    assert_eq!((spec.user_port(), spec.protocol()), (8080, Protocol::Http1));
    assert_eq!((spec.container_concurrency, spec.timeout_seconds), (0, 300));
    assert_eq!(
        (spec.response_start_timeout_seconds, spec.idle_timeout_seconds),
        (None, None)
    );
    assert_eq!(spec.enable_service_links, Some(false));
    let probe = spec.serving.readiness_probe.unwrap();
    assert_eq!(probe.handler, connect());
    assert_eq!((probe.period_seconds, probe.success_threshold), (0, 1));
    assert_eq!((probe.timeout_seconds, probe.failure_threshold), (0, 0));
}

#[test]
fn the_port_says_what_the_container_speaks() {
    for (port, number, protocol) in [
        ("{}", 8080, Protocol::Http1),
        ("{containerPort: 3000}", 3000, Protocol::Http1),
        ("{name: http1, containerPort: 3000}", 3000, Protocol::Http1),
        ("{name: h2c}", 8080, Protocol::H2c),
        (
            "{name: \"\", protocol: TCP, containerPort: 0}",
            8080,
            Protocol::Http1,
        ),
    ] {
        let spec = spec(&format!("containers: [{{image: a, ports: [{port}]}}]"));
        assert_eq!((spec.user_port(), spec.protocol()), (number, protocol), "{port}");
    }
}

#[test]
fn timeouts_follow_the_revisions_own() {
    let defaults = Defaults {
        revision_idle_timeout_seconds: 20,
        ..Defaults::default()
    };
    for (fields, expected) in [
        ("{}", (300, None, Some(20))),
        ("{timeoutSeconds: 0}", (300, None, Some(20))),
        ("{timeoutSeconds: 10}", (10, None, None)),
        ("{timeoutSeconds: 600}", (600, Some(300), Some(20))),
        (
            "{timeoutSeconds: 600, responseStartTimeoutSeconds: 0, idleTimeoutSeconds: 7}",
            (600, None, Some(7)),
        ),
        ("{responseStartTimeoutSeconds: 400}", (300, Some(400), Some(20))),
    ] {
        let fields = fields.trim_matches(['{', '}']);
        let spec = service(&format!("{{containers: [{{image: a}}], {fields}}}"), &defaults)
            .template
            .spec;
        let found = (
            spec.timeout_seconds,
            spec.response_start_timeout_seconds,
            spec.idle_timeout_seconds,
        );
        assert_eq!(found, expected, "{fields}");
    }
}

#[test]
fn containers_without_a_name_get_one_that_is_free() {
    for (containers, serving, sidecars) in [
        ("[{image: a, name: mine}]", "mine", vec![]),
        (
            "[{image: a, ports: [{}]}, {image: b}]",
            "user-container-0",
            vec!["user-container-1"],
        ),
        (
            "[{image: a}, {image: b, name: user-container-0}, {image: c, ports: [{}]}]",
            "user-container-2",
            vec!["user-container-1", "user-container-0"],
        ),
    ] {
        let spec = spec(&format!("containers: {containers}"));
        let others: Vec<&str> = spec
            .sidecars
            .iter()
            .map(|container| container.name.as_str())
            .collect();
        assert_eq!(
            (spec.serving.name.as_str(), others),
            (serving, sidecars),
            "{containers}"
        );
    }
    let spec =
        spec("{containers: [{image: a}], initContainers: [{image: b, name: user-container}, {image: c}]}");
    assert_eq!(spec.serving.name, "user-container-0");
    assert_eq!(spec.init_containers[1].name, "init-container-0");
}

#[test]
fn probes_are_completed() {
    let probe = |text: &str| -> Probe {
        spec(&format!("containers: [{{image: a, readinessProbe: {text}}}]"))
            .serving
            .readiness_probe
            .unwrap()
    };
    let periodic = probe("{periodSeconds: 5}");
    assert_eq!(periodic.handler, connect());
    assert_eq!(
        (
            periodic.timeout_seconds,
            periodic.failure_threshold,
            periodic.success_threshold
        ),
        (1, 3, 1)
    );
    let grpc = ProbeHandler::Grpc {
        port: PortRef::Number(0),
        service: String::new(),
    };
    assert_eq!(probe("{grpc: {}, successThreshold: 2}").handler, grpc);
    let http = probe("{httpGet: {path: /healthz, port: http, httpHeaders: [{name: A, value: b}]}}");
    let ProbeHandler::HttpGet {
        path,
        port,
        http_headers,
        ..
    } = http.handler
    else {
        panic!("no GET")
    };
    assert_eq!(
        (path.as_str(), port, http_headers.len()),
        ("/healthz", PortRef::Name("http".into()), 1)
    );

    let spec = spec("containers: [{image: a, livenessProbe: {exec: {command: [true-ish]}}}]");
    let liveness = spec.serving.liveness_probe.unwrap();
    assert_eq!((liveness.period_seconds, liveness.failure_threshold), (10, 3));
}

#[test]
fn a_sidecar_has_no_probe_unless_it_says_so() {
    let spec = spec("containers: [{image: a, ports: [{}]}, {image: b, env: [{name: PORT, value: \"9\"}]}]");
    assert_eq!(spec.sidecars[0].readiness_probe, None);
    assert_eq!(spec.sidecars[0].env[0].source, EnvSource::Value("9".to_owned()));
}

#[test]
fn mounts_are_read_only_unless_the_volume_is_writable() {
    let spec = spec(
        "containers: [{image: a, volumeMounts: [{name: c, mountPath: /c}, {name: e, mountPath: /e}]}]\n\
         volumes: [{name: c, configMap: {name: x}}, {name: e, emptyDir: {}}]",
    );
    let read_only: Vec<bool> = spec
        .serving
        .volume_mounts
        .iter()
        .map(|mount| mount.read_only)
        .collect();
    assert_eq!(read_only, [true, false]);
}

#[test]
fn environment_and_command_are_kept_in_order() {
    let spec = spec(
        "containers:\n- image: a\n  command: [run]\n  args: [\"1\", two]\n  workingDir: /srv\n  env:\n  \
         - {name: B, value: b}\n  - {name: A}\n  - name: C\n    valueFrom: {configMapKeyRef: {name: m, key: k}}\n  \
         envFrom: [{prefix: P_, secretRef: {name: s, optional: true}}]",
    );
    let container = spec.serving;
    assert_eq!(
        (container.command, container.args),
        (vec!["run".into()], vec!["1".into(), "two".into()])
    );
    assert_eq!(container.working_dir.as_deref(), Some("/srv"));
    let names: Vec<&str> = container
        .env
        .iter()
        .map(|variable| variable.name.as_str())
        .collect();
    assert_eq!(names, ["B", "A", "C"]);
    assert_eq!(container.env[1].source, EnvSource::Value(String::new()));
    assert!(matches!(&container.env[2].source, EnvSource::ConfigMapKey(key) if key.key == "k"));
    assert!(container.env_from[0].optional && container.env_from[0].prefix == "P_");
}

#[test]
fn what_only_kubernetes_acts_on_is_kept_unseen() {
    let spec = spec(
        "containers: [{image: a, imagePullPolicy: Always, securityContext: {runAsUser: 0x3E8}}]\n\
         nodeSelector: {disk: ssd}\ntolerations: [{key: a}]\naffinity: {podAffinity: {x: [1]}}",
    );
    assert_eq!(
        spec.pod.keys().collect::<Vec<_>>(),
        ["affinity", "nodeSelector", "tolerations"]
    );
    assert_eq!(spec.serving.other["securityContext"]["runAsUser"], 1000);
}

#[test]
fn configured_defaults_reach_the_revision() {
    let cpu = Quantity::parse("250m").unwrap();
    let defaults = Defaults {
        container_concurrency: 7,
        container_name: "app".to_owned(),
        enable_service_links: None,
        revision_requests: BTreeMap::from([("cpu".to_owned(), cpu.clone())]),
        ..Defaults::default()
    };
    let spec = service(
        "containers: [{image: a, resources: {limits: {cpu: 1}}}]",
        &defaults,
    )
    .template
    .spec;
    assert_eq!(
        (spec.container_concurrency, spec.serving.name.as_str()),
        (7, "app")
    );
    assert_eq!(spec.enable_service_links, None);
    assert_eq!(spec.serving.resources.requests["cpu"], cpu);
    assert_eq!(spec.serving.resources.limits["cpu"].as_str(), "1");
}

#[test]
fn a_loaded_object_still_knows_where_its_fields_stand() {
    let service = service("containers:\n- image: hello", &Defaults::default());
    assert_eq!(service.source.document(), Position { line: 1, column: 1 });
    let at = service.source.position("spec.template.spec.containers[0].image");
    assert_eq!(at, Position { line: 9, column: 16 });
    let problem = service
        .source
        .problem("spec.traffic[0].revisionName", "unknown revision");
    assert_eq!(
        problem.to_string(),
        "hello.yaml:5:1: spec.traffic[0].revisionName: unknown revision"
    );
}

#[test]
fn a_container_can_do_without_an_image_only_where_a_command_is_enough() {
    let defaults = Defaults {
        image: ImageRule::UnlessCommand,
        ..Defaults::default()
    };
    let text = |container: &str| {
        format!(
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {{name: a}}\n\
             spec: {{template: {{spec: {{containers: [{{{container}}}]}}}}}}"
        )
    };
    let objects = load("a.yaml", &text("command: [run]"), &defaults).unwrap();
    assert_eq!(objects.len(), 1);
    let problems = load("a.yaml", &text("args: [x]"), &defaults).unwrap_err();
    assert!(
        problems[0].to_string().contains("name the image, or a command"),
        "{}",
        problems[0]
    );
}
