//! How a plan becomes revisions that run, clusters and routes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tidegate_activator::{Refusal, Registry, Revision as Throttle, RevisionSettings};
use tidegate_autoscaler::{Load, Reachability, RevisionSpec as ScaleSpec};
use tidegate_controller::ObjectName;
use tidegate_controller::plan::{Plan, PlannedRevision, Start};
use tidegate_controller::snapshot::Clusters;
use tidegate_controller::state::RoutingState;
use tidegate_knative::autoscaling::{AutoscalerConfig, ScaleAnnotations};
use tidegate_knative::object::RevisionTemplate;
use tidegate_knative::stat::Stat;
use tidegate_proxy::config::Handle;
use tidegate_proxy::layers::Layers;
use tidegate_queue_proxy::Timeouts;

use crate::launcher::{Launcher, Workshop};
use crate::limits::START_BACKOFF_MAX;
use crate::revision::{Identity, Message, RevisionHandle, Surroundings};

/// The revisions that run.
pub(crate) struct Fleet {
    pub(crate) workshop: Workshop,
    pub(crate) registry: Arc<Registry>,
    pub(crate) layers: Layers,
    pub(crate) config: Handle,
    pub(crate) autoscaler: AutoscalerConfig,
    pub(crate) surroundings: Surroundings,
    pub(crate) switchboard: Switchboard,
    clusters: Clusters,
    revisions: BTreeMap<ObjectName, Kept>,
    leaving: Vec<RevisionHandle>,
}

/// Passes what requests report on to the revisions. Read from request handling, without a lock.
#[derive(Clone, Default)]
pub(crate) struct Switchboard {
    lines: Arc<ArcSwap<HashMap<Arc<str>, RevisionHandle>>>,
}

struct Kept {
    handle: RevisionHandle,
    throttle: Arc<Throttle>,
    template: Arc<RevisionTemplate>,
    /// What it was told last.
    told: Option<(RoutingState, Start)>,
}

impl Switchboard {
    /// Passes on the load of one period.
    pub(crate) fn stat(&self, revision: &Arc<Throttle>, stat: &Stat) {
        if let Some(line) = self.lines.load().get(revision.key()) {
            line.load(Load {
                concurrency: stat.average_concurrent_requests,
                requests_per_second: stat.request_count,
            });
        }
    }
}

/// What a [`Fleet`] is made from.
pub(crate) struct Parts {
    pub(crate) workshop: Workshop,
    pub(crate) registry: Arc<Registry>,
    pub(crate) layers: Layers,
    pub(crate) config: Handle,
    pub(crate) autoscaler: AutoscalerConfig,
    pub(crate) surroundings: Surroundings,
    pub(crate) switchboard: Switchboard,
}

