//! Where the program's own lines go, and how many of them.

use tidegate_ingress::flags::{LogFlags, LogLevel};
use tracing_subscriber::filter::LevelFilter;

/// Writes them to standard error from now on.
pub(crate) fn install(flags: &LogFlags) {
    let level = match flags.level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Critical => LevelFilter::ERROR,
        LogLevel::Off => LevelFilter::OFF,
    };
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_ansi(false);
    // A test has installed another already; then that one has the lines.
    _ = lines.try_init();
}
