//! `tidegate explain`: its flags, its exit codes.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use tidegate_ingress::explain::{Configuration, Question, explain};
use tidegate_ingress::resources::Resources;

use crate::inspect::{self, Failure, Output};

/// What `tidegate explain --help` says about exit codes.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    the request gets to an endpoint, or to an answer of its route
  1    nothing takes it; what the client gets instead is said
  2    the command line is wrong
  65   a configuration is wrong; standard error says what and where
  69   the running program cannot be asked";

const NOT_ROUTED: u8 = 1;

/// The arguments of `tidegate explain`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("configuration").required(true))]
pub(crate) struct ExplainArgs {
    /// A bootstrap, a configuration dump in JSON, or a file of resources
    #[arg(short, long, value_name = "FILE", group = "configuration")]
    config: Option<PathBuf>,

    /// The admin endpoints of a running ingress or Envoy, such as localhost:9901
    #[arg(long, value_name = "URL", group = "configuration")]
    admin: Option<String>,

    /// The method
    #[arg(value_name = "METHOD")]
    method: String,

    /// The URL that a client asks for
    #[arg(value_name = "URL")]
    url: String,

    /// A header field; may be given more than once
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// The listener that the client connects to. Default: chosen by scheme, port and host
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,

    /// The address of the client
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,

    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Runs `explain`.
pub(crate) fn main(args: &ExplainArgs) -> ExitCode {
    inspect::end(run(args))
}

/// What is printed, and the exit code.
fn run(args: &ExplainArgs) -> Result<(String, u8), Failure> {
    let usage = |error: &dyn std::error::Error| Failure::Usage(error.to_string());
    let mut question =
        Question::new(&args.method, &args.url, &args.headers).map_err(|error| usage(&error))?;
    question.listener.clone_from(&args.listener);
    // Which port clients have, they do not choose.
    question.client = args.client.map(|ip| SocketAddr::new(ip, 0));
    let resources = match (&args.config, &args.admin) {
        (Some(file), _) => Resources::of_file(file)?,
        (None, Some(admin)) => inspect::ask(admin)?,
        (None, None) => return Err(Failure::Usage("there is no configuration".to_owned())),
    };
    let configuration = Configuration::read(&resources)?;
    let answer = explain(&configuration, &question).map_err(|error| usage(&error))?;
    let code = if answer.routed { 0 } else { NOT_ROUTED };
    Ok((inspect::print(&answer.page, args.output), code))
}

#[cfg(test)]
mod tests;
