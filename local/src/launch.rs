//! Does a revision run as a process or as a container, and what stands in the way of either?
//!
//! Pure. `--run` for the image wins; then `command`; a container with only an image needs a container engine.

mod run_mapping;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use tidegate_knative::object::{Container, RevisionSpec, VolumeMount};

use crate::environment::expand;
use crate::names::{OWN_PROGRAM, SERVING_CONTAINER_PATH, SPEC_PATH};
use crate::replica::CommandLine;

pub use run_mapping::{InvalidRunMapping, RunMapping};

/// Where the system keeps temporary files: an `emptyDir` there is what a process has anyway.
const TEMPORARY: &str = "/tmp";
const EMPTY_DIR: &str = "emptyDir";
const PULL_POLICY_FIELD: &str = "imagePullPolicy";

/// What keeps a revision from running on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The field, as in a Service or Configuration: `spec.template.spec.containers[0].env[1].valueFrom`.
    pub path: String,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl Obstacle {
    pub(crate) fn new(path: &str, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for Obstacle {}

/// How a revision's replicas run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaunchKind {
    /// As processes of this machine.
    Process(ProcessPlan),
    /// Through the local container engine.
    Container(ContainerPlan),
}

/// A revision whose replicas are processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessPlan {
    /// Program and arguments, before `$(NAME)` is expanded. Never empty.
    words: Vec<String>,
    /// `workingDir`, as written.
    pub working_dir: Option<String>,
}

impl ProcessPlan {
    /// What to run, with its references to `variables` expanded. The program `tidegate` is `own`, this very program:
    /// so that examples need nothing installed.
    #[must_use]
    pub fn command_line(&self, variables: &BTreeMap<String, String>, own: &Path) -> Option<CommandLine> {
        let mut command = CommandLine::new(self.words.iter().map(|word| expand(word, variables)))?;
        if let (OWN_PROGRAM, Some(own)) = (command.program.as_str(), own.to_str()) {
            command.program = own.to_owned();
        }
        Some(command)
    }
}

/// Program and arguments as one would type them in a shell.
impl fmt::Display for ProcessPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&shell_words::join(&self.words))
    }
}

/// A revision whose replicas are containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPlan {
    /// The image.
    pub image: String,
    /// Arguments of the image's entrypoint, before `$(NAME)` is expanded; empty means the image's own.
    pub arguments: Vec<String>,
    /// `workingDir`; none means the image's own.
    pub working_dir: Option<String>,
    /// The port that the container listens on.
    pub port: u16,
    /// Where empty directories are mounted.
    pub empty_dirs: Vec<String>,
    /// When the image is pulled.
    pub pull: PullPolicy,
}

/// `imagePullPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// Before every start.
    Always,
    /// Only when the image is not here. The default here, whatever the tag: a laptop may be offline.
    #[default]
    IfNotPresent,
    /// Never: the image has to be here.
    Never,
}

impl PullPolicy {
    fn of(container: &Container) -> Self {
        match container
            .other
            .get(PULL_POLICY_FIELD)
            .and_then(|policy| policy.as_str())
        {
            Some("Always") => Self::Always,
            Some("Never") => Self::Never,
            _ => Self::default(),
        }
    }
}

/// Decides how the replicas of a revision run.
///
/// # Errors
/// Everything in the revision that cannot be had on this machine, each with its field.
pub fn plan_launch(spec: &RevisionSpec, mappings: &[RunMapping]) -> Result<LaunchKind, Vec<Obstacle>> {
    let container = &spec.serving;
    let mut obstacles = company(spec);
    let kind = match process_words(container, mappings) {
        Some(words) => {
            obstacles.extend(mounts(spec, |mount, kind| {
                kind == EMPTY_DIR && mount.mount_path == TEMPORARY
            }));
            LaunchKind::Process(ProcessPlan {
                words,
                working_dir: container.working_dir.clone(),
            })
        }
        None => {
            obstacles.extend(image_obstacle(container));
            obstacles.extend(mounts(spec, |_mount, kind| kind == EMPTY_DIR));
            LaunchKind::Container(ContainerPlan {
                image: container.image.clone(),
                arguments: container.args.clone(),
                working_dir: container.working_dir.clone(),
                port: spec.user_port(),
                empty_dirs: container
                    .volume_mounts
                    .iter()
                    .map(|mount| mount.mount_path.clone())
                    .collect(),
                pull: PullPolicy::of(container),
            })
        }
    };
    if obstacles.is_empty() {
        Ok(kind)
    } else {
        Err(obstacles)
    }
}

/// A mapped command stands in for the image's entrypoint, so `args` come after it; a `command` of the file is a
/// replacement of that entrypoint itself, and gives way together with its `args`.
fn process_words(container: &Container, mappings: &[RunMapping]) -> Option<Vec<String>> {
    let mapped = RunMapping::find(mappings, &container.image).map(RunMapping::command);
    let (program, arguments): (&[String], &[String]) = match mapped {
        Some(mapped) if container.command.is_empty() => (mapped, &container.args),
        Some(mapped) => (mapped, &[]),
        None => (&container.command, &container.args),
    };
    (!program.is_empty()).then(|| program.iter().chain(arguments).cloned().collect())
}

/// One container at a time: a laptop has no pods in which several could share an address.
fn company(spec: &RevisionSpec) -> Vec<Obstacle> {
    let others = [
        (
            "containers",
            "one container runs here, without its sidecars",
            &spec.sidecars,
        ),
        (
            "initContainers",
            "init containers do not run here",
            &spec.init_containers,
        ),
    ];
    let refused = others
        .into_iter()
        .filter(|(_, _, containers)| !containers.is_empty());
    refused
        .map(|(field, message, containers)| {
            let names: Vec<&str> = containers
                .iter()
                .map(|container| container.name.as_str())
                .collect();
            let advice = "leave them out of the files for this machine";
            Obstacle::new(
                &format!("{SPEC_PATH}.{field}"),
                format!("{message}: {advice} ({})", names.join(", ")),
            )
        })
        .collect()
}

fn image_obstacle(container: &Container) -> Option<Obstacle> {
    container.image.is_empty().then(|| {
        Obstacle::new(
            SERVING_CONTAINER_PATH,
            "there is neither command nor image: add a command, the program to run",
        )
    })
}

/// The mounts that are not `possible`, given the mount and its volume's kind.
fn mounts(spec: &RevisionSpec, possible: impl Fn(&VolumeMount, &str) -> bool) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    for (index, mount) in spec.serving.volume_mounts.iter().enumerate() {
        let volume = spec.volumes.iter().find(|volume| volume.name == mount.name);
        let kind = volume.map_or("", |volume| volume.source.kind.as_str());
        if !possible(mount, kind) {
            let path = format!("{SERVING_CONTAINER_PATH}.volumeMounts[{index}]");
            let message = format!(
                "{kind} {} cannot be mounted at {} here: read files by a path of this machine, or values from env",
                mount.name, mount.mount_path
            );
            obstacles.push(Obstacle::new(&path, message));
        }
    }
    obstacles
}

#[cfg(test)]
mod tests;
