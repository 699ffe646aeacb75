//! What does a request cost through us, beside the peers, a relay of bytes and no proxy at all?
//!
//! Each class of load goes to every subject in turn, again and again, so that what else the machine does hits all alike.
//! The proxy has a core of its own; the load generator and the backend share another.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use crate::fixture;
use crate::load::Class;
use crate::peers::Peer;
use crate::statistics::median;

mod activator;
mod bars;
mod chart;
mod sample;
mod sidecar;
pub mod spread;
mod subject;
mod table;

use bars::REPEATS_MIN;
use sample::Sample;
use subject::{Ground, Subject};
use table::Figures;

const PROXY_CORE: usize = 0;
const OTHER_CORE: usize = 1;
const WARM_UP: Duration = Duration::from_millis(500);
const QUICK_REPEATS: usize = 2;
/// How often it is measured what ours carries, before half of that is sent.
const HALF_LOAD_REPEATS: usize = 3;

/// What to compare, and how thoroughly.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Only these classes of load; all by default.
    #[arg(long = "class", value_enum)]
    classes: Vec<Class>,
    /// Only these subjects, by their names in the tables; all that are here by default. `direct` is always measured.
    #[arg(long = "subject")]
    subjects: Vec<String>,
    /// A first impression: 2 repeats of half a second.
    #[arg(long)]
    quick: bool,
    /// How often each subject is measured in each class [default: 10, quick: 2].
    #[arg(long)]
    repeats: Option<usize>,
    /// How long each measurement counts, in milliseconds [default: 3000, quick: 500].
    #[arg(long)]
    milliseconds: Option<u64>,
    /// How many hosts the proxies know.
    #[arg(long, default_value_t = fixture::HOSTS)]
    hosts: usize,
    /// All processes on one core in all classes: the latencies then have no wake-ups of other cores in them
    #[arg(long)]
    one_core: bool,
    /// Writes the figures here, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Writes a chart here, as SVG.
    #[arg(long)]
    chart: Option<PathBuf>,
}

/// A class with everything that was measured.
struct Outcome {
    class: Class,
    subjects: Vec<Subject>,
}

/// Compares, prints a table for each class, and writes the figures where they are wanted.
///
/// # Errors
/// When a subject does not come up, the load generator fails, or a file cannot be written.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let (repeats, milliseconds) = if options.quick {
        (QUICK_REPEATS, 500)
    } else {
        (REPEATS_MIN, 3_000)
    };
    let repeats = options.repeats.unwrap_or(repeats);
    let count = Duration::from_millis(options.milliseconds.unwrap_or(milliseconds));
    let classes = match options.classes.as_slice() {
        [] => Class::ALL.to_vec(),
        some => some.to_vec(),
    };
    let mut missing = BTreeSet::new();
    let mut all = Vec::new();
    for class in classes {
        let outcome = compare(&options, class, repeats, count, &mut missing).await;
        let outcome = outcome.with_context(|| format!("class {class}"))?;
        let figures = Figures::of(&outcome);
        std::io::stdout().write_all(figures.render().as_bytes())?;
        all.push(figures);
    }
    if let Some(path) = &options.json {
        let json = serde_json::to_vec_pretty(&all)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &options.chart {
        chart::write(path, &all)?;
    }
    Ok(())
}

async fn compare(
    options: &Options,
    class: Class,
    repeats: usize,
    count: Duration,
    missing: &mut BTreeSet<&'static str>,
) -> anyhow::Result<Outcome> {
    let other_core = if options.one_core || class.on_one_core() {
        PROXY_CORE
    } else {
        OTHER_CORE
    };
    let mut ground = Ground::prepare(options.hosts, other_core).await?;
    let mut subjects = ground.subjects(&options.subjects, missing).await?;
    subjects.retain(|subject| subject.doors.at(class.door()).is_some());
    if class.is_half() {
        ground.per_second = Some(half_load(&mut ground, &subjects, count).await?);
    }
    for _ in 0..repeats {
        for subject in &mut subjects {
            let sample = Sample::take(&mut ground, subject, class, count).await;
            let sample = sample.with_context(|| subject.name)?;
            subject.samples.push(sample);
        }
    }
    for running in subjects.iter_mut().filter_map(|subject| subject.running.as_mut()) {
        running.process.end().await?;
    }
    Ok(Outcome { class, subjects })
}

/// Half of the requests a second that ours carries when each connection sends one after the other.
async fn half_load(ground: &mut Ground, subjects: &[Subject], count: Duration) -> anyhow::Result<u32> {
    let ours = subjects
        .iter()
        .find(|subject| subject.name == Peer::Tidegate.name());
    let ours = ours.context("half of what ours carries cannot be known without it")?;
    let mut carried = Vec::new();
    for _ in 0..HALF_LOAD_REPEATS {
        let sample = Sample::take(ground, ours, Class::H1, count).await?;
        carried.push(sample.per_second());
    }
    Ok((median(carried) / 2.0) as u32)
}
