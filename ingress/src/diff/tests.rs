//! What a push changes is told, and what it does not change is not.

use tidegate_xds::resource::Raw;
use tidegate_xds::text::{Format, Unknown, parse};

use super::*;

fn resources(list: &[(Kind, &str)]) -> Resources {
    let one = |(kind, yaml): &(Kind, &str)| {
        let url = kind.type_url();
        let name = url.rsplit('/').next().unwrap();
        let body = parse(yaml.as_bytes(), Format::Yaml, name, Unknown::Refused).unwrap();
        let json = body.to_json(Secrets::Redacted);
        let named = json.get("name").or_else(|| json.get("cluster_name"));
        let Some(Json::Text(name)) = named else {
            unreachable!()
        };
        Resource {
            kind: *kind,
            raw: Raw::new(name.as_str(), "", body.encode()),
            place: "here".to_owned(),
        }
    };
    Resources {
        name: "push".to_owned(),
        list: list.iter().map(one).collect(),
        ..Resources::default()
    }
}

/// Every line has to be on the page, in this order; the spaces between words do not count.
#[track_caller]
fn check(before: &[(Kind, &str)], after: &[(Kind, &str)], expected: &[&str]) {
    let found = diff(&resources(before), &resources(after));
    let text = found.page.to_text();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines = text.lines().map(words);
    for line in expected {
        assert!(lines.any(|one| one == *line), "'{line}' is not in:\n{text}");
    }
    assert_eq!(found.differs, before != after);
}

const ONE: &str = "{name: a, connect_timeout: 1s, load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [\
                   {endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}}]}]}}";

#[test]
fn a_cluster_of_which_only_endpoints_differ_keeps_its_connections() {
    let moved = ONE.replace("10.0.0.1", "10.0.0.2");
    check(
        &[(Kind::Cluster, ONE)],
        &[(Kind::Cluster, &moved)],
        &[
            "clusters 0 added, 0 removed, 1 changed, 0 the same",
            "name a",
            "effect endpoints only: the cluster and its connections stay",
            "fields load_assignment.endpoints[0].lb_endpoints[10.0.0.1:80]: removed",
        ],
    );
    let slower = ONE.replace("1s", "2s");
    check(
        &[(Kind::Cluster, ONE)],
        &[(Kind::Cluster, &slower)],
        &[
            "effect settings: the cluster is made anew, warms, and opens connections of its own",
            "fields connect_timeout: \"1s\" -> \"2s\"",
        ],
    );
}

#[test]
fn what_came_and_went_is_told_by_kind() {
    let other = ONE.replace("name: a", "name: b");
    check(
        &[(Kind::Cluster, ONE)],
        &[(Kind::Cluster, ONE)],
        &[
            "listeners 0 added, 0 removed, 0 changed, 0 the same",
            "clusters 0 added, 0 removed, 0 changed, 1 the same",
        ],
    );
    check(
        &[(Kind::Cluster, ONE)],
        &[(Kind::Cluster, &other)],
        &[
            "clusters 1 added, 1 removed, 0 changed, 0 the same",
            "added b",
            "removed a",
        ],
    );
}

#[test]
fn routes_differ_by_virtual_host_and_route() {
    let before = "{name: r, virtual_hosts: [{name: a, domains: [a], routes: [{name: x, match: {prefix: /}, \
                  route: {cluster: one}}]}, {name: b, domains: [b]}]}";
    let after = before
        .replace("cluster: one", "cluster: two")
        .replace("{name: b, domains: [b]}", "{name: c, domains: [c]}");
    check(
        &[(Kind::Routes, before)],
        &[(Kind::Routes, &after)],
        &[
            "routes 0 added, 0 removed, 1 changed, 0 the same",
            "effect virtual hosts added: c",
            "virtual hosts removed: b",
            "virtual hosts changed: a",
            "fields virtual_hosts[a].routes[x].route.cluster: \"one\" -> \"two\"",
        ],
    );
}

#[test]
fn endpoints_are_told_by_their_address() {
    let before = "{cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: \
                  {address: 10.0.0.1, port_value: 80}}}}]}]}";
    let after = before.replace("10.0.0.1", "10.0.0.9");
    check(
        &[(Kind::Endpoints, before)],
        &[(Kind::Endpoints, &after)],
        &[
            "effect endpoints added: 10.0.0.9:80",
            "endpoints removed: 10.0.0.1:80",
        ],
    );
}

#[test]
fn what_would_be_refused_is_told_with_its_place() {
    let broken = "{name: r, virtual_hosts: [{name: a, domains: [a]}, {name: b, domains: [a]}]}";
    check(
        &[],
        &[(Kind::Routes, broken)],
        &[
            "added r",
            "refused here: r: Only unique values for domains are permitted. Duplicate entry of domain",
        ],
    );
}

#[test]
fn a_secret_is_compared_and_not_shown() {
    let secret = |key: &str| format!("{{name: s, generic_secret: {{secret: {{inline_string: {key}}}}}}}");
    check(
        &[(Kind::Secret, &secret("one"))],
        &[(Kind::Secret, &secret("two"))],
        &["name s", "fields a secret value, which is not shown"],
    );
    let mut redacted = resources(&[(Kind::Secret, &secret("one"))]);
    redacted.redacted = true;
    let found = diff(&redacted, &resources(&[(Kind::Secret, &secret("two"))]));
    assert!(!found.differs);
}
