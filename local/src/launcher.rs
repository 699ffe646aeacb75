//! How the replicas of one revision are started, and what each of them gets.

pub(crate) mod commands;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tidegate_controller::ObjectName;
use tidegate_controller::plan::PlannedRevision;
use tidegate_knative::Object;
use tidegate_knative::object::RevisionTemplate;
use tidegate_queue_proxy::probe::ReadinessProbe;

use crate::engine::{ContainerLaunch, Engine};
use crate::environment::{self, Identity, Sources};
use crate::host::Host;
use crate::launch::{ContainerPlan, LaunchKind, Obstacle, ProcessPlan, RunMapping, plan_launch};
use crate::launcher::commands::Commands;
use crate::limits::PROGRESS_DEADLINE;
use crate::names::SERVING_CONTAINER_PATH;
use crate::replica::{Launch, Replica, ReplicaName};
use crate::revision::starts::Failed;

/// What the launchers of all revisions share.
#[derive(Clone)]
pub(crate) struct Workshop {
    /// This very program: what `tidegate` means in a command.
    program: Arc<Path>,
    /// The environment that processes inherit.
    inherited: Arc<BTreeMap<String, String>>,
    mappings: Arc<[RunMapping]>,
    /// The objects of the files, for values from ConfigMaps and Secrets: those of the moment a replica starts.
    objects: Arc<ArcSwap<Vec<Object>>>,
    engine: Option<Engine>,
}

/// Starts replicas of one revision.
pub(crate) struct Launcher {
    workshop: Workshop,
    name: ObjectName,
    revision: PlannedRevision,
    kind: LaunchKind,
    probe: ReadinessProbe,
}

/// A replica that was started, and how to ask whether it is ready.
pub(crate) struct Launched {
    pub(crate) replica: Replica,
    /// What it runs, for people.
    pub(crate) what: String,
    pub(crate) probe: ReadinessProbe,
    /// Runs an exec probe's command as the replica runs; none for a container.
    pub(crate) commands: Option<Commands>,
}

impl Workshop {
    pub(crate) fn new(mappings: Vec<RunMapping>) -> std::io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut inherited = environment::inherited(std::env::vars_os());
        put_first_on_path(&mut inherited, &program);
        Ok(Self {
            program: program.into(),
            inherited: Arc::new(inherited),
            mappings: mappings.into(),
            objects: Arc::default(),
            engine: None,
        })
    }

    /// The objects from now on.
    pub(crate) fn set_objects(&self, objects: &Arc<Vec<Object>>) {
        self.objects.store(Arc::clone(objects));
    }

    /// Whether `template` needs a container engine.
    pub(crate) fn needs_engine(&self, template: &RevisionTemplate) -> bool {
        matches!(
            plan_launch(&template.spec, &self.mappings),
            Ok(LaunchKind::Container(_))
        )
    }

    /// Whether an engine was found.
    pub(crate) fn has_engine(&self) -> bool {
        self.engine.is_some()
    }

    pub(crate) fn set_engine(&mut self, engine: Engine) {
        self.engine = Some(engine);
    }

    /// Everything that keeps replicas of `template` from starting, each with its field.
    pub(crate) fn obstacles(
        &self,
        name: &ObjectName,
        template: &RevisionTemplate,
        objects: &[Object],
    ) -> Vec<Obstacle> {
        let mut obstacles = plan_launch(&template.spec, &self.mappings)
            .err()
            .unwrap_or_default();
        let (labels, annotations) = (&template.metadata.labels, &template.metadata.annotations);
        let identity = Identity {
            namespace: &name.namespace,
            service: &name.name,
            configuration: &name.name,
            revision: &name.name,
            pod: &name.name,
            labels,
            annotations,
            port: template.spec.user_port(),
        };
        let sources: Sources<'_> = objects.iter().collect();
        obstacles.extend(
            environment::declared(&template.spec, &identity, &sources)
                .err()
                .unwrap_or_default(),
        );
        obstacles.extend(probe(template).err());
        obstacles
    }
}

impl Launcher {
    /// A launcher of `revision`; none where this machine cannot run it.
    pub(crate) fn new(
        workshop: Workshop,
        name: ObjectName,
        revision: PlannedRevision,
    ) -> Result<Self, Vec<Obstacle>> {
        let kind = plan_launch(&revision.template.spec, &workshop.mappings)?;
        let probe = probe(&revision.template).map_err(|obstacle| vec![obstacle])?;
        Ok(Self {
            workshop,
            name,
            revision,
            kind,
            probe,
        })
    }

