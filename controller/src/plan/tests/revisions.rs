//! Templates, generations, names.

use std::time::Duration;

use super::world::{condition, named, problems, revision, revisions, shares};
use super::*;

#[test]
fn the_first_revision_takes_traffic_at_once_from_zero() {
    let plan = World::new().apply(&service("1", ""));
    assert_eq!(revisions(&plan), ["hello-00001"]);
    let first = revision(&plan, "hello-00001");
    assert_eq!(
        (first.start, &first.readiness),
        (Start::FromZero, &Readiness::Ready)
    );
    assert_eq!(shares(&plan), ["hello-00001=100"]);
    assert_eq!(condition(&plan, Kind::Service, "hello", "Ready"), "True");
}

#[test]
fn a_revision_says_where_it_comes_from() {
    let yaml = service("1", "").replace("metadata: {  }", "metadata: { labels: { team: a } }");
    let plan = World::new().apply(&yaml);
    let labels = &revision(&plan, "hello-00001").labels;
    for (key, expected) in [
        (keys::SERVICE, "hello"),
        (keys::CONFIGURATION, "hello"),
        (keys::CONFIGURATION_GENERATION, "1"),
        (keys::ROUTING_STATE, "active"),
        ("team", "a"),
    ] {
        assert_eq!(labels.get(key).map(String::as_str), Some(expected), "{key}");
    }
}

#[test]
fn only_a_changed_template_makes_a_generation() {
    let mut world = World::new();
    world.apply(&service("1", ""));
    let plan = world.apply(&service("1", "revisionName: hello-00001, percent: 100"));
    assert_eq!(revisions(&plan), ["hello-00001"]);
}

#[test]
fn a_revision_that_replaces_one_takes_traffic_once_it_is_ready() {
    let mut world = World::new();
    world.apply(&service("1", ""));
    let plan = world.apply(&service("2", ""));
    assert_eq!(revision(&plan, "hello-00002").start, Start::Prove);
    assert_eq!(shares(&plan), ["hello-00001=100"]);
    assert_eq!(
        condition(&plan, Kind::Service, "hello", "ConfigurationsReady"),
        "Unknown"
    );

    world.ready("hello-00002");
    let plan = world.apply(&service("2", ""));
    assert_eq!(shares(&plan), ["hello-00002=100"]);
    assert_eq!(revision(&plan, "hello-00001").routing, RoutingState::Reserve);
    assert_eq!(condition(&plan, Kind::Service, "hello", "Ready"), "True");

    // It stays proven when nothing of it runs any more, and after a restart.
    world.observed.clear();
    let plan = world.apply(&service("2", ""));
    assert_eq!(revision(&plan, "hello-00002").start, Start::FromZero);
    assert_eq!(shares(&plan), ["hello-00002=100"]);
}

#[test]
fn a_revision_that_fails_leaves_traffic_where_it_was() {
    let mut world = World::new();
    world.apply(&service("1", ""));
    world.apply(&service("2", ""));
    world.failed("hello-00002");
    let plan = world.apply(&service("2", ""));
    assert_eq!(shares(&plan), ["hello-00001=100"]);
    assert_eq!(
        revision(&plan, "hello-00002").start,
        Start::FromZero,
        "it is not tried for ever"
    );
    assert_eq!(
        condition(&plan, Kind::Service, "hello", "Ready"),
        r#"False RevisionFailed Revision "hello-00002" failed with message: it exited."#
    );

    let plan = world.apply(&service("3", ""));
    assert_eq!(revision(&plan, "hello-00003").start, Start::Prove);
    world.ready("hello-00003");
    assert_eq!(shares(&world.apply(&service("3", ""))), ["hello-00003=100"]);
}

#[test]
fn a_revision_that_was_overtaken_need_not_be_proven() {
    let mut world = World::new();
    let pinned = "revisionName: hello-00001, percent: 100";
    world.apply(&service("1", pinned));
    world.apply(&service("2", pinned));
    let plan = world.apply(&service("3", pinned));
    let starts = ["hello-00001", "hello-00002", "hello-00003"].map(|name| revision(&plan, name).start);
    assert_eq!(starts, [Start::FromZero, Start::FromZero, Start::Prove]);
}

#[test]
fn what_replaces_a_broken_revision_has_nothing_to_protect() {
    let mut world = World::new();
    world.apply(&service("1", ""));
    world.failed("hello-00001");
    let plan = world.apply(&service("2", ""));
    assert_eq!(revision(&plan, "hello-00002").start, Start::FromZero);
    assert_eq!(shares(&plan), ["hello-00002=100"]);
}

