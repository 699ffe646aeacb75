//! What does the program start with? The configuration file, what the command line merges over it, and where each part stands.

use std::fmt;

use bytes::Bytes;
use tidegate_xds::text::{Format, Json, Parsed, Problem, Unknown, parse};
use tidegate_xds::translate::Reject;
use tidegate_xds::translate::bootstrap::{Bootstrap, bootstrap};

use crate::flags::Flags;

mod validate;

pub use validate::{context, validate};

/// The message that a configuration file holds.
pub const MESSAGE: &str = "envoy.config.bootstrap.v3.Bootstrap";

/// What was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration, as translated.
    pub bootstrap: Bootstrap,
    /// The encoded message with everything merged, as `/config_dump` shows it.
    pub message: Bytes,
    /// Where its parts stand.
    pub places: Places,
    /// Unknown fields that were passed over (`--allow-unknown-static-fields`), each with its place.
    pub ignored: Vec<String>,
    /// How many parts have fields that nobody knows: a text counts once, as Envoy looks no further than the first of its.
    pub with_unknown_fields: u64,
}

/// What a running program needs of what was read: neither places nor, with them, the descriptors of all messages, which are
/// megabytes.
#[derive(Debug)]
pub(crate) struct Gist {
    message: Bytes,
    ignored: Vec<String>,
    with_unknown_fields: u64,
}

/// Where the parts of a configuration stand that was merged from a file and the command line.
#[derive(Clone, Debug)]
pub struct Places {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    /// The file's name, or the flag's.
    name: String,
    parsed: Parsed,
}

/// Why a configuration cannot be used: what Envoy says, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The file, as it was named; empty without one.
    pub config: String,
    /// `file:line:column`, where the trouble stands in a text.
    pub place: Option<String>,
    /// The field and what is wrong with it.
    pub message: String,
}

impl From<Loaded> for Gist {
    fn from(loaded: Loaded) -> Self {
        Self {
            message: loaded.message,
            ignored: loaded.ignored,
            with_unknown_fields: loaded.with_unknown_fields,
        }
    }
}

impl Gist {
    /// What was read, without places. It is translated anew, and the message copied: each piece that the thread has allocated that
    /// read it would hold the page of memory that it is in.
    pub(crate) fn loaded(self, flags: &Flags) -> Result<Loaded, Report> {
        let message = Bytes::copy_from_slice(&self.message);
        drop(self.message);
        Ok(Loaded {
            bootstrap: translated(flags, &message)?,
            message,
            places: Places { parts: Vec::new() },
            ignored: self.ignored,
            with_unknown_fields: self.with_unknown_fields,
        })
    }
}

impl fmt::Display for Report {
    /// The line that Envoy writes, with the place.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "error initializing configuration '{}': ", self.config)?;
        if let Some(place) = &self.place {
            write!(out, "{place}: ")?;
        }
        // Some of Envoy's texts end a line.
        out.write_str(self.message.trim_end())
    }
}

impl std::error::Error for Report {}

impl Report {
    fn new(flags: &Flags, place: Option<String>, message: impl Into<String>) -> Self {
        Self {
            config: flags.config_name(),
            place,
            message: message.into(),
        }
    }

    fn of_problem(flags: &Flags, name: &str, problem: &Problem) -> Self {
        let text = problem.to_string();
        let prefix = format!("{}: ", problem.at);
        let message = text.strip_prefix(&prefix).unwrap_or(&text).to_owned();
        Self::new(flags, Some(format!("{name}:{}", problem.at)), message)
    }
}

/// The name that places in `--config-yaml` get.
const CONFIG_YAML: &str = "--config-yaml";

