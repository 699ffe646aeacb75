//! `/logging`: what is logged, and how much of it?

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;

use super::Admin;
use super::answer::Answer;
use super::parameters::Parameters;

/// How much is logged, in Envoy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    Trace,
    /// What helps to find faults.
    Debug,
    /// What happens.
    Info,
    /// What ought to be looked at.
    Warning,
    /// What failed.
    Error,
    /// As [`Level::Error`]: there is nothing worse here.
    Critical,
    /// Nothing.
    Off,
}

/// The levels of all loggers, by name.
pub type Levels = BTreeMap<&'static str, Level>;

/// Who changes what is logged.
pub trait Loggers: Send + Sync {
    /// From now on each logger logs this much.
    fn set(&self, levels: &Levels);

    /// How much each logger logs now.
    fn levels(&self) -> Levels;
}

impl Level {
    /// All of them, as usage texts list them.
    pub const ALL: [Self; 7] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Off,
    ];

    /// As it is written.
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

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = if text == "warn" { "warning" } else { text };
        let known = Self::ALL.into_iter().find(|level| level.name() == text);
        known.ok_or(())
    }
}

/// Without parameters it lists; with one it changes.
pub(super) fn change(admin: &Admin, parameters: &Parameters) -> Answer {
    let logging = &admin.settings().logging;
    let mut levels = logging.levels();
    match changed(&mut levels, parameters) {
        Ok(false) => Answer::ok(list(&levels)),
        Ok(true) => {
            logging.set(&levels);
            Answer::ok(list(&levels))
        }
        Err(why) => {
            let text = format!("error: {why}\n\n{USAGE}\n{}", list(&logging.levels()));
            Answer::text(StatusCode::BAD_REQUEST, text)
        }
    }
}

/// Says whether anything was asked for.
fn changed(levels: &mut Levels, parameters: &Parameters) -> Result<bool, &'static str> {
    let mut all = parameters.iter();
    let Some((name, value)) = all.next() else {
        return Ok(false);
    };
    if all.next().is_some() {
        return Err("invalid number of parameters");
    }
    let level = |text: &str| text.parse::<Level>().map_err(|()| "unknown logger level");
    match name {
        "level" => {
            let to = level(value)?;
            levels.values_mut().for_each(|level| *level = to);
        }
        "group" => return Err("group parameter requires fine-grain logging to be enabled"),
        "paths" => {
            for pair in value.split(',').filter(|pair| !pair.is_empty()) {
                let (name, text) = pair
                    .split_once(':')
                    .ok_or("empty logger name or empty logger level")?;
                set(levels, name, level(text)?)?;
            }
        }
        name => set(levels, name, level(value)?)?,
    }
    Ok(true)
}

fn set(levels: &mut Levels, name: &str, to: Level) -> Result<(), &'static str> {
    *levels.get_mut(name).ok_or("unknown logger name")? = to;
    Ok(())
}

fn list(levels: &Levels) -> String {
    let line = |(name, level): (&&str, &Level)| format!("  {name}: {}\n", level.name());
    let lines: String = levels.iter().map(line).collect();
    format!("active loggers:\n{lines}\n")
}

const USAGE: &str = "usage: /logging?<name>=<level> (change single level)
usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)
usage: /logging?level=<level> (change all levels)
usage: /logging?group=<group_name>:<level> (change group of loggers)
levels: trace debug info warning error critical off ";

/// Envoy's loggers that something here logs for, and the targets of `tracing` that belong to each.
pub const LOGGERS: &[(&str, &[&str])] = &[
    ("admin", &["tidegate_ingress::admin"]),
    ("client", &["tidegate_proxy::pool"]),
    ("config", &["tidegate_xds", "tidegate_ingress::bootstrap"]),
    ("conn_handler", &["tidegate_proxy::listener"]),
    (
        "connection",
        &["tidegate_proxy::connection", "tidegate_proxy::tls"],
    ),
    ("dns", &["tidegate_proxy::cluster::discovery"]),
    ("filter", &["tidegate_proxy::filter"]),
    ("hc", &["tidegate_proxy::cluster::health"]),
    ("http", &["tidegate_proxy::request", "tidegate_proxy::normalize"]),
    ("http2", &["tidegate_proxy::connection::h2", "h2"]),
    ("main", &["tidegate_ingress", "tidegate_proxy"]),
    ("misc", &["hyper", "rustls", "tonic", "tower"]),
    ("pool", &["tidegate_proxy::exchange"]),
    ("router", &["tidegate_proxy::attempt"]),
    ("secret", &["tidegate_xds::translate::secret"]),
    ("tracing", &["tidegate_proxy::observe::trace"]),
    ("upstream", &["tidegate_proxy::cluster"]),
];

