//! Who may depend on whom? What is not listed here is forbidden.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::tree::{none, root};

/// Which of our packages each of our packages may build on. Tests, benches and chores may use any.
const ALLOWED: [(&str, &[&str]); 10] = [
    ("proxy", &[]),
    ("xds", &["proxy"]),
    ("ingress", &["xds", "proxy", "activator", "knative"]),
    ("knative", &[]),
    ("queue-proxy", &["proxy", "knative"]),
    ("activator", &["proxy", "knative"]),
    ("autoscaler", &["knative"]),
    ("controller", &["knative", "proxy"]),
    (
        "local",
        &[
            "controller",
            "autoscaler",
            "activator",
            "queue-proxy",
            "proxy",
            "knative",
        ],
    ),
    (
        "tidegate",
        &[
            "local",
            "ingress",
            "xds",
            "controller",
            "autoscaler",
            "activator",
            "queue-proxy",
            "proxy",
            "knative",
        ],
    ),
];

/// Packages that only tests and chores use: no other package builds on them.
const FOR_TESTS: [&str; 5] = ["testkit", "chain", "bench", "fuzz", "xtask"];

/// What a package keeps away from, however long the way to it.
const KEPT_AWAY: [(&str, &[&str]); 5] = [
    ("proxy", &["envoy-types", "tonic", "kube", "k8s-openapi"]),
    ("knative", &["tokio", "hyper", "h2", "kube"]),
    ("queue-proxy", &["tonic", "kube", "k8s-openapi"]),
    ("activator", &["tonic", "kube", "k8s-openapi"]),
    ("autoscaler", &["tokio", "hyper", "kube"]),
];

fn metadata(arguments: &[&str]) -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["metadata", "--format-version=1", "--locked"])
        .args(arguments)
        .current_dir(root());
    let output = cargo.output().expect("cargo can be run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo metadata writes JSON")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// The folder that a package of ours is called after.
fn folder(package: &str) -> &str {
    package.strip_prefix("tidegate-").unwrap_or(package)
}

/// Our packages, by folder, each with those of ours that it builds on (not only in tests).
fn ours() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata(&["--no-deps"]);
    let names: BTreeSet<String> = list(&metadata, "packages")
        .map(|package| text(package, "name").to_owned())
        .collect();
    let packages = list(&metadata, "packages").map(|package| {
        let used = list(package, "dependencies").filter(|dependency| text(dependency, "kind") != "dev");
        let used = used
            .map(|dependency| text(dependency, "name"))
            .filter(|name| names.contains(*name));
        (
            folder(text(package, "name")).to_owned(),
            used.map(|name| folder(name).to_owned()).collect(),
        )
    });
    packages.collect()
}

#[test]
fn packages_build_on_those_they_may() {
    let mut wrong = Vec::new();
    for (package, used) in ours() {
        if FOR_TESTS.contains(&package.as_str()) {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package) else {
            wrong.push(format!("{package} is not listed"));
            continue;
        };
        let forbidden = used.iter().filter(|name| !allowed.contains(&name.as_str()));
        wrong.extend(forbidden.map(|name| format!("{package} builds on {name}")));
    }
    none(
        &wrong,
        "dependencies between packages point one way (add a new package to the list)",
    );
}

#[test]
fn packages_are_called_after_their_folder() {
    let metadata = metadata(&["--no-deps"]);
    let wrong = list(&metadata, "packages").filter_map(|package| {
        let name = text(package, "name");
        let expected = format!("{}/Cargo.toml", folder(name));
        let manifest = text(package, "manifest_path");
        (!manifest.ends_with(&expected)).then(|| format!("{name} in {manifest}"))
    });
    none(&wrong.collect::<Vec<_>>(), "folder = package = program name");
}

#[test]
fn packages_keep_away_from_what_their_users_must_not_inherit() {
    let host = Command::new("rustc")
        .arg("-vV")
        .current_dir(root())
        .output()
        .expect("rustc can be run");
    let host = String::from_utf8_lossy(&host.stdout);
    let host = host
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("rustc names the host");
    let metadata = metadata(&["--filter-platform", host]);
    let names: BTreeMap<&str, &str> = list(&metadata, "packages")
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    let graph = metadata
        .get("resolve")
        .map(|resolve| built_on(resolve, &names))
        .unwrap_or_default();
    let mut wrong = Vec::new();
    for (package, kept_away) in KEPT_AWAY {
        let from = format!("tidegate-{package}");
        let reached = reached(&graph, &from);
        assert!(reached.len() > 1, "{package} is in the graph");
        let forbidden = kept_away.iter().filter(|name| reached.contains(*name));
        wrong.extend(forbidden.map(|name| format!("{package} reaches {name}")));
    }
    none(&wrong, "a package's users inherit its dependencies");
}

/// Which package builds on which, by name; several versions of one count as one.
fn built_on<'a>(resolve: &'a Value, names: &BTreeMap<&str, &'a str>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in list(resolve, "nodes") {
        let Some(name) = names.get(text(node, "id")) else {
            continue;
        };
        let used = list(node, "deps")
            .filter(|dependency| list(dependency, "dep_kinds").any(|kind| text(kind, "kind") != "dev"))
            .filter_map(|dependency| names.get(text(dependency, "pkg")));
        graph.entry(name).or_default().extend(used);
    }
    graph
}

fn reached<'a>(graph: &'a BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        for next in graph.get(name).into_iter().flatten() {
            if reached.insert(next) {
                open.push(next);
            }
        }
    }
    reached
}