    /// The Service's name, or the Configuration's.
    pub(crate) fn service(&self) -> &str {
        self.revision
            .service
            .as_deref()
            .unwrap_or(&self.revision.configuration)
    }

    /// How long a replica may take to become ready (`serving.knative.dev/progress-deadline`).
    pub(crate) fn progress_deadline(&self) -> Duration {
        self.revision
            .template
            .progress_deadline()
            .unwrap_or(PROGRESS_DEADLINE)
    }

    /// Starts a replica.
    ///
    /// # Errors
    /// What is in the way, and what to do about it.
    pub(crate) fn launch(&self, name: ReplicaName, host: &Host) -> Result<Launched, Failed> {
        match &self.kind {
            LaunchKind::Process(plan) => self.launch_process(plan, name, host),
            LaunchKind::Container(plan) => self.launch_container(plan, name, host),
        }
    }

    fn launch_process(&self, plan: &ProcessPlan, name: ReplicaName, host: &Host) -> Result<Launched, Failed> {
        let port = host
            .ports
            .lease()
            .map_err(|error| Failed::perhaps(error.to_string()))?;
        let declared = self.declared(&name, port.port())?;
        let mut environment = BTreeMap::clone(&self.workshop.inherited);
        environment.extend(declared.iter().map(|(name, value)| (name.clone(), value.clone())));
        let command = plan
            .command_line(&declared, &self.workshop.program)
            .ok_or_else(|| {
                Failed::surely("the command is empty once its $(NAME) references are filled in")
            })?;
        let environment: Vec<_> = environment.into_iter().collect();
        let working_dir = plan.working_dir.as_ref().map(PathBuf::from);
        let commands = Commands::new(&host.instance, environment.clone(), working_dir.clone());
        let what = format!(
            "{} {} on port {}",
            command.program,
            command.arguments.join(" "),
            port.port()
        );
        let launch = Launch {
            name,
            command,
            environment,
            working_dir,
            port,
        };
        let replica = Replica::launch(launch, host).map_err(|error| Failed::to_launch(&error))?;
        Ok(Launched {
            replica,
            what,
            probe: self.probe.clone(),
            commands: Some(commands),
        })
    }

    fn launch_container(
        &self,
        plan: &ContainerPlan,
        name: ReplicaName,
        host: &Host,
    ) -> Result<Launched, Failed> {
        let engine = self
            .workshop
            .engine
            .as_ref()
            .ok_or_else(|| Failed::surely("no container engine answers"))?;
        let environment = self.declared(&name, plan.port)?;
        let replica = engine.launch(
            ContainerLaunch {
                name,
                plan: plan.clone(),
                environment,
            },
            host,
        );
        Ok(Launched {
            replica,
            what: format!("image {}", plan.image),
            probe: self.probe.clone(),
            commands: None,
        })
    }

    fn declared(&self, replica: &ReplicaName, port: u16) -> Result<BTreeMap<String, String>, Failed> {
        let pod = format!("{}-{}", replica.revision, replica.index);
        let identity = Identity {
            namespace: &self.name.namespace,
            service: self.revision.service.as_deref().unwrap_or_default(),
            configuration: &self.revision.configuration,
            revision: &self.name.name,
            pod: &pod,
            labels: &self.revision.labels,
            annotations: &self.revision.template.metadata.annotations,
            port,
        };
        let objects = self.workshop.objects.load();
        let sources: Sources<'_> = objects.iter().collect();
        environment::declared(&self.revision.template.spec, &identity, &sources).map_err(|obstacles| {
            let reasons: Vec<_> = obstacles.iter().map(ToString::to_string).collect();
            Failed::surely(reasons.join("; "))
        })
    }
}

/// The serving container's readiness probe; defaulting has given every template one.
fn probe(template: &RevisionTemplate) -> Result<ReadinessProbe, Obstacle> {
    let path = format!("{SERVING_CONTAINER_PATH}.readinessProbe");
    let Some(probe) = &template.spec.serving.readiness_probe else {
        return Err(Obstacle::new(&path, "there is none"));
    };
    ReadinessProbe::new(probe, template.spec.user_port())
        .map_err(|error| Obstacle::new(&path, error.to_string()))
}

/// So that a script in a Service can call `tidegate sample …` from a fresh clone.
fn put_first_on_path(environment: &mut BTreeMap<String, String>, program: &Path) {
    let Some(folder) = program.parent() else { return };
    let path = environment.get(PATH).cloned().unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    let joined = std::env::join_paths(folders).map(OsString::into_string);
    if let Ok(Ok(joined)) = joined {
        environment.insert(PATH.to_owned(), joined);
    }
}

const PATH: &str = "PATH";
