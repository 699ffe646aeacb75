//! What Knative's webhook says about containers and the revision around them.

use crate::{check_container, check_revision, check_spec};

#[test]
fn numbers_stay_within_their_bounds() {
    let within = "choose a number within these bounds";
    for (field, expected) in [
        (
            "containerConcurrency: 1001",
            format!("containerConcurrency: expected 0 <= 1001 <= 1000 ({within})"),
        ),
        (
            "containerConcurrency: -1",
            format!("containerConcurrency: expected 0 <= -1 <= 1000 ({within})"),
        ),
        (
            "timeoutSeconds: 601",
            format!("timeoutSeconds: expected 0 <= 601 <= 600 ({within})"),
        ),
        (
            "idleTimeoutSeconds: -1",
            format!("idleTimeoutSeconds: expected 0 <= -1 <= 2147483647 ({within})"),
        ),
        (
            "timeoutSeconds: 1.5",
            "timeoutSeconds: expected a whole number, found a number".to_owned(),
        ),
        (
            "timeoutSeconds: \"300\"",
            "timeoutSeconds: expected a whole number, found text (remove the quotes)".to_owned(),
        ),
    ] {
        check_revision(field, &[&expected]);
    }
}

#[test]
fn ports_are_those_of_the_contract() {
    for (ports, expected) in [
        (
            "[{name: grpc}]",
            "ports[0].name: Port name grpc is not allowed (Name must be empty, or one of: 'h2c' (gRPC too), 'http1')",
        ),
        (
            "[{containerPort: 8012}]",
            "ports[0].containerPort: invalid value: 8012 is a reserved port (please use a different value)",
        ),
        (
            "[{containerPort: 65536}]",
            "ports[0].containerPort: expected 0 <= 65536 <= 65535 (choose a number within these bounds)",
        ),
        (
            "[{protocol: UDP}]",
            "ports[0].protocol: invalid value: UDP (the only protocol is TCP)",
        ),
        (
            "[{hostPort: 80}]",
            "ports[0].hostPort: unknown field (known: containerPort, name, protocol)",
        ),
        (
            "[{}, {containerPort: 81}]",
            "ports[1]: more than one container port is set (Only a single port is allowed across all containers)",
        ),
    ] {
        check_container(&format!("ports: {ports}"), &[expected]);
    }
}

#[test]
fn containers_fit_together() {
    let one = "spec.template.spec.containers";
    check_spec(
        "template: {spec: {containers: []}}",
        &[&format!(
            "{one}: missing field(s) (list one container with its image)"
        )],
    );
    check_spec(
        "template: {spec: {containers: [{image: a}, {image: b}]}}",
        &[&format!(
            "{one}: missing field(s): ports (say which container gets the requests: give one of them a port)"
        )],
    );
    check_spec(
        "template: {spec: {containers: [{image: a, name: x, ports: [{}]}, {image: b, name: x}]}}",
        &[&format!(
            "{one}[1].name: duplicate container name \"x\" (give each container a name of its own)"
        )],
    );
    check_container(
        "name: queue-proxy",
        &["name: \"queue-proxy\" is a reserved container name (choose another name)"],
    );
    check_spec(
        "template: {spec: {containers: [{command: [run]}]}}",
        &[&format!(
            "{one}[0].image: missing field(s) (name the image, also if a command is to run in its place)"
        )],
    );
}

#[test]
fn environment_is_the_authors_but_for_four_names() {
    for name in ["PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"] {
        check_container(
            &format!("env: [{{name: {name}, value: x}}]"),
            &[&format!(
                "env[0].name: {name:?} is a reserved environment variable (Knative sets it itself: remove it, or \
                 choose another name)"
            )],
        );
    }
    for (variable, expected) in [
        (
            "{name: A, value: 1}",
            ".value: expected text, found a number (write \"1\" with the quotes)",
        ),
        (
            "{name: A, value: yes}",
            ".value: expected text, found a boolean (write \"yes\" with the quotes)",
        ),
        ("{value: a}", ".name: missing field(s) (name the variable)"),
        (
            "{name: A, value: a, valueFrom: {secretKeyRef: {name: s, key: k}}}",
            ": expected exactly one, got both: value, valueFrom (remove one of them)",
        ),
        (
            "{name: A, valueFrom: {configMapKeyRef: {name: s}}}",
            ".valueFrom.configMapKeyRef.key: missing field(s) (name the key in it)",
        ),
        (
            "{name: A, valueFrom: {}}",
            ".valueFrom: expected exactly one, got neither (choose configMapKeyRef, secretKeyRef, fieldRef or \
             resourceFieldRef)",
        ),
    ] {
        check_container(&format!("env: [{variable}]"), &[&format!("env[0]{expected}")]);
    }
}

