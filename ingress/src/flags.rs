//! What does the command line say? Envoy's flags, in the forms in which Envoy takes them, and a few of our own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;

use crate::limits;

mod parse;
mod table;
mod usage;

pub use usage::version;

/// The command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags {
    /// By which name it was called; the name alone decides [`Self::is_envoy`].
    pub program: String,
    /// `--config-path`.
    pub config_path: Option<PathBuf>,
    /// `--config-yaml`: merged over the file.
    pub config_yaml: Option<String>,
    /// `--mode`.
    pub mode: Mode,
    /// `--concurrency`: worker threads; 0 counts as 1, as in Envoy.
    pub concurrency: Option<u32>,
    /// `--service-cluster`, over `node.cluster`.
    pub service_cluster: String,
    /// `--service-node`, over `node.id`.
    pub service_node: String,
    /// `--service-zone`, over `node.locality.zone`.
    pub service_zone: String,
    /// How, and where, it logs.
    pub log: LogFlags,
    /// `--admin-address-path`: the file that the admin endpoint's address is written to.
    pub admin_address_path: Option<PathBuf>,
    /// Which fields may be unknown.
    pub unknown: UnknownFlags,
    /// How connections are drained.
    pub drain: DrainFlags,
    /// Hot restart, which there is none of: read, and shown by `/server_info`.
    pub hot_restart: HotRestartFlags,
    /// `--local-address-ip-version`.
    pub local_address_ip_version: IpVersion,
    /// `--stats-tag`: labels that every metric gets.
    pub stats_tags: Vec<(String, String)>,
    /// `--disable-extensions`.
    pub disable_extensions: Vec<String>,
    /// `--cpuset-threads`.
    pub cpuset_threads: bool,
    /// `--internal-listener`: the listeners whose clients are believed; Kourier's where none is named.
    pub internal_listeners: Vec<String>,
    /// The last good configuration on disk.
    pub snapshot: SnapshotFlags,
    /// `--autoscaler-address`: who is told of the load of revisions, as the URL of a WebSocket.
    pub autoscaler: Option<Uri>,
    /// `--guard-empty`: an empty CDS or LDS response is refused instead of deleting everything.
    pub guard_empty: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Serve.
    #[default]
    Serve,
    /// Say whether the configuration is sound, and end.
    Validate,
}

/// `--log-…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFlags {
    /// `--log-level`.
    pub level: LogLevel,
    /// `--component-log-level`, by component.
    pub components: Vec<(String, LogLevel)>,
    /// `--log-path`; standard error without.
    pub path: Option<PathBuf>,
    /// `--log-format`, which has no effect.
    pub format: Option<String>,
    /// `--log-format-escaped`: line breaks in messages are escaped.
    pub escaped: bool,
    /// `--file-flush-interval-msec`: how long access logs are held back.
    pub flush_interval: Option<Duration>,
    /// `--file-flush-min-size-kb`: how much of access logs is held back.
    pub flush_kib: Option<u32>,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// `trace`.
    Trace,
    /// `debug`.
    Debug,
    /// `info`.
    #[default]
    Info,
    /// `warning`, or `warn`.
    Warning,
    /// `error`.
    Error,
    /// `critical`: what ends the process.
    Critical,
    /// `off`.
    Off,
}

impl LogLevel {
    /// The level of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warning" | "warn" => Self::Warning,
            "error" => Self::Error,
            "critical" => Self::Critical,
            "off" => Self::Off,
            _ => return None,
        })
    }

    /// Its name, as Envoy shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Off => "off",
        }
    }
}

/// Which fields may be unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnknownFlags {
    /// `--allow-unknown-static-fields`: those of the bootstrap.
    pub allow_static: bool,
    /// `--reject-unknown-dynamic-fields`: those of xDS resources refuse the resource.
    pub reject_dynamic: bool,
    /// `--ignore-unknown-dynamic-fields`: those of xDS resources are not counted.
    pub ignore_dynamic: bool,
}

