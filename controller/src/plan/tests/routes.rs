//! Traffic: shares, tags, rollback, targets that cannot be met.

use super::world::{condition, named, problems, revision, shares};
use super::*;

/// A Service `hello` with two ready revisions.
fn two() -> World {
    let mut world = World::new();
    world.apply(&service("1", ""));
    world.ready("hello-00002");
    world.apply(&service("2", ""));
    world
}

fn check(traffic: &str, expected: &[&str]) {
    let plan = two().apply(&service("2", traffic));
    assert_eq!(problems(&plan), [""; 0], "{traffic}");
    assert_eq!(shares(&plan), expected, "{traffic}");
}

#[test]
fn targets_become_shares() {
    check("latestRevision: true, percent: 100", &["hello-00002=100"]);
    // A canary, and back.
    check(
        "revisionName: hello-00001, percent: 90; latestRevision: true, percent: 10",
        &["hello-00001=90", "hello-00002=10"],
    );
    check("revisionName: hello-00001, percent: 100", &["hello-00001=100"]);
    // Entries for one revision are one share.
    check(
        "revisionName: hello-00002, percent: 30; latestRevision: true, percent: 30; revisionName: hello-00001, percent: 40",
        &["hello-00002=60", "hello-00001=40"],
    );
    // A tag is a target of its own, with all of its requests for one revision.
    check(
        "revisionName: hello-00001, percent: 50, tag: old; latestRevision: true, percent: 50, tag: new",
        &[
            "hello-00001=50",
            "hello-00002=50",
            "old:hello-00001=100",
            "new:hello-00002=100",
        ],
    );
    check(
        "revisionName: hello-00001, percent: 100; latestRevision: true, tag: preview",
        &["hello-00001=100", "preview:hello-00002=100"],
    );
}

#[test]
fn a_tag_has_hosts_and_a_url_of_its_own() {
    let plan = two().apply(&service("2", "latestRevision: true, percent: 100, tag: new"));
    let status = &plan.statuses[&(Kind::Service, ObjectName::new("default", "hello"))];
    assert_eq!(status.url.as_deref(), Some("http://hello.default.localhost:8080"));
    assert_eq!(
        status.traffic[0].url.as_deref(),
        Some("http://new-hello.default.localhost:8080")
    );
    let hosts = &plan.routes[&ObjectName::new("default", "hello")][1].hosts;
    assert_eq!(hosts.local[2], "new-hello.default.svc.cluster.local");
}

#[test]
fn rollback_needs_no_new_start() {
    let mut world = two();
    world.observed.clear();
    let plan = world.apply(&service("2", "revisionName: hello-00001, percent: 100"));
    assert_eq!(shares(&plan), ["hello-00001=100"]);
    let states = ["hello-00001", "hello-00002"].map(|name| revision(&plan, name).routing);
    assert_eq!(states, [RoutingState::Active, RoutingState::Reserve]);
}

#[test]
fn an_unknown_revision_is_an_error_that_lists_the_known_ones() {
    let mut world = two();
    let traffic = "latestRevision: true, percent: 50; revisionName: hello-00007, percent: 50";
    let plan = world.apply(&service("2", traffic));
    assert_eq!(shares(&plan), ["hello-00002=100"], "traffic stays where it was");
    assert_eq!(
        problems(&plan),
        [
            r#"app.yaml:10:23: spec.traffic[1].revisionName: revision "hello-00007" of default/hello does not exist (known revisions, newest first: hello-00002, hello-00001)"#
        ]
    );
    assert_eq!(
        condition(&plan, Kind::Service, "hello", "RoutesReady"),
        r#"False RevisionMissing Revision "hello-00007" referenced in traffic not found."#
    );
}

#[test]
fn a_long_history_is_listed_in_part() {
    let mut world = World::new();
    for version in 1..=12 {
        world.apply(&service(&version.to_string(), ""));
    }
    let plan = world.apply(&service("12", "revisionName: hello-x, percent: 100"));
    let problem = problems(&plan).concat();
    assert!(
        problem.ends_with("hello-00004, hello-00003 and 2 older)"),
        "{problem}"
    );
}

#[test]
fn nothing_is_routed_before_a_first_complete_set_of_targets() {
    let plan = World::new().apply(&service("1", "revisionName: hello-00002, percent: 100"));
    assert_eq!(shares(&plan), [""; 0]);
    let ingress = condition(&plan, Kind::Service, "hello", "RoutesReady");
    assert!(ingress.starts_with("False RevisionMissing"), "{ingress}");
    assert_eq!(revision(&plan, "hello-00001").routing, RoutingState::Reserve);
}

#[test]
fn a_pinned_revision_is_waited_for() {
    let mut world = World::new();
    world.apply(&named("hello-blue", "1", ""));
    let green = named("hello-green", "2", "revisionName: hello-green, percent: 100");
    let plan = world.apply(&green);
    assert_eq!(shares(&plan), ["hello-blue=100"]);
    assert_eq!(
        condition(&plan, Kind::Service, "hello", "RoutesReady"),
        r#"Unknown RevisionMissing Revision "hello-green" is not yet ready."#
    );
    world.failed("hello-green");
    let plan = world.apply(&green);
    assert_eq!(
        condition(&plan, Kind::Service, "hello", "RoutesReady"),
        r#"False RevisionMissing Revision "hello-green" failed to become ready."#
    );
    assert!(plan.problems.is_empty(), "the file is right");
    world.ready("hello-green");
    assert_eq!(shares(&world.apply(&green)), ["hello-green=100"]);
}

#[test]
fn a_tag_never_takes_the_hosts_of_another_route() {
    let tagged = service("1", "latestRevision: true, percent: 100, tag: new");
    let plain = service("1", "").replace("name: hello", "name: new-hello");
    let plan = World::new().apply(&format!("{tagged}---\n{plain}"));
    assert_eq!(shares(&plan), ["hello-00001=100"], "without its tag");
    assert_eq!(plan.routes[&ObjectName::new("default", "new-hello")].len(), 1);
    assert_eq!(
        problems(&plan),
        [
            r#"app.yaml:9:50: spec.traffic[0].tag: tag "new" would have the same hosts as default/new-hello (choose another tag)"#
        ]
    );
    assert_eq!(
        condition(&plan, Kind::Service, "hello", "RoutesReady"),
        r#"False NotOwned There is an existing placeholder Service "new-hello" that we do not own."#
    );
}
