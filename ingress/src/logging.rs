//! Where the program's own lines go, and how many of them.

use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, reload};

use crate::admin::{Directives, Level, Loggers};
use crate::flags::{LogFlags, LogLevel};

/// Writes them to standard error from now on; says who changes how many.
#[must_use]
pub fn install(flags: &LogFlags) -> Arc<dyn Loggers> {
    let (filter, handle) = reload::Layer::new(EnvFilter::new("info"));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    // Whoever has installed another already has the lines.
    _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    let directives = Directives::new(level(flags.level), move |directives| {
        match EnvFilter::try_new(directives) {
            Ok(filter) => {
                if let Err(error) = handle.reload(filter) {
                    tracing::warn!(%error, "what is logged stays as it was");
                }
            }
            Err(error) => tracing::warn!(%error, "what is logged stays as it was"),
        }
    });
    let mut levels = directives.levels();
    for (name, to) in &flags.components {
        match levels.get_mut(name.as_str()) {
            Some(of) => *of = level(*to),
            None => tracing::warn!(name, "there is no logger of this name"),
        }
    }
    directives.set(&levels);
    Arc::new(directives)
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Trace => Level::Trace,
        LogLevel::Debug => Level::Debug,
        LogLevel::Info => Level::Info,
        LogLevel::Warning => Level::Warning,
        LogLevel::Error => Level::Error,
        LogLevel::Critical => Level::Critical,
        LogLevel::Off => Level::Off,
    }
}
