//! Which names does laptop mode give to environment variables, labels and hidden commands?

/// Environment variable of every child: the id of the tidegate instance that started it. The guardian finds by it
/// what a killed tidegate left behind.
pub const INSTANCE_VARIABLE: &str = "TIDEGATE_INSTANCE";
/// Environment variables that start like this are tidegate's own and are not handed down to replicas.
pub const OWN_VARIABLE_PREFIX: &str = "TIDEGATE_";
/// The hidden command by which tidegate starts itself as guardian.
pub const GUARDIAN_COMMAND: &str = "__guardian";
