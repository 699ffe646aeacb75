//! `tidegate up`: its flags, its exit codes.

use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgMatches, Args, Command};
use tidegate_knative::autoscaling::{AutoscalerConfig, KEYS};
use tidegate_knative::go_duration;
use tidegate_local::address::{InvalidAddress, ListenAddress};
use tidegate_local::launch::RunMapping;
use tidegate_local::limits;
use tidegate_local::output::Terminal;
use tidegate_local::up::{self, Metrics, Settings, UpError};

/// What `tidegate up --help` says about exit codes.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    stopped as asked
  1    failed while running
  2    the command line is wrong
  65   a file holds something that is wrong; standard error says what and where
  69   a port is taken
  130  ended at once by a second Ctrl-C";

const USAGE: u8 = 2;
const AUTOSCALING: &str = "Autoscaling (config-autoscaler)";
/// `up` starts from zero; Knative itself starts a replica to see that it can.
const FROM_ZERO: [(&str, &str); 2] = [("allow-zero-initial-scale", "true"), ("initial-scale", "0")];

/// The arguments of `tidegate up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Files and directories with Knative objects in YAML or JSON; they are watched for changes.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Where the services answer: a port, localhost:PORT, an address, or :PORT for all interfaces.
    #[arg(
        long,
        default_value = "localhost:8080",
        env = "TIDEGATE_HTTP",
        value_name = "ADDRESS"
    )]
    http: ListenAddress,
    /// Where /metrics, /ready and /services answer.
    #[arg(
        long,
        value_parser = one_address,
        default_value = "127.0.0.1:9901",
        env = "TIDEGATE_ADMIN",
        value_name = "ADDRESS"
    )]
    admin: SocketAddr,
    /// The domain of the services' URLs: NAME.NAMESPACE.DOMAIN. `127.0.0.1.sslip.io` works where
    /// `*.localhost` does not resolve.
    #[arg(long, default_value = "localhost", env = "TIDEGATE_DOMAIN")]
    domain: String,
    /// Where revisions and generations are kept between runs. Default: the user's state directory, keyed by
    /// the paths given.
    #[arg(long, env = "TIDEGATE_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Runs containers of this image as a local process instead. May be given more than once.
    #[arg(long, value_name = "IMAGE=COMMAND")]
    run: Vec<RunMapping>,
    /// How long requests under way may take after Ctrl-C or SIGTERM.
    #[arg(long, default_value = "10s", value_parser = duration, value_name = "DURATION")]
    drain_timeout: Duration,
    /// How many threads carry traffic. Default: one for each core.
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Keys of `config-autoscaler` with their values.
    #[arg(skip)]
    pub(crate) autoscaler: Vec<(String, String)>,
}

impl UpArgs {
    fn settings(self) -> Result<Settings, String> {
        let pairs = FROM_ZERO.iter().map(|(key, value)| (*key, *value));
        let pairs = pairs.chain(
            self.autoscaler
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        );
        let autoscaler = AutoscalerConfig::from_pairs(pairs).map_err(|errors| {
            errors
                .iter()
                .map(|error| format!("--{error}"))
                .collect::<Vec<_>>()
                .join("\n       ")
        })?;
        Ok(Settings {
            paths: self.paths,
            http: self.http,
            admin: self.admin,
            domain: self.domain,
            state_dir: self.state_dir,
            run: self.run,
            drain_timeout: self.drain_timeout,
            workers: self
                .workers
                .unwrap_or_else(tidegate_proxy::process::default_workers),
            autoscaler,
        })
    }
}

/// Makes every key of `config-autoscaler` a flag of the same name.
pub(crate) fn with_autoscaler_flags(command: Command) -> Command {
    command.args(KEYS.iter().map(|key| {
        let default = FROM_ZERO
            .iter()
            .find(|(name, _)| *name == key.name)
            .map_or(key.default, |(_, value)| value);
        Arg::new(key.name)
            .long(key.name)
            .value_name("VALUE")
            .help(format!("{} [default: {default}]", key.help))
            .help_heading(AUTOSCALING)
    }))
}

/// The values of the flags that [`with_autoscaler_flags`] added, where they were given.
pub(crate) fn autoscaler_flags(matches: &ArgMatches) -> Vec<(String, String)> {
    let given = KEYS.iter().filter_map(|key| {
        let value = matches.get_one::<String>(key.name)?;
        Some((key.name.to_owned(), value.clone()))
    });
    given.collect()
}

/// As `--http` reads it; of two addresses the first.
fn one_address(text: &str) -> Result<SocketAddr, String> {
    let address: ListenAddress = text.parse().map_err(|error: InvalidAddress| error.to_string())?;
    address
        .addresses()
        .first()
        .copied()
        .ok_or_else(|| "there is no address".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    go_duration::parse(text).map_err(|error| error.to_string())
}

/// Runs `up` to its end.
pub(crate) fn main(args: UpArgs) -> ExitCode {
    let settings = match args.settings() {
        Ok(settings) => settings,
        Err(error) => return usage_error(&error),
    };
    let terminal = match Terminal::start(std::io::stdout()) {
        Ok(terminal) => terminal,
        Err(error) => return failed(&UpError::Run(error)),
    };
    let metrics = match metrics() {
        Ok(metrics) => metrics,
        Err(error) => return usage_error(&error),
    };
    let ended = up::run(settings, &terminal, metrics);
    let _written = terminal.close(limits::TERMINAL_FLUSH);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Installs the recorder of metrics; has to come before anything is measured.
fn metrics() -> anyhow::Result<Metrics> {
    use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
    use tidegate_activator::names as activator;
    use tidegate_proxy::observe::metrics as proxy;
    let full = |name: &str| Matcher::Full(name.to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(full(proxy::REQUEST_SECONDS), proxy::REQUEST_SECONDS_BUCKETS)?
        .set_buckets_for_metric(full(activator::WAIT_SECONDS), activator::WAIT_SECONDS_BUCKETS)?;
    let handle = recorder.install_recorder()?;
    proxy::describe();
    activator::describe();
    let page = handle.clone();
    Ok(Metrics {
        render: Box::new(move || page.render()),
        upkeep: Box::new(move || handle.run_upkeep()),
    })
}

fn failed(error: &UpError) -> ExitCode {
    report(&error);
    ExitCode::from(error.exit_code())
}

/// A command line that clap could not know to be wrong.
pub(crate) fn usage_error(error: &dyn Display) -> ExitCode {
    report(error);
    ExitCode::from(USAGE)
}

#[expect(clippy::print_stderr, reason = "the last word of a command line program")]
fn report(error: &dyn Display) {
    eprintln!("error: {error}");
}
