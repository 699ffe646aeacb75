//! What happens when a file changes, or a revision comes up or fails: plan anew, remember, apply.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_controller::conditions::Status;
use tidegate_controller::observed::{Failure, Observation, Observed};
use tidegate_controller::plan::Plan;
use tidegate_controller::state::UnixTime;
use tidegate_controller::status::ObjectStatus;
use tidegate_controller::{Input, ObjectName, Settings as Planning, State, plan};
use tidegate_knative::{Kind, Object, Problem};

use super::check;
use super::error::UpError;
use super::fleet::Fleet;
use crate::board::{Board, ServiceLine};
use crate::files::Change;
use crate::instance::Instance;
use crate::revision::Report;
use crate::state::StateDir;

/// The services as they are and as they should be.
pub(crate) struct Site {
    fleet: Fleet,
    planning: Planning,
    dir: StateDir,
    board: Board,
    state: State,
    /// Whether `state` is on disk.
    is_saved: bool,
    objects: Arc<Vec<Object>>,
    observed: Observed,
    /// What was said about the services last, to say it once.
    said: BTreeMap<ObjectName, String>,
}

/// The reason of a revision that does not come up, as Knative words it for a container.
const FAILURE_REASON: &str = "ContainerFailed";

impl Site {
    pub(crate) fn new(fleet: Fleet, planning: Planning, dir: StateDir, board: Board) -> Self {
        let state = dir.stored().clone();
        Self {
            fleet,
            planning,
            dir,
            board,
            state,
            is_saved: true,
            objects: Arc::default(),
            observed: Observed::new(),
            said: BTreeMap::new(),
        }
    }

    /// The first plan. Other than later ones it has to be without a problem.
    pub(crate) async fn begin(&mut self, objects: Vec<Object>) -> Result<(), UpError> {
        self.objects = Arc::new(objects);
        let (plan, state) = self.plan();
        if !plan.problems.is_empty() {
            return Err(UpError::Objects(plan.problems));
        }
        self.apply(plan, state).await;
        Ok(())
    }

    /// The files were read anew.
    pub(crate) async fn on_change(&mut self, change: Change) {
        self.say_problems(&change.problems);
        let Some(objects) = change.objects else { return };
        let problems = check::problems(&objects, &mut self.fleet.workshop).await;
        if !problems.is_empty() {
            return self.say_problems(&problems);
        }
        self.say_removed(&objects);
        self.objects = Arc::new(objects);
        let (plan, state) = self.plan();
        for problem in &plan.problems {
            self.event(&format!("{problem}"));
        }
        self.apply(plan, state).await;
    }

    /// Revisions have changed.
    pub(crate) async fn on_news(&mut self, news: Vec<(ObjectName, Report)>) {
        let mut is_new = false;
        for (name, report) in news {
            let Some(observation) = observation(&report) else {
                continue;
            };
            if self.observed.get(&name) != Some(&observation) {
                self.observed.insert(name, observation);
                is_new = true;
            }
        }
        if is_new {
            let (plan, state) = self.plan();
            self.apply(plan, state).await;
        }
    }

    /// The id that everything started here carries.
    pub(crate) fn instance(&self) -> Instance {
        self.fleet.surroundings.host.instance.clone()
    }

    /// Ends all revisions.
    pub(crate) async fn end(self) {
        self.fleet.end_all().await;
    }

    fn plan(&self) -> (Plan, State) {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let input = Input {
            objects: &self.objects,
            observed: &self.observed,
            settings: &self.planning,
            now: UnixTime(since_epoch.as_secs()),
        };
        plan(&input, &self.state)
    }

    async fn apply(&mut self, plan: Plan, state: State) {
        if state != self.state {
            self.state = state;
            self.is_saved = false;
        }
        if !self.is_saved {
            match self.dir.save(&self.state) {
                Ok(()) => self.is_saved = true,
                // Tried again with the next change.
                Err(error) => self.event(&format!(
                    "the state could not be saved, a restart would not know it: {error}"
                )),
            }
        }
        self.observed.retain(|name, _| plan.revisions.contains_key(name));
        self.fleet.workshop.set_objects(&self.objects);
        self.fleet.apply(&plan).await;
        let known = plan.revisions.keys().cloned().collect();
        self.board.set_services(self.service_lines(&plan), &known);
        self.say_statuses(&plan);
    }

    fn service_lines(&self, plan: &Plan) -> BTreeMap<String, ServiceLine> {
        let shown = plan
            .statuses
            .iter()
            .filter(|((kind, _), _)| matches!(kind, Kind::Service | Kind::Route));
        let lines = shown.map(|((_, name), status)| {
            let mut line = ServiceLine {
                url: status.url.clone().unwrap_or_default(),
                ..ServiceLine::default()
            };
            for traffic in &status.traffic {
                let assignment = &traffic.assignment;
                *line.revisions.entry(assignment.revision.clone()).or_default() += assignment.percent;
                if let (Some(tag), Some(url)) = (&assignment.tag, &traffic.url) {
                    line.tags.insert(tag.clone(), url.clone());
                }
            }
            line.trouble = trouble(status);
            (name.to_string(), line)
        });
        lines.collect()
    }

    /// One line for each service whose traffic or trouble has changed.
    fn say_statuses(&mut self, plan: &Plan) {
        let mut news = BTreeMap::new();
        for ((kind, name), status) in &plan.statuses {
            if !matches!(kind, Kind::Service | Kind::Route) {
                continue;
            }
            let shares = status.traffic.iter().map(|traffic| {
                let assignment = &traffic.assignment;
                let tag = assignment
                    .tag
                    .as_ref()
                    .map(|tag| format!(" (tag {tag})"))
                    .unwrap_or_default();
                format!("{} {}%{tag}", assignment.revision, assignment.percent)
            });
            let shares = shares.collect::<Vec<_>>().join(", ");
            let text = [Some(format!("traffic: {shares}")), trouble(status)]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("; ");
            if self.said.get(name).is_some_and(|said| *said != text) {
                self.event(&format!("{name}: {text}"));
            }
            news.insert(name.clone(), text);
        }
        self.said = news;
    }

    fn say_removed(&self, objects: &[Object]) {
        let is_left = |name: &ObjectName| {
            objects.iter().any(|object| {
                let metadata = object.metadata();
                metadata.name.as_str() == name.name && metadata.namespace.as_str() == name.namespace
            })
        };
        for name in self.said.keys().filter(|name| !is_left(name)) {
            self.event(&format!("{name}: removed; its requests under way may finish"));
        }
    }

    fn say_problems(&self, problems: &[Problem]) {
        for problem in problems {
            self.event(&format!("{problem}"));
        }
        if !problems.is_empty() {
            self.event("what runs stays as it is until that is mended");
        }
    }

    fn event(&self, text: &str) {
        self.fleet.surroundings.host.terminal.event(text);
    }
}

/// What a report says about whether the revision may take traffic.
fn observation(report: &Report) -> Option<Observation> {
    match &report.failure {
        Some(message) if report.ready == 0 => Some(Observation::Failed(Failure {
            reason: FAILURE_REASON.to_owned(),
            message: message.clone(),
        })),
        _ => report.was_ready.then_some(Observation::Ready),
    }
}

/// Why an object is not as its file says, and will not be by itself.
fn trouble(status: &ObjectStatus) -> Option<String> {
    let ready = status.ready().filter(|ready| ready.status == Status::False)?;
    Some(format!("{}: {}", ready.reason, ready.message))
}