#[test]
fn a_reverted_template_gets_the_next_number() {
    let mut world = World::new();
    world.apply(&service("1", ""));
    world.ready("hello-00002");
    world.apply(&service("2", ""));
    let plan = world.apply(&service("1", ""));
    assert_eq!(revisions(&plan), ["hello-00001", "hello-00002", "hello-00003"]);
    assert_eq!(shares(&plan), ["hello-00002=100"]);
    world.ready("hello-00003");
    assert_eq!(shares(&world.apply(&service("1", ""))), ["hello-00003=100"]);
}

#[test]
fn an_older_revision_never_becomes_the_latest_again() {
    let mut world = World::new();
    for version in ["1", "2", "3"] {
        world.apply(&service(version, ""));
    }
    world.ready("hello-00003");
    world.apply(&service("3", ""));
    world.ready("hello-00002");
    assert_eq!(shares(&world.apply(&service("3", ""))), ["hello-00003=100"]);
}

#[test]
fn a_chosen_name_is_used_again_with_the_same_template_only() {
    let mut world = World::new();
    world.apply(&named("hello-blue", "1", ""));
    world.ready("hello-green");
    let plan = world.apply(&named("hello-green", "2", ""));
    assert_eq!(shares(&plan), ["hello-green=100"]);

    let plan = world.apply(&named("hello-blue", "1", ""));
    assert_eq!(revisions(&plan), ["hello-blue", "hello-green"]);
    assert_eq!(shares(&plan), ["hello-blue=100"], "back by name, at once");
    assert_eq!(revision(&plan, "hello-blue").generation, 3);

    let plan = world.apply(&service("4", ""));
    assert_eq!(shares(&plan), ["hello-blue=100"], "green is older now");
    assert_eq!(revision(&plan, "hello-00004").start, Start::Prove);
}

#[test]
fn a_chosen_name_that_is_taken_changes_nothing_and_says_so() {
    let mut world = World::new();
    world.apply(&named("hello-blue", "1", ""));
    let plan = world.apply(&named(
        "hello-blue",
        "2",
        "latestRevision: true, percent: 100, tag: new",
    ));
    assert_eq!(shares(&plan), ["hello-blue=100"]);
    assert_eq!(
        condition(&plan, Kind::Service, "hello", "RoutesReady"),
        r#"False RevisionNameTaken The revision name "hello-blue" is taken by a conflicting Revision, so traffic will not be migrated"#
    );
    assert_eq!(
        condition(&plan, Kind::Service, "hello", "ConfigurationsReady"),
        r#"False RevisionFailed Revision creation failed with message: revision name "hello-blue" is taken by a revision with another template."#
    );
    assert_eq!(
        problems(&plan),
        [
            r#"app.yaml:6:23: spec.template.metadata.name: revision name "hello-blue" is taken by a revision with another template (a revision never changes: give the changed template a new name, or none)"#
        ]
    );
}

#[test]
fn a_number_whose_name_was_chosen_before_is_passed_over() {
    let mut world = World::new();
    world.apply(&named("hello-00002", "1", ""));
    let plan = world.apply(&service("2", ""));
    assert_eq!(revisions(&plan), ["hello-00002", "hello-00003"]);
}

#[test]
fn two_configurations_never_share_a_revision_name() {
    let mut world = World::new();
    let chosen = named("hello-world-00001", "1", "");
    let numbered = service("1", "").replace("name: hello", "name: hello-world");
    world.apply(&chosen);
    let plan = world.apply(&format!("{chosen}---\n{numbered}"));
    assert_eq!(revision(&plan, "hello-world-00001").configuration, "hello");
    assert_eq!(revision(&plan, "hello-world-00002").configuration, "hello-world");
}

#[test]
fn a_service_that_comes_back_begins_anew() {
    let mut world = World::new();
    world.apply(&service("1", ""));
    world.apply(&service("2", ""));
    let plan = world.apply("{ apiVersion: v1, kind: Namespace, metadata: { name: default } }");
    assert_eq!(plan, Plan::default());
    assert_eq!(world.state, State::default());
    assert_eq!(revisions(&world.apply(&service("3", ""))), ["hello-00001"]);
}

#[test]
fn old_revisions_are_forgotten_but_not_those_that_a_route_names() {
    let mut world = World::new();
    world.settings.garbage = Garbage {
        min_non_active: 1,
        max_non_active: 2,
        ..Garbage::default()
    };
    let pinned = "revisionName: hello-00001, percent: 100";
    for version in ["1", "2", "3", "4", "5"] {
        world.now.0 += 1;
        world.apply(&service(version, pinned));
    }
    let plan = world.apply(&service("5", pinned));
    assert_eq!(
        revisions(&plan),
        ["hello-00001", "hello-00003", "hello-00004", "hello-00005"],
        "at most 2"
    );
    world.now.0 += Duration::from_secs(48 * 60 * 60).as_secs();
    let plan = world.apply(&service("5", pinned));
    assert_eq!(
        revisions(&plan),
        ["hello-00001", "hello-00004", "hello-00005"],
        "1 of the stale ones"
    );
}