#[test]
fn probes_are_sound() {
    for (probe, expected) in [
        (
            "readinessProbe: {failureThreshold: 2}",
            "readinessProbe.failureThreshold: failureThreshold is disallowed when periodSeconds is zero (set \
             periodSeconds, or remove it)",
        ),
        (
            "readinessProbe: {httpGet: {}, tcpSocket: {}}",
            "readinessProbe: expected exactly one, got both (keep one of httpGet, tcpSocket, grpc and exec)",
        ),
        (
            "livenessProbe: {periodSeconds: 3}",
            "livenessProbe: expected exactly one, got neither: httpGet, tcpSocket, exec, grpc (say how to probe)",
        ),
        (
            "livenessProbe: {tcpSocket: {port: 70000}}",
            "livenessProbe.tcpSocket.port: expected 0 <= 70000 <= 65535 (choose a number within these bounds)",
        ),
        (
            "readinessProbe: {httpGet: {port: web}}",
            "readinessProbe.httpGet.port: invalid value: web (probe port must match container port, which is named \
             \"http\")",
        ),
        (
            "startupProbe: {exec: {command: [a]}, successThreshold: 2}",
            "startupProbe.successThreshold: expected 1 <= 2 <= 1 (only a readiness probe may ask for more)",
        ),
        (
            "readinessProbe: {periodSeconds: -1}",
            "readinessProbe.periodSeconds: expected 0 <= -1 <= 2147483647 (choose a number within these bounds)",
        ),
    ] {
        check_container(probe, &[expected]);
    }
}

#[test]
fn volumes_and_mounts_match() {
    for (fields, expected) in [
        (
            "volumeMounts: [{name: x, mountPath: /x}]",
            "volumeMounts[0].name: volumeMount has no matching volume (add it to spec.volumes)",
        ),
        (
            "volumeMounts: [{name: x}]",
            "volumeMounts[0].mountPath: missing field(s) (say where the volume appears in the container)",
        ),
    ] {
        check_container(fields, &[expected]);
    }
    check_revision(
        "volumes: [{name: x, emptyDir: {}}]",
        &["volumes[0].name: volume with name \"x\" not mounted (mount it in a container, or remove it)"],
    );
    let mount = |path: &str| {
        format!(
            "template: {{spec: {{containers: [{{image: a, volumeMounts: [{{name: x, mountPath: {path}}}]}}], \
             volumes: [{{name: x, emptyDir: {{}}}}]}}}}"
        )
    };
    let path = "spec.template.spec.containers[0].volumeMounts[0].mountPath";
    check_spec(
        &mount("/a/../dev/"),
        &[&format!(
            "{path}: mountPath \"/dev\" is a reserved path (mount it elsewhere)"
        )],
    );
    check_spec(
        &mount("a/b"),
        &[&format!(
            "{path}: invalid value: a/b (write a path that begins with a slash)"
        )],
    );
}

#[test]
fn unknown_fields_say_what_was_meant() {
    check_revision(
        "containerConcurency: 1",
        &["containerConcurency: unknown field (did you mean containerConcurrency?)"],
    );
    check_container("comand: [a]", &["comand: unknown field (did you mean command?)"]);
    check_container(
        "resources: {cpu: 1}",
        &["resources.cpu: unknown field (known: limits, requests)"],
    );
    check_container(
        "securityContext: {runAsUser: -1, runAsNonRot: true}",
        &[
            "securityContext.runAsUser: expected 0 <= -1 <= 2147483647 (choose a number within these bounds)",
            "securityContext.runAsNonRot: unknown field (did you mean runAsNonRoot?)",
        ],
    );
    check_container(
        "resources: {limits: {memory: 1 GB}}",
        &["resources.limits.memory: invalid value: 1 GB (write a quantity such as 500m, 0.5, 128Mi or 1G)"],
    );
}
