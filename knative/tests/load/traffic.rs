//! What Knative's webhook says about traffic.

use crate::{check, check_spec};

fn check_traffic(traffic: &str, expected: &[&str]) {
    let spec = format!("template: {{spec: {{containers: [{{image: a}}]}}}}, traffic: {traffic}");
    check_spec(&spec, expected);
}

#[test]
fn traffic_is_whole() {
    check_traffic(
        "[{percent: 90}]",
        &["spec.traffic: Traffic targets sum to 90, want 100 (hand out 10 more percent)"],
    );
    check_traffic(
        "[{percent: 90}, {revisionName: hello-00001, percent: 20}]",
        &["spec.traffic: Traffic targets sum to 110, want 100 (take 10 percent away)"],
    );
    check_traffic(
        "[{percent: 101}]",
        &["spec.traffic[0].percent: expected 0 <= 101 <= 100 (choose a number within these bounds)"],
    );
    check_traffic("[{percent: 100}, {revisionName: hello-00001, tag: old}]", &[]);
}

#[test]
fn a_traffic_entry_means_one_thing() {
    for (entry, expected) in [
        (
            "latestRevision: true, revisionName: x-1",
            "latestRevision: may not set revisionName \"x-1\" when latestRevision is true (remove latestRevision or \
             revisionName)",
        ),
        (
            "latestRevision: false",
            "latestRevision: may not set revisionName \"\" when latestRevision is false (name a revision in \
             revisionName, or remove latestRevision)",
        ),
        (
            "configurationName: hello",
            "configurationName: must not set the field(s) (a Service routes to its own configuration: remove it)",
        ),
        (
            "url: http://x",
            "url: must not set the field(s) (url is set by the system, in status)",
        ),
        (
            "tag: A.b",
            "tag: invalid value: A.b: not a DNS 1035 label (a tag becomes part of a host: use lower-case letters, \
             digits and dashes)",
        ),
        (
            "revisionName: X",
            "revisionName: invalid key name \"X\" (write the name of a revision or configuration)",
        ),
    ] {
        check_traffic(
            &format!("[{{percent: 100, {entry}}}]"),
            &[&format!("spec.traffic[0].{expected}")],
        );
    }
    check_traffic(
        "[{percent: 50, tag: a}, {percent: 50, tag: a}]",
        &["spec.traffic[1].tag: Multiple definitions for \"a\" (traffic[0] has this tag already)"],
    );
}

#[test]
fn a_route_says_where_traffic_goes() {
    let route = |traffic: &str| {
        format!(
            "apiVersion: serving.knative.dev/v1\nkind: Route\nmetadata: {{name: r}}\nspec: {{traffic: {traffic}}}"
        )
    };
    check(&route("[{percent: 100, configurationName: c}]"), &[]);
    check(
        &route("[{percent: 100}]"),
        &[
            "spec.traffic[0]: expected exactly one, got neither: revisionName, configurationName (say where the \
           traffic goes)",
        ],
    );
    check(
        &route("[{percent: 100, revisionName: a, configurationName: b}]"),
        &[
            "spec.traffic[0]: expected exactly one, got both: revisionName, configurationName (remove one of them)",
        ],
    );
    check(
        &route("[]"),
        &["spec.traffic: Traffic targets sum to 0, want 100 (hand out 100 more percent)"],
    );
}