impl Fleet {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            workshop,
            registry,
            layers,
            config,
            autoscaler,
            surroundings,
            switchboard,
        } = parts;
        Self {
            workshop,
            registry,
            layers,
            config,
            autoscaler,
            surroundings,
            switchboard,
            clusters: Clusters::default(),
            revisions: BTreeMap::new(),
            leaving: Vec::new(),
        }
    }

    /// Starts what is new, routes as planned, then ends what is gone: in that order, so that no request meets a
    /// revision that is not there.
    pub(crate) async fn apply(&mut self, plan: &Plan) {
        let replaced = |(name, kept): (&ObjectName, &Kept)| {
            // The same name and another template: its Service was removed and came back in one edit.
            let planned = plan.revisions.get(name);
            planned
                .is_some_and(|planned| planned.template != kept.template)
                .then(|| name.clone())
        };
        let replaced: Vec<ObjectName> = self.revisions.iter().filter_map(replaced).collect();
        for name in replaced {
            self.end(&name).await;
        }
        for (name, planned) in &plan.revisions {
            let is_needed = planned.routing != RoutingState::Reserve || planned.start == Start::Prove;
            if is_needed && !self.revisions.contains_key(name) {
                let kept = self.start(name, planned);
                self.revisions.insert(name.clone(), kept);
            }
        }
        self.connect();
        self.config
            .publish(self.clusters.snapshot(plan, Some(&self.layers)));
        for (name, planned) in &plan.revisions {
            if let Some(kept) = self.revisions.get_mut(name) {
                kept.follow(planned).await;
            }
        }
        let gone: Vec<ObjectName> = self
            .revisions
            .keys()
            .filter(|name| !plan.revisions.contains_key(name))
            .cloned()
            .collect();
        for name in gone {
            self.end(&name).await;
        }
        self.connect();
    }

    /// Ends all revisions and waits until their replicas are gone.
    pub(crate) async fn end_all(mut self) {
        let names: Vec<ObjectName> = self.revisions.keys().cloned().collect();
        for name in names {
            self.end(&name).await;
        }
        for handle in self.leaving {
            handle.ended().await;
        }
    }

    fn start(&self, name: &ObjectName, planned: &PlannedRevision) -> Kept {
        let spec = &planned.template.spec;
        let timeouts = Timeouts::from_seconds(
            spec.timeout_seconds,
            spec.response_start_timeout_seconds.unwrap_or(0),
            spec.idle_timeout_seconds.unwrap_or(0),
        );
        let throttle = Throttle::new(RevisionSettings {
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            service: planned.service.clone().unwrap_or_default(),
            configuration: planned.configuration.clone(),
            container_concurrency: spec.container_concurrency,
            timeout: timeouts.request,
        });
        self.registry.insert(&throttle);
        let launcher = Launcher::new(self.workshop.clone(), name.clone(), planned.clone());
        let scale = self.scale(planned, &launcher);
        if let Err(obstacles) = &launcher {
            // A revision of an earlier run that this run cannot start; new ones were checked before.
            let reasons: Vec<_> = obstacles.iter().map(ToString::to_string).collect();
            let message = format!("revision {} cannot run here: {}", name.name, reasons.join("; "));
            self.surroundings.host.terminal.event(&message);
            throttle.refuse(Refusal {
                message,
                retry_after: START_BACKOFF_MAX,
            });
        }
        let identity = Identity {
            name: name.clone(),
            scale,
            launcher: launcher.ok(),
            throttle: Arc::clone(&throttle),
            container_concurrency: spec.container_concurrency,
            timeouts,
        };
        let handle = RevisionHandle::start(identity, self.surroundings.clone());
        Kept {
            handle,
            throttle,
            template: Arc::clone(&planned.template),
            told: None,
        }
    }

    fn scale<E>(&self, planned: &PlannedRevision, launcher: &Result<Launcher, E>) -> ScaleSpec {
        // Validated with the file that it came from.
        let annotations = ScaleAnnotations::parse(&planned.template.metadata.annotations, &self.autoscaler);
        let deadline = launcher
            .as_ref()
            .map(Launcher::progress_deadline)
            .unwrap_or_default();
        let concurrency = planned.template.spec.container_concurrency;
        ScaleSpec::new(
            &self.autoscaler,
            &annotations.unwrap_or_default(),
            concurrency,
            deadline,
        )
    }

    async fn end(&mut self, name: &ObjectName) {
        let Some(kept) = self.revisions.remove(name) else {
            return;
        };
        self.registry.remove(kept.throttle.key());
        kept.handle.tell(Message::Remove).await;
        self.leaving.retain(|handle| !handle.has_ended());
        self.leaving.push(kept.handle);
    }

    fn connect(&self) {
        let lines = self.revisions.values();
        let lines = lines.map(|kept| (Arc::clone(kept.throttle.key()), kept.handle.clone()));
        self.switchboard.lines.store(Arc::new(lines.collect()));
    }
}

impl Kept {
    /// Tells the revision what has changed about it.
    async fn follow(&mut self, planned: &PlannedRevision) {
        let now = (planned.routing, planned.start);
        if self.told == Some(now) {
            return;
        }
        let reachability = match planned.routing {
            RoutingState::Active => Reachability::Reachable,
            RoutingState::Reserve => Reachability::Unreachable,
            RoutingState::Pending => Reachability::default(),
        };
        self.handle.tell(Message::Reachability(reachability)).await;
        self.handle.tell(Message::Begin(planned.start)).await;
        self.told = Some(now);
    }
}
