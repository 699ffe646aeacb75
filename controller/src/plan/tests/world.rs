//! A world that plans are made in: files change, revisions become ready or fail, time passes.

use tidegate_knative::{Defaults, load};

use super::*;

pub(super) struct World {
    pub(super) state: State,
    pub(super) observed: Observed,
    pub(super) settings: Settings,
    pub(super) now: UnixTime,
}

impl World {
    pub(super) fn new() -> Self {
        let settings = Settings::new("localhost", 8080).unwrap();
        Self {
            state: State::default(),
            observed: Observed::new(),
            settings,
            now: UnixTime(1_000_000),
        }
    }

    /// The plan for a file `app.yaml` with this text. Planning once more changes nothing.
    pub(super) fn apply(&mut self, yaml: &str) -> Plan {
        let objects = load("app.yaml", yaml, &Defaults::default()).unwrap();
        let (observed, settings) = (&self.observed, &self.settings);
        let input = Input {
            objects: &objects,
            observed,
            settings,
            now: self.now,
        };
        let (plan, state) = plan(&input, &self.state);
        let (again, kept) = super::plan(&input, &state);
        assert!(
            again == plan,
            "a plan is stable: {:#?} {:#?}",
            plan.statuses,
            again.statuses
        );
        assert!(kept == state, "the state of a plan is stable");
        self.state = state;
        plan
    }

    pub(super) fn ready(&mut self, revision: &str) {
        self.observed
            .insert(ObjectName::new("default", revision), Observation::Ready);
    }

    pub(super) fn failed(&mut self, revision: &str) {
        let failure = Failure {
            reason: "ExitCode1".into(),
            message: "it exited".into(),
        };
        self.observed
            .insert(ObjectName::new("default", revision), Observation::Failed(failure));
    }
}

/// A Service `hello` whose template differs by `version`, with these traffic entries.
pub(super) fn service(version: &str, traffic: &str) -> String {
    named("", version, traffic)
}

/// The same with a name chosen for the revision.
pub(super) fn named(revision: &str, version: &str, traffic: &str) -> String {
    let name = if revision.is_empty() {
        String::new()
    } else {
        format!("name: {revision}")
    };
    let traffic = traffic.split(';').filter(|entry| !entry.trim().is_empty());
    let traffic: String = traffic
        .map(|entry| format!("    - {{ {} }}\n", entry.trim()))
        .collect();
    let traffic = if traffic.is_empty() {
        traffic
    } else {
        format!("  traffic:\n{traffic}")
    };
    format!(
        "apiVersion: serving.knative.dev/v1
kind: Service
metadata: {{ name: hello }}
spec:
  template:
    metadata: {{ {name} }}
    spec: {{ containers: [{{ image: app, env: [{{ name: VERSION, value: \"{version}\" }}] }}] }}
{traffic}"
    )
}

/// Where requests for the hosts of `hello` go: `hello-00001=100`, and `tag:hello-00001=100` for a tag.
pub(super) fn shares(plan: &Plan) -> Vec<String> {
    let targets = plan.routes.get(&ObjectName::new("default", "hello")).unwrap();
    let lines = targets.iter().flat_map(|target| {
        let tag = target.tag.as_ref().map_or(String::new(), |tag| format!("{tag}:"));
        target
            .shares
            .iter()
            .map(move |share| format!("{tag}{}={}", share.revision.name, share.percent))
    });
    lines.collect()
}

pub(super) fn revisions(plan: &Plan) -> Vec<&str> {
    plan.revisions.keys().map(|name| name.name.as_str()).collect()
}

pub(super) fn revision<'a>(plan: &'a Plan, name: &str) -> &'a PlannedRevision {
    plan.revisions.get(&ObjectName::new("default", name)).unwrap()
}

/// A condition as `status reason message`, without what is empty.
pub(super) fn condition(plan: &Plan, kind: Kind, name: &str, condition: &str) -> String {
    let status = plan
        .statuses
        .get(&(kind, ObjectName::new("default", name)))
        .unwrap();
    let found = status
        .conditions
        .iter()
        .find(|found| found.kind == condition)
        .unwrap();
    format!("{:?} {} {}", found.status, found.reason, found.message)
        .trim()
        .to_owned()
}

pub(super) fn problems(plan: &Plan) -> Vec<String> {
    plan.problems.iter().map(ToString::to_string).collect()
}
