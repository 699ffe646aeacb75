use tidegate_knative::{Defaults, Object, load};

use super::*;

const SERVICE: &str = "
apiVersion: serving.knative.dev/v1
kind: Service
metadata: { name: hello, namespace: shop }
spec:
  template:
    spec:
      serviceAccountName: robot
      containers:
      - image: hello
        resources: { limits: { cpu: 1500m, memory: 64Mi } }
";

const VALUES: &str = "
apiVersion: v1
kind: ConfigMap
metadata: { name: settings, namespace: shop }
data: { colour: blue, size: large }
binaryData: { blob: AAEC }
---
apiVersion: v1
kind: Secret
metadata: { name: keys, namespace: shop }
stringData: { token: t0ken }
data: { raw: /w== }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: elsewhere, namespace: other }
data: { colour: red }
";

/// The environment of a service whose container has these further fields, in YAML; or what stands in the way.
fn resolve(fields: &str) -> Result<BTreeMap<String, String>, Vec<String>> {
    let fields: String = fields.lines().map(|line| format!("        {line}\n")).collect();
    let text = format!("{SERVICE}{fields}---{VALUES}");
    let objects =
        load("hello.yaml", &text, &Defaults::default()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let Some(Object::Service(service)) = objects.first() else {
        panic!("a service comes first")
    };
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    let identity = Identity {
        namespace: "shop",
        service: "hello",
        configuration: "hello",
        revision: "hello-00001",
        pod: "hello-00001-1",
        labels: &labels,
        annotations: &service.template.metadata.annotations,
        port: 41234,
    };
    let declared = declared(&service.template.spec, &identity, &objects.iter().collect());
    declared.map_err(|obstacles| obstacles.iter().map(Obstacle::to_string).collect())
}

fn check(fields: &str, expected: &[(&str, &str)]) {
    let found = resolve(fields).unwrap_or_else(|obstacles| panic!("{fields}: {obstacles:?}"));
    let own = ["PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"];
    let found: Vec<(&str, &str)> = found
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(found, expected, "{fields}");
}

fn check_obstacle(fields: &str, expected: &str) {
    assert_eq!(resolve(fields), Err(vec![expected.to_owned()]), "{fields}");
}

#[test]
fn every_replica_is_told_its_port_and_who_it_is() {
    let found = resolve("env: []").expect("nothing to resolve");
    let expected = [
        ("K_CONFIGURATION", "hello"),
        ("K_REVISION", "hello-00001"),
        ("K_SERVICE", "hello"),
        ("PORT", "41234"),
    ];
    assert_eq!(
        found,
        expected
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    );
}

#[test]
fn values_refer_to_what_stands_before_them() {
    check(
        "env: [{name: A, value: a}, {name: B, value: $(A)b$$(A)}]",
        &[("A", "a"), ("B", "ab$(A)")],
    );
    check(
        "env: [{name: B, value: $(A)}, {name: A, value: a}]",
        &[("A", "a"), ("B", "$(A)")],
    );
    check("env: [{name: A, value: $(PORT)}]", &[("A", "$(PORT)")]);
    check("env: [{name: EMPTY}]", &[("EMPTY", "")]);
    check(
        "env: [{name: A, value: a}, {name: A, value: $(A)$(A)}]",
        &[("A", "aa")],
    );
}

#[test]
fn values_come_from_config_maps_and_secrets_of_the_namespace() {
    check(
        "env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}]",
        &[("A", "blue")],
    );
    check(
        "env: [{name: A, valueFrom: {secretKeyRef: {name: keys, key: token}}}]",
        &[("A", "t0ken")],
    );
    check(
        "env: [{name: A, valueFrom: {secretKeyRef: {name: keys, key: gone, optional: true}}}]",
        &[],
    );
    check(
        "env: [{name: A, valueFrom: {configMapKeyRef: {name: gone, key: gone, optional: true}}}]",
        &[],
    );
    check(
        "envFrom: [{prefix: S_, configMapRef: {name: settings}}, {secretRef: {name: gone, optional: true}}]\n\
         env: [{name: S_size, value: $(S_colour)}]",
        &[("S_colour", "blue"), ("S_size", "blue")],
    );
}

#[test]
fn fields_and_resources_of_the_pod_are_answered_where_they_mean_something() {
    let field =
        |path: &str| format!("env: [{{name: A, valueFrom: {{fieldRef: {{fieldPath: \"{path}\"}}}}}}]");
    check(&field("metadata.name"), &[("A", "hello-00001-1")]);
    check(&field("metadata.namespace"), &[("A", "shop")]);
    check(&field("metadata.labels['app']"), &[("A", "web")]);
    check(&field("metadata.annotations['none']"), &[("A", "")]);
    check(&field("spec.serviceAccountName"), &[("A", "robot")]);
    check(&field("status.podIP"), &[("A", "127.0.0.1")]);
    let resource =
        |fields: &str| format!("env: [{{name: A, valueFrom: {{resourceFieldRef: {{{fields}}}}}}}]");
    check(&resource("resource: limits.cpu"), &[("A", "2")]);
    check(&resource("resource: limits.cpu, divisor: 1m"), &[("A", "1500")]);
    check(&resource("resource: limits.memory, divisor: 1Mi"), &[("A", "64")]);
}

const VALUE_FROM: &str = "spec.template.spec.containers[0].env[0].valueFrom";

#[test]
fn what_is_in_no_file_is_named_with_its_field() {
    check_obstacle(
        "env: [{name: A, valueFrom: {configMapKeyRef: {name: elsewhere, key: colour}}}]",
        &format!(
            "{VALUE_FROM}.configMapKeyRef: ConfigMap shop/elsewhere is in none of the files: add it, or mark the reference optional"
        ),
    );
    check_obstacle(
        "env: [{name: A, valueFrom: {secretKeyRef: {name: keys, key: gone}}}]",
        &format!("{VALUE_FROM}.secretKeyRef: Secret shop/keys has no key gone: it has the keys raw, token"),
    );
    check_obstacle(
        "env: [{name: A, valueFrom: {secretKeyRef: {name: keys, key: raw}}}]",
        &format!(
            "{VALUE_FROM}.secretKeyRef: key raw of Secret shop/keys is no UTF-8 text, which a variable has to be"
        ),
    );
    check_obstacle(
        "envFrom: [{secretRef: {name: gone}}]",
        "spec.template.spec.containers[0].envFrom[0].secretRef: Secret shop/gone is in none of the files: add it, or mark the reference optional",
    );
}

#[test]
fn what_means_nothing_here_is_named_with_its_field() {
    check_obstacle(
        "env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}]",
        &format!(
            "{VALUE_FROM}.fieldRef.fieldPath: metadata.uid has no meaning outside Kubernetes: use value, or a field such as metadata.name"
        ),
    );
    check_obstacle(
        "env: [{name: A, valueFrom: {resourceFieldRef: {resource: requests.cpu}}}]",
        &format!(
            "{VALUE_FROM}.resourceFieldRef.resource: requests.cpu: the container declares no such resource, and there is no node to ask: add it to resources"
        ),
    );
    check_obstacle(
        "env: [{name: A, value: \"a\\0\"}]",
        "spec.template.spec.containers[0].env[0].value: the value contains a NUL character, which no environment can hold",
    );
}

#[test]
fn all_obstacles_are_told_at_once() {
    let missing = "{name: A, valueFrom: {secretKeyRef: {name: gone, key: gone}}}";
    let obstacles = resolve(&format!("env: [{missing}, {missing}]")).expect_err("two are missing");
    assert_eq!(obstacles.len(), 2);
}

#[test]
fn a_process_inherits_all_but_tidegates_own_variables() {
    let own = [
        ("PATH", "/bin"),
        ("TIDEGATE_INSTANCE", "x"),
        ("PORT", "1"),
        ("K_SERVICE", "outer"),
        ("KEEP", ""),
    ];
    let inherited = inherited(own.map(|(name, value)| (name.into(), value.into())));
    let expected = [("KEEP", ""), ("PATH", "/bin")];
    assert_eq!(
        inherited,
        expected
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    );
}
