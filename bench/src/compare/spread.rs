//! Do few connections that stay keep all workers busy? Four of HTTP/2, two workers, again and again.
//!
//! The kernel spreads connections by hash: one of eight rounds it gives one worker all four, and of eight rounds four times three.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use super::sample::Sample;
use super::subject::{Ground, Subject};
use crate::fixture;
use crate::load::Class;
use crate::peers::Peer;
use crate::proc;
use crate::statistics::median;

const WORKERS: usize = 2;
/// Where the load and the backend run; the workers run where the system puts them.
const OTHER_CORE: usize = 1;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How often four connections are made anew.
    #[arg(long, default_value_t = 20)]
    repeats: usize,
    /// How long each round counts, in milliseconds.
    #[arg(long, default_value_t = 500)]
    milliseconds: u64,
    /// Our program. Default: `tidegate-ingress` beside this one.
    #[arg(long)]
    ingress: Option<PathBuf>,
}

/// Measures, and prints what part of the work the busier worker had.
///
/// # Errors
/// When the ingress does not come up, or loses a request.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let mut ground = Ground::prepare(fixture::HOSTS, OTHER_CORE).await?;
    ground.site.workers = WORKERS;
    let program = options.ingress.or_else(|| Peer::Tidegate.find());
    let program = program.context("there is no tidegate-ingress beside this program")?;
    let running = Peer::Tidegate.start(&program, &ground.site, None).await?;
    let subject = Subject::proxy(Peer::Tidegate.name(), running)?;
    let id = subject.id()?.context("it runs")?;
    let count = Duration::from_millis(options.milliseconds);
    let mut busier = Vec::new();
    for _ in 0..options.repeats {
        let before = proc::worker_cpu_times(id)?;
        let sample = Sample::take(&mut ground, &subject, Class::H2Few, count).await?;
        anyhow::ensure!(
            sample.report.errors == 0,
            "{} requests failed",
            sample.report.errors
        );
        let after = proc::worker_cpu_times(id)?;
        let spent = after
            .iter()
            .zip(before)
            .map(|(after, before)| after.saturating_sub(before));
        let spent: Vec<f64> = spent.map(|spent| spent.as_secs_f64()).collect();
        anyhow::ensure!(spent.len() == WORKERS, "{} workers carry traffic", spent.len());
        busier.push(spent.iter().copied().fold(0.0, f64::max) / spent.iter().sum::<f64>());
    }
    let worst = busier.iter().copied().fold(0.0, f64::max);
    writeln!(
        std::io::stdout(),
        "{} rounds of 4 connections on {WORKERS} workers: the busier one had {:.0} % of the work (median), {:.0} % at worst",
        options.repeats,
        median(busier) * 100.0,
        worst * 100.0
    )?;
    Ok(())
}
