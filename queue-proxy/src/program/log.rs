//! What does the sidecar say about itself? JSON lines on standard error, as Knative's programs write them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

mod events;

pub use events::follow;

/// Where lines go. Clones write to the same place.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What every line ends with: which revision and pod it is about.
    about: String,
    lowest: Level,
    is_silent: bool,
    lines: AtomicUsize,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever looks for a fault.
    Debug,
    /// What it does.
    Info,
    /// What may be wrong.
    Warning,
    /// What is.
    Error,
}

impl Level {
    /// The level of this name, in zap's words; none if it is not one of them.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "debug" => Some(Self::Debug),
            "info" => Some(Self::Info),
            "warn" | "warning" => Some(Self::Warning),
            "error" | "dpanic" | "panic" | "fatal" => Some(Self::Error),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

impl Log {
    /// A log about this revision (`namespace/name`) and pod, from `lowest` on.
    #[must_use]
    pub fn new(revision: &str, pod: &str, lowest: Level) -> Self {
        let (revision, pod) = (quoted(revision), quoted(pod));
        Self::of(Shared {
            about: format!(r#""logger":"queueproxy","knative.dev/key":{revision},"knative.dev/pod":{pod}"#),
            lowest,
            is_silent: false,
            lines: AtomicUsize::new(0),
        })
    }

    /// A log that writes nothing, and counts.
    #[must_use]
    pub fn silent() -> Self {
        Self::of(Shared {
            about: String::new(),
            lowest: Level::Debug,
            is_silent: true,
            lines: AtomicUsize::new(0),
        })
    }

    fn of(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    /// How many lines there were.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.shared.lines.load(Ordering::Relaxed)
    }

    /// Says what it does.
    pub fn info(&self, message: impl std::fmt::Display) {
        self.say(Level::Info, &message.to_string());
    }

    /// Says what is wrong.
    pub fn error(&self, message: impl std::fmt::Display) {
        self.say(Level::Error, &message.to_string());
    }

    /// Writes a line as it is.
    pub fn plain(&self, line: &str) {
        self.write(format!("{line}\n"));
    }

    fn say(&self, level: Level, message: &str) {
        if level < self.shared.lowest {
            return;
        }
        let (severity, message) = (level.name(), quoted(message));
        let (time, about) = (timestamp(SystemTime::now()), &self.shared.about);
        self.write(format!(
            "{{\"severity\":\"{severity}\",\"timestamp\":\"{time}\",{about},\"message\":{message}}}\n"
        ));
    }

    /// In one piece: lines of several threads never mix.
    fn write(&self, line: String) {
        self.shared.lines.fetch_add(1, Ordering::Relaxed);
        if !self.shared.is_silent {
            // Where nobody reads there is nobody to tell.
            drop(io::stderr().lock().write_all(line.as_bytes()));
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A time as RFC 3339 has it, in UTC.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let nanos = since.subsec_nanos();
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{nanos:09}Z")
}

/// The date so many days after 1970 began, by years that begin in March: then a leap day is a year's last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        let check = |seconds, expected| {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        };
        check(0, "1970-01-01T00:00:00.000000000Z");
        check(951_782_399, "2000-02-28T23:59:59.000000000Z");
        check(951_782_400, "2000-02-29T00:00:00.000000000Z");
        check(1_735_689_599, "2024-12-31T23:59:59.000000000Z");
    }

    #[test]
    fn levels_have_the_names_of_zap() {
        assert_eq!(Level::parse("Warn"), Some(Level::Warning));
        assert_eq!(Level::parse("loud"), None);
    }
}
