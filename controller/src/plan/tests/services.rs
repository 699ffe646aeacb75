//! Services beside Configurations and Routes that were written as such.

use super::world::{condition, problems, revision, revisions, shares};
use super::*;

const CONFIGURATION: &str = "apiVersion: serving.knative.dev/v1
kind: Configuration
metadata: { name: hello }
spec: { template: { spec: { containers: [{ image: app }] } } }
";

fn route(name: &str, target: &str) -> String {
    format!(
        "---
apiVersion: serving.knative.dev/v1
kind: Route
metadata: {{ name: {name} }}
spec: {{ traffic: [{{ {target}, percent: 100 }}] }}
"
    )
}

#[test]
fn a_configuration_and_a_route_do_without_a_service() {
    let mut world = World::new();
    let plan = world.apply(CONFIGURATION);
    assert_eq!(revision(&plan, "hello-00001").routing, RoutingState::Pending);
    assert_eq!(condition(&plan, Kind::Configuration, "hello", "Ready"), "True");

    let plan = world.apply(&format!(
        "{CONFIGURATION}{}",
        route("hello", "configurationName: hello")
    ));
    assert_eq!(shares(&plan), ["hello-00001=100"]);
    assert_eq!(revision(&plan, "hello-00001").routing, RoutingState::Active);
    assert_eq!(revision(&plan, "hello-00001").service, None);
    assert_eq!(condition(&plan, Kind::Route, "hello", "Ready"), "True");

    let plan = world.apply(CONFIGURATION);
    assert_eq!(revision(&plan, "hello-00001").routing, RoutingState::Reserve);
}

#[test]
fn a_route_to_a_configuration_that_does_not_exist_says_so() {
    let plan = World::new().apply(&route("hello", "configurationName: hullo"));
    assert_eq!(
        condition(&plan, Kind::Route, "hello", "AllTrafficAssigned"),
        r#"False ConfigurationMissing Configuration "hullo" referenced in traffic not found."#
    );
    let problem = problems(&plan).concat();
    assert!(problem.starts_with("app.yaml:5:"), "{problem}");
    assert!(
        problem.contains(r#"no Configuration or Service "hullo""#),
        "{problem}"
    );
    assert_eq!(
        condition(&plan, Kind::Route, "hello", "IngressReady"),
        "Unknown IngressNotConfigured Ingress has not yet been reconciled."
    );
}

#[test]
fn a_service_sends_traffic_to_its_own_revisions_only() {
    let other = service("1", "").replace("name: hello", "name: other");
    let hello = service("1", "revisionName: other-00001, percent: 100");
    let mut world = World::new();
    let plan = world.apply(&format!("{other}---\n{hello}"));
    assert_eq!(
        condition(&plan, Kind::Service, "hello", "RoutesReady"),
        r#"False RevisionNotOwned Revision "other-00001" belongs to Service "other", not Service "hello"."#
    );
    let plan = world.apply(&format!("{other}{}", route("hello", "revisionName: other-00001")));
    assert_eq!(shares(&plan), ["other-00001=100"], "a Route may");
}

#[test]
fn a_service_does_not_take_over_what_it_did_not_make() {
    let plan = World::new().apply(&format!("{}---\n{CONFIGURATION}", service("1", "")));
    assert_eq!(revisions(&plan), ["hello-00001"]);
    assert_eq!(revision(&plan, "hello-00001").service, None);
    assert_eq!(
        condition(&plan, Kind::Service, "hello", "Ready"),
        r#"False NotOwned There is an existing Configuration "hello" that we do not own."#
    );
    assert_eq!(
        problems(&plan),
        [
            "app.yaml:3:19: metadata.name: Configuration default/hello already exists, and a Service makes one of its own name (rename the Service, or the Configuration at app.yaml:9:1)"
        ]
    );
}

#[test]
fn a_cluster_local_route_has_no_external_host() {
    let local = "name: hello, labels: { networking.knative.dev/visibility: cluster-local }";
    let plan = World::new().apply(&service("1", "").replacen("name: hello", local, 1));
    let hosts = &plan.routes[&ObjectName::new("default", "hello")][0].hosts;
    assert_eq!(hosts.external, None);
    let status = &plan.statuses[&(Kind::Service, ObjectName::new("default", "hello"))];
    assert_eq!(status.url.as_deref(), Some("http://hello.default:8080"));
}
