//! Which names does laptop mode give to environment variables, labels and hidden commands?

/// Environment variable of every child: the id of the tidegate instance that started it. The guardian finds by it
/// what a killed tidegate left behind.
pub const INSTANCE_VARIABLE: &str = "TIDEGATE_INSTANCE";
/// Environment variables that start like this are tidegate's own and are not handed down to replicas.
pub const OWN_VARIABLE_PREFIX: &str = "TIDEGATE_";
/// The hidden command by which tidegate starts itself as guardian.
pub const GUARDIAN_COMMAND: &str = "__guardian";
/// The program name by which a revision's `command` means this very tidegate.
pub const OWN_PROGRAM: &str = "tidegate";
/// Where a Service or Configuration describes its pods.
pub const SPEC_PATH: &str = "spec.template.spec";
/// Where it describes its serving container; only revisions with one container run here.
pub const SERVING_CONTAINER_PATH: &str = "spec.template.spec.containers[0]";
/// Label of every container: the id of the tidegate instance that created it.
pub const INSTANCE_LABEL: &str = "dev.tidegate.instance";
/// What the names of all containers begin with.
pub const CONTAINER_PREFIX: &str = "tidegate-";
/// Environment variable that names the container engine's address.
pub const ENGINE_HOST_VARIABLE: &str = "DOCKER_HOST";
/// Directory in the user's state directory that holds those of all sets of paths.
pub const STATE_HOME_FOLDER: &str = "tidegate";
/// File of a state directory: what the controller remembers.
pub const STATE_FILE: &str = "state.json";
/// File of a state directory: the id of the last run.
pub const STATE_INSTANCE_FILE: &str = "instance";
/// File of a state directory that a run holds locked.
pub const STATE_LOCK_FILE: &str = "lock";
/// What the names of object files in a directory end with, as `kubectl apply -f DIR` has it.
pub const OBJECT_FILE_EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
