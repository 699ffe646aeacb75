//! What Knative's webhook says about kinds, names, labels and annotations.

use crate::{check, check_spec};

#[test]
fn names_become_hosts() {
    let text = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: Hello}\n\
                spec: {template: {metadata: {name: x}, spec: {containers: [{image: a}]}}}\n";
    check(
        text,
        &[
            "metadata.name: invalid value: Hello: not a DNS 1035 label (use at most 63 lower-case letters, digits and \
             dashes, beginning with a letter)",
            "spec.template.metadata.name: invalid value: \"x\" must have prefix \"Hello-\" (call it Hello-x, or leave \
             the name out)",
        ],
    );
    check(
        &text.replace("Hello", "hello").replace("name: x", "name: hello-x"),
        &[],
    );
    check(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}\n",
        &["metadata.name: missing field(s) (give the object a name)"],
    );
}

#[test]
fn annotations_stand_where_they_work() {
    let text = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a, annotations: {KEY: \"2\"}}\n\
                spec: {template: {spec: {containers: [{image: a}]}}}\n";
    check(
        &text.replace("KEY", "autoscaling.knative.dev/min-scale"),
        &[
            "metadata.annotations.autoscaling.knative.dev/min-scale: invalid key name \
           \"autoscaling.knative.dev/min-scale\" (autoscaling annotations must be put under \
           spec.template.metadata.annotations to work)",
        ],
    );
    check(
        &text.replace("KEY", "serving.knative.dev/rollout-duration"),
        &[
            "metadata.annotations.serving.knative.dev/rollout-duration: invalid value: 2 (missing unit: write s, m, h or \
           ms after the number, such as 30s)",
        ],
    );
    let template = |key: &str, value: &str| {
        format!(
            "template: {{metadata: {{annotations: {{{key}: {value}}}}}, spec: {{containers: [{{image: a}}]}}}}"
        )
    };
    let path = "spec.template.metadata.annotations";
    check_spec(
        &template("autoscaling.knative.dev/window", "2s"),
        &[&format!(
            "{path}.autoscaling.knative.dev/window: expected 6s <= 2s <= 1h0m0s"
        )],
    );
    check_spec(
        &template("autoscaling.knative.dev/min-scale", "1"),
        &[&format!(
            "{path}.autoscaling.knative.dev/min-scale: expected text, found a number (write \"1\" with the quotes)"
        )],
    );
    check_spec(
        &template("serving.knative.dev/progress-deadline", "1500ms"),
        &[&format!(
            "{path}.serving.knative.dev/progress-deadline: progress-deadline=1500ms is not at second precision (write \
         whole seconds, such as 600s)"
        )],
    );
}

#[test]
fn labels_are_kubernetes_labels() {
    let text = "apiVersion: serving.knative.dev/v1\nkind: Configuration\nmetadata: {name: a, labels: {KEY}}\n\
                spec: {template: {spec: {containers: [{image: a}]}}}\n";
    for (label, expected) in [
        (
            "a b: c",
            vec!["a b: invalid key name \"a b\" (write [prefix/]name of letters, digits, dashes and dots)"],
        ),
        (
            "a: b c",
            vec!["a: invalid label value (use at most 63 letters, digits, dashes, dots and underscores)"],
        ),
        (
            "networking.knative.dev/visibility: open",
            vec!["networking.knative.dev/visibility: invalid value: open (the only value is cluster-local)"],
        ),
        (
            "serving.knative.dev/servise: a",
            vec![
                "serving.knative.dev/servise: invalid key name \"serving.knative.dev/servise\" (did you mean \
                 serving.knative.dev/service?)",
            ],
        ),
        ("app: a", vec![]),
    ] {
        let expected: Vec<String> = expected
            .iter()
            .map(|line| format!("metadata.labels.{line}"))
            .collect();
        check(
            &text.replace("KEY", label),
            &expected.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    }
}

#[test]
fn unknown_kinds_and_versions_say_the_right_ones() {
    for (version, kind, expected) in [
        (
            "v1",
            "Service",
            "apiVersion: a Service of \"v1\" is not known (this is Kubernetes' Service; Knative's is \
             serving.knative.dev/v1)",
        ),
        (
            "serving.knative.dev/v1alpha1",
            "Route",
            "apiVersion: a Route of \"serving.knative.dev/v1alpha1\" is not known (write apiVersion: \
             serving.knative.dev/v1)",
        ),
        (
            "v1",
            "Servise",
            "kind: unknown kind \"Servise\" of v1 (did you mean Service?)",
        ),
        (
            "apps/v1",
            "Deployment",
            "kind: unknown kind \"Deployment\" of apps/v1 (known: Service, Configuration, Route, ConfigMap, Secret, \
             Namespace)",
        ),
        (
            "serving.knative.dev/v1",
            "Revision",
            "kind: unknown kind \"Revision\" of serving.knative.dev/v1 (revisions come from the template of a Service \
             or Configuration)",
        ),
    ] {
        check(&format!("apiVersion: {version}\nkind: {kind}\n"), &[expected]);
    }
    check(
        "metadata: {name: a}\n",
        &[
            "apiVersion: missing field(s) (begin with apiVersion: serving.knative.dev/v1)",
            "kind: missing field(s) (name the kind, such as Service)",
        ],
    );
}