/// How connections are drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainFlags {
    /// `--drain-time-s`.
    pub time: Duration,
    /// `--drain-strategy`.
    pub strategy: DrainStrategy,
    /// `--drain-on-sigterm`: how long SIGTERM drains before the end, where nothing began to drain before. Nothing at all when
    /// called as `envoy`, else the drain time.
    pub on_sigterm: Duration,
}

/// How fast responses begin to carry `connection: close`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DrainStrategy {
    /// More and more of them, until the drain time is over.
    #[default]
    Gradual,
    /// All of them at once.
    Immediate,
}

/// What concerns hot restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotRestartFlags {
    /// `--base-id`.
    pub base_id: u32,
    /// `--base-id-path`: the file that the base ID is written to.
    pub base_id_path: Option<PathBuf>,
    /// `--restart-epoch`.
    pub epoch: u32,
    /// `--parent-shutdown-time-s`.
    pub parent_shutdown_time: Duration,
    /// `--disable-hot-restart`.
    pub is_disabled: bool,
}

/// `--local-address-ip-version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpVersion {
    /// `v4`.
    #[default]
    V4,
    /// `v6`.
    V6,
}

/// `--snapshot-…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFlags {
    /// `--snapshot-dir`; without it nothing is kept.
    pub dir: Option<PathBuf>,
    /// `--snapshot-secrets`.
    pub secrets: SnapshotSecrets,
    /// `--snapshot-max-age`: how old a snapshot may be that is served.
    pub max_age: Duration,
}

/// What becomes of secrets in a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnapshotSecrets {
    /// `keep`: they are written with the rest.
    #[default]
    Keep,
    /// `omit`: they are left out, and what needs them waits for the control plane.
    Omit,
}

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// To serve or to validate.
    Run(Box<Flags>),
    /// To print this on standard output.
    Print(String),
}

/// A command line that cannot be used. What it displays goes to standard error, and the exit code is 1, as in Envoy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

impl Flags {
    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    /// When Envoy would refuse it, in Envoy's words.
    pub fn parse<I>(words: I) -> Result<Request, UsageError>
    where
        I: IntoIterator<Item = String>,
    {
        parse::parse(words.into_iter())
    }

    /// The flags of a program of this name that is told nothing.
    #[must_use]
    pub fn of(program: &str) -> Self {
        let drain_time = limits::DRAIN_TIME;
        Self {
            program: program.to_owned(),
            config_path: None,
            config_yaml: None,
            mode: Mode::default(),
            concurrency: None,
            service_cluster: String::new(),
            service_node: String::new(),
            service_zone: String::new(),
            log: LogFlags::default(),
            admin_address_path: None,
            unknown: UnknownFlags::default(),
            drain: DrainFlags {
                time: drain_time,
                strategy: DrainStrategy::default(),
                on_sigterm: if is_envoy(program) {
                    Duration::ZERO
                } else {
                    drain_time
                },
            },
            hot_restart: HotRestartFlags {
                base_id: 0,
                base_id_path: None,
                epoch: 0,
                parent_shutdown_time: limits::PARENT_SHUTDOWN_TIME,
                is_disabled: false,
            },
            local_address_ip_version: IpVersion::default(),
            stats_tags: Vec::new(),
            disable_extensions: Vec::new(),
            cpuset_threads: false,
            internal_listeners: INTERNAL_LISTENERS.map(str::to_owned).to_vec(),
            snapshot: SnapshotFlags {
                dir: None,
                secrets: SnapshotSecrets::default(),
                max_age: limits::SNAPSHOT_MAX_AGE,
            },
            autoscaler: None,
            guard_empty: false,
        }
    }

    /// Whether it was called as `envoy`, whatever the folder: it then stands in for Envoy to the letter.
    #[must_use]
    pub fn is_envoy(&self) -> bool {
        is_envoy(&self.program)
    }

    /// The configuration's name as messages have it: the path, or nothing.
    #[must_use]
    pub fn config_name(&self) -> String {
        self.config_path
            .as_deref()
            .map_or_else(String::new, |path| path.display().to_string())
    }
}

fn is_envoy(program: &str) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == "envoy")
}

/// Kourier's internal listeners.
const INTERNAL_LISTENERS: [&str; 2] = ["listener_8081", "listener_8444"];

#[cfg(test)]
mod tests;