/// Reads the configuration that the flags name, with what they say put over it.
///
/// # Errors
/// When a file cannot be read or understood, or the bootstrap is refused. Its static resources are not looked into: see
/// [`validate()`].
pub fn load(flags: &Flags) -> Result<Loaded, Report> {
    let mut parts = Vec::new();
    if let Some(path) = &flags.config_path {
        let name = path.display().to_string();
        let content = std::fs::read(path).map_err(|error| {
            let message = match error.kind() {
                std::io::ErrorKind::NotFound => format!("Invalid path: {name}"),
                _ => format!("unable to read file: {name}: {error}"),
            };
            Report::new(flags, None, message)
        })?;
        let format = Format::of_file(&name);
        parts.push(part(flags, name, &content, format)?);
    }
    if let Some(yaml) = &flags.config_yaml {
        parts.push(part(
            flags,
            CONFIG_YAML.to_owned(),
            yaml.as_bytes(),
            Format::Yaml,
        )?);
    }
    let Some(first) = parts.first() else {
        let message =
            "At least one of --config-path or --config-yaml or Options::configProto() should be non-empty";
        return Err(Report::new(flags, None, message));
    };
    let mut merged = first.parsed.clone();
    let node = node(flags);
    let node = part(flags, String::new(), node.compact().as_bytes(), Format::Json)?;
    for over in parts.iter().skip(1).chain([&node]) {
        let done = merged.merge(&over.parsed);
        done.map_err(|problem| Report::of_problem(flags, &over.name, &problem))?;
    }
    let message = merged.encode();
    let places = Places { parts };
    Ok(Loaded {
        bootstrap: translated(flags, &message)?,
        message,
        ignored: places.ignored(),
        with_unknown_fields: places.with_unknown_fields(),
        places,
    })
}

fn translated(flags: &Flags, message: &Bytes) -> Result<Bootstrap, Report> {
    bootstrap(message).map_err(|reject| Report::new(flags, None, reject.to_string()))
}

fn part(flags: &Flags, name: String, content: &[u8], format: Format) -> Result<Part, Report> {
    let unknown = if flags.unknown.allow_static {
        Unknown::Ignored
    } else {
        Unknown::Refused
    };
    let parsed = parse(content, format, MESSAGE, unknown)
        .map_err(|problem| Report::of_problem(flags, &name, &problem))?;
    Ok(Part { name, parsed })
}

/// What the command line says of the node, as a bootstrap of its own.
fn node(flags: &Flags) -> Json {
    let text = |text: &str| Json::Text(text.to_owned());
    let mut node = Vec::new();
    if !flags.service_node.is_empty() {
        node.push(("id".into(), text(&flags.service_node)));
    }
    if !flags.service_cluster.is_empty() {
        node.push(("cluster".into(), text(&flags.service_cluster)));
    }
    if !flags.service_zone.is_empty() {
        let zone = Json::Map(vec![("zone".into(), text(&flags.service_zone))]);
        node.push(("locality".into(), zone));
    }
    if node.is_empty() {
        return Json::Map(Vec::new());
    }
    Json::Map(vec![("node".into(), Json::Map(node))])
}

impl Places {
    /// `file:line:column` of a field of the merged message, such as `static_resources.clusters[0].name`.
    #[must_use]
    pub fn of(&self, path: &str) -> Option<String> {
        let (part, path) = self.part(path)?;
        Some(format!("{}:{}", part.name, part.parsed.position(&path)))
    }

    /// In which part it stands, and its path there: lists of parts were joined, single fields replaced.
    fn part(&self, path: &str) -> Option<(&Part, String)> {
        let joined = path.split_once('[').and_then(|(list, rest)| {
            let (index, rest) = rest.split_once(']')?;
            Some((list, index.parse::<usize>().ok()?, rest))
        });
        let Some((list, mut index, rest)) = joined else {
            let is_here = |part: &&Part| part.parsed.position(path) != part.parsed.position("");
            let last = self.parts.iter().rfind(is_here).or_else(|| self.parts.first());
            return last.map(|part| (part, path.to_owned()));
        };
        let names: Vec<&str> = list.split('.').collect();
        for part in &self.parts {
            let items = part.parsed.items(&names);
            if index < items {
                return Some((part, format!("{list}[{index}]{rest}")));
            }
            index -= items;
        }
        None
    }

    fn with_unknown_fields(&self) -> u64 {
        let unknown = self.parts.iter().filter(|part| {
            let mut ignored = part.parsed.ignored.iter();
            ignored.any(|problem| problem.message.starts_with("no such field"))
        });
        unknown.count() as u64
    }

    fn ignored(&self) -> Vec<String> {
        self.parts
            .iter()
            .flat_map(|part| {
                part.parsed
                    .ignored
                    .iter()
                    .map(|problem| format!("{}:{problem}", part.name))
            })
            .collect()
    }
}

/// Why a resource is refused, as a report about where it stands.
fn refusal(flags: &Flags, places: &Places, path: &str, message: &Reject) -> Report {
    Report::new(flags, places.of(path), format!("{path}: {message}"))
}

#[cfg(test)]
mod tests;