/// Loggers whose levels are handed on as one set of directives, such as `tracing_subscriber`'s filter takes.
pub struct Directives {
    levels: Mutex<Levels>,
    apply: Box<dyn Fn(&str) + Send + Sync>,
}

impl Directives {
    /// All loggers at this level. `apply` is given `target=level,…`, at once and with each change.
    pub fn new(level: Level, apply: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let levels = LOGGERS.iter().map(|(name, _)| (*name, level)).collect();
        let directives = Self {
            levels: Mutex::new(levels),
            apply: Box::new(apply),
        };
        let levels = directives.levels();
        (directives.apply)(&written(&levels));
        directives
    }

    fn lock(&self) -> MutexGuard<'_, Levels> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loggers for Directives {
    fn set(&self, levels: &Levels) {
        self.lock().clone_from(levels);
        (self.apply)(&written(levels));
    }

    fn levels(&self) -> Levels {
        self.lock().clone()
    }
}

impl std::fmt::Debug for Directives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directives").finish_non_exhaustive()
    }
}

/// What belongs to no logger goes by `misc`.
fn written(levels: &Levels) -> String {
    let level = |name: &str| match levels.get(name).copied().unwrap_or(Level::Info) {
        Level::Warning => "warn",
        Level::Critical => "error",
        level => level.name(),
    };
    let mut directives = vec![level("misc").to_owned()];
    for (name, targets) in LOGGERS {
        directives.extend(targets.iter().map(|target| format!("{target}={}", level(name))));
    }
    directives.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed_by(query: &str) -> Result<String, &'static str> {
        let mut levels: Levels = LOGGERS.iter().map(|(name, _)| (*name, Level::Info)).collect();
        changed(&mut levels, &Parameters::read(Some(query)))?;
        let differ = levels.iter().filter(|(_, level)| **level != Level::Info);
        Ok(differ
            .map(|(name, level)| format!("{name}:{} ", level.name()))
            .collect())
    }

    #[test]
    fn levels_change_one_by_one_several_at_once_or_all() {
        let check = |query, expected: Result<&str, _>| {
            assert_eq!(changed_by(query), expected.map(str::to_owned), "{query}");
        };
        check("", Ok(""));
        check("http=trace", Ok("http:trace "));
        check(
            "paths=http:debug,upstream:warn",
            Ok("http:debug upstream:warning "),
        );
        check("paths=", Ok(""));
        check("level=bad", Err("unknown logger level"));
        check("nope=info", Err("unknown logger name"));
        check("paths=zzz:info", Err("unknown logger name"));
        check("level=info&http=info", Err("invalid number of parameters"));
        check(
            "group=http:info",
            Err("group parameter requires fine-grain logging to be enabled"),
        );
    }

    #[test]
    fn every_level_becomes_a_directive_of_each_target() {
        use std::sync::Arc;
        let heard = Arc::new(Mutex::new(String::new()));
        let told = Arc::clone(&heard);
        let loggers = Directives::new(Level::Critical, move |text| {
            *told.lock().unwrap() = text.to_owned();
        });
        assert!(
            heard
                .lock()
                .unwrap()
                .starts_with("error,tidegate_ingress::admin=error,")
        );
        let mut levels = loggers.levels();
        levels.insert("upstream", Level::Trace);
        loggers.set(&levels);
        assert!(heard.lock().unwrap().ends_with("tidegate_proxy::cluster=trace"));
    }
}
