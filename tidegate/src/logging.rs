//! Where log lines go: standard error, so that standard output stays the services' and events' own.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging by a filter such as `warn` or `info,tidegate_proxy=debug`.
pub(crate) fn init(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| anyhow::anyhow!("invalid value '{filter}' for '--log <FILTER>': {error}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init()
        .map_err(|error| anyhow::anyhow!("logging could not start: {error}"))
}
