//! How do the words of a command line become flags?

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use super::table::{Flag, Takes, find};
use super::{
    DrainStrategy, Flags, IpVersion, LogLevel, Mode, Request, SnapshotSecrets, UsageError, is_envoy, usage,
};

/// Envoy's version of hot restart, with the suffix of the sizes that it shares.
const HOT_RESTART_VERSION: &str = "11.104";

pub(super) fn parse(mut words: impl Iterator<Item = String>) -> Result<Request, UsageError> {
    let program = words.next().unwrap_or_else(|| "tidegate-ingress".to_owned());
    let given = Given::read(&program, words)?;
    if given.has("help") {
        return Ok(Request::Print(usage::help(&program)));
    }
    if given.has("version") {
        return Ok(Request::Print(usage::version_line(&program)));
    }
    if given.has("hot-restart-version") {
        return Ok(Request::Print(format!("{HOT_RESTART_VERSION}\n")));
    }
    given.flags(&program).map(|flags| Request::Run(Box::new(flags)))
}

/// The words by flag.
#[derive(Default)]
struct Given(HashMap<&'static str, Vec<String>>);

impl Given {
    /// A flag and its value may be one word, as Kourier and Contour write them: it is split at the first blank.
    fn read(program: &str, mut words: impl Iterator<Item = String>) -> Result<Self, UsageError> {
        let refuse = |argument: &str, message: &str| UsageError(usage::error(program, argument, message));
        let mut given = Self::default();
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            let (name, value) = match word.split_once(' ') {
                Some((name, value)) if word.starts_with('-') => (name, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            let Some(flag) = find(name) else {
                return Err(refuse(&word, "Couldn't find match for argument"));
            };
            let values = given.0.entry(flag.name).or_default();
            if !values.is_empty() && flag.takes != Takes::Texts {
                return Err(refuse(&flag.shown(), "Argument already set!"));
            }
            let value = match flag.takes {
                Takes::Nothing if value.is_some() => {
                    return Err(refuse(&word, "Couldn't find match for argument"));
                }
                Takes::Nothing => String::new(),
                _ => value
                    .or_else(|| words.next())
                    .ok_or_else(|| refuse(&flag.shown(), "Missing a value for this argument!"))?,
            };
            check(flag, &value).map_err(|message| refuse(&flag.shown(), &message))?;
            values.push(value);
        }
        Ok(given)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }

    fn owned(&self, name: &str) -> String {
        self.text(name).unwrap_or_default().to_owned()
    }

    /// An empty value is as good as none.
    fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    fn seconds(&self, name: &str) -> Option<Duration> {
        self.number(name)
            .map(|seconds| Duration::from_secs(seconds.into()))
    }

    fn time(&self, name: &str) -> Option<Duration> {
        self.text(name).and_then(time)
    }

    fn flags(&self, program: &str) -> Result<Flags, UsageError> {
        let mut flags = Flags::of(program);
        flags.config_path = self.path("config-path");
        flags.config_yaml = self
            .text("config-yaml")
            .filter(|yaml| !yaml.is_empty())
            .map(str::to_owned);
        flags.mode = self.choice("mode", "unknown mode", mode)?.unwrap_or_default();
        flags.concurrency = self.number("concurrency").map(|threads| threads.max(1));
        flags.service_cluster = self.owned("service-cluster");
        flags.service_node = self.owned("service-node");
        flags.service_zone = self.owned("service-zone");
        self.log(&mut flags)?;
        flags.admin_address_path = self.path("admin-address-path");
        flags.unknown.allow_static =
            self.has("allow-unknown-static-fields") || self.has("allow-unknown-fields");
        flags.unknown.reject_dynamic = self.has("reject-unknown-dynamic-fields");
        flags.unknown.ignore_dynamic = self.has("ignore-unknown-dynamic-fields");
        self.drain(&mut flags)?;
        flags.hot_restart.base_id = self.number("base-id").unwrap_or_default();
        flags.hot_restart.base_id_path = self.path("base-id-path");
        flags.hot_restart.epoch = self.number("restart-epoch").unwrap_or_default();
        if let Some(time) = self.seconds("parent-shutdown-time-s") {
            flags.hot_restart.parent_shutdown_time = time;
        }
        flags.hot_restart.is_disabled = self.has("disable-hot-restart");
        let version = self.choice(
            "local-address-ip-version",
            "unknown IP address version",
            ip_version,
        )?;
        flags.local_address_ip_version = version.unwrap_or_default();
        flags.stats_tags = self.stats_tags()?;
        flags.disable_extensions = split(&self.owned("disable-extensions"));
        flags.cpuset_threads = self.has("cpuset-threads");
        if self.has("internal-listener") {
            flags.internal_listeners = self.all("internal-listener").to_vec();
        }
        flags.snapshot.dir = self.path("snapshot-dir");
        let secrets = self.choice("snapshot-secrets", "unknown snapshot-secrets", snapshot_secrets)?;
        flags.snapshot.secrets = secrets.unwrap_or_default();
        flags.snapshot.max_age = self.time("snapshot-max-age").unwrap_or(flags.snapshot.max_age);
        flags.autoscaler = self.choice("autoscaler-address", "invalid autoscaler-address", websocket)?;
        flags.guard_empty = self.has("guard-empty");
        Ok(flags)
    }

    fn log(&self, flags: &mut Flags) -> Result<(), UsageError> {
        let level = self.choice("log-level", "invalid log level specified", LogLevel::of)?;
        flags.log.level = level.unwrap_or_default();
        for component in split(&self.owned("component-log-level")) {
            let (name, level) = component
                .split_once(':')
                .ok_or_else(|| UsageError("error: component log level not correctly specified".to_owned()))?;
            let level = LogLevel::of(level)
                .ok_or_else(|| UsageError(format!("error: invalid log level specified '{level}'")))?;
            flags.log.components.push((name.to_owned(), level));
        }
        flags.log.path = self.path("log-path");
        flags.log.format = self.text("log-format").map(str::to_owned);
        flags.log.escaped = self.has("log-format-escaped");
        flags.log.flush_interval = self
            .number("file-flush-interval-msec")
            .map(|milliseconds| Duration::from_millis(milliseconds.into()));
        flags.log.flush_kib = self.number("file-flush-min-size-kb");
        Ok(())
    }

    fn drain(&self, flags: &mut Flags) -> Result<(), UsageError> {
        let strategy = self.choice("drain-strategy", "unknown drain-strategy", drain_strategy)?;
        flags.drain.strategy = strategy.unwrap_or_default();
        flags.drain.time = self.seconds("drain-time-s").unwrap_or(flags.drain.time);
        let by_default = if is_envoy(&flags.program) {
            Duration::ZERO
        } else {
            flags.drain.time
        };
        flags.drain.on_sigterm = self.time("drain-on-sigterm").unwrap_or(by_default);
        Ok(())
    }

    fn stats_tags(&self) -> Result<Vec<(String, String)>, UsageError> {
        let mut tags: Vec<(String, String)> = Vec::new();
        for tag in self.all("stats-tag") {
            let malformed = || {
                UsageError(format!(
                    "error: misformatted stats-tag '{tag}' (is TAG:VALUE expected?)"
                ))
            };
            let (name, value) = tag.split_once(':').ok_or_else(malformed)?;
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !is_name || value.contains('.') || tags.iter().any(|(known, _)| known == name) {
                return Err(malformed());
            }
            tags.push((name.to_owned(), value.to_owned()));
        }
        Ok(tags)
    }

    /// One of a few words.
    fn choice<T>(
        &self,
        name: &str,
        refusal: &str,
        of: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, UsageError> {
        let Some(word) = self.text(name) else {
            return Ok(None);
        };
        of(word)
            .map(Some)
            .ok_or_else(|| UsageError(format!("error: {refusal} '{word}'")))
    }
}

/// What of a value is wrong whatever the other flags say.
fn check(flag: &Flag, value: &str) -> Result<(), String> {
    let is_sound = match flag.takes {
        Takes::Number => value.parse::<u32>().is_ok(),
        Takes::Time => time(value).is_some(),
        Takes::Nothing | Takes::Text | Takes::Texts => true,
    };
    let refused = || format!("Couldn't read argument value from string '{value}'");
    is_sound.then_some(()).ok_or_else(refused)
}

fn mode(word: &str) -> Option<Mode> {
    match word {
        "serve" => Some(Mode::Serve),
        "validate" => Some(Mode::Validate),
        _ => None,
    }
}

fn ip_version(word: &str) -> Option<IpVersion> {
    match word {
        "v4" => Some(IpVersion::V4),
        "v6" => Some(IpVersion::V6),
        _ => None,
    }
}

fn drain_strategy(word: &str) -> Option<DrainStrategy> {
    match word {
        "gradual" => Some(DrainStrategy::Gradual),
        "immediate" => Some(DrainStrategy::Immediate),
        _ => None,
    }
}

fn snapshot_secrets(word: &str) -> Option<SnapshotSecrets> {
    match word {
        "keep" => Some(SnapshotSecrets::Keep),
        "omit" => Some(SnapshotSecrets::Omit),
        _ => None,
    }
}

/// The URL of a WebSocket without TLS, or the host and port of one.
fn websocket(word: &str) -> Option<Uri> {
    let url = match word.split_once("://") {
        Some(("ws", _)) => word.to_owned(),
        Some(_) => return None,
        None => format!("ws://{word}/"),
    };
    let url: Uri = url.parse().ok()?;
    let authority = url.authority().filter(|authority| !authority.host().is_empty());
    authority.is_some().then_some(url)
}

fn split(list: &str) -> Vec<String> {
    list.split(',')
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Seconds, or a number with its unit.
fn time(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().ok()?;
    let number = u64::from(number);
    Some(match unit {
        "ms" => Duration::from_millis(number),
        "" | "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number * 60),
        "h" => Duration::from_secs(number * 3600),
        _ => return None,
    })
}
