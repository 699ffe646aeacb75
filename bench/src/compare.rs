//! What does a request cost through us, beside the peers and beside no proxy at all?
//!
//! Each class of load goes to every subject in turn, again and again, so that what else the machine does hits all alike.
//! The proxy has a core of its own; the load generator and the backend share another.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;

use crate::child::Process;
use crate::load::{Class, MEASURING, Report};
use crate::peers::{Peer, Running};
use crate::proc;

mod table;

const PROXY_CORE: usize = 0;
const OTHER_CORE: usize = 1;
const WARM_UP: Duration = Duration::from_millis(500);

/// What to compare, and how thoroughly.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Only these classes of load; all by default.
    #[arg(long = "class", value_enum)]
    classes: Vec<Class>,
    /// A first impression: 3 repeats of a second.
    #[arg(long)]
    quick: bool,
    /// How often each subject is measured in each class [default: 10, quick: 3].
    #[arg(long)]
    repeats: Option<usize>,
    /// How long each measurement counts, in seconds [default: 3, quick: 1].
    #[arg(long)]
    seconds: Option<u64>,
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Sample {
    report: Report,
    /// Of the proxy's processes; none without a proxy.
    cpu: Option<Duration>,
}

/// Something that takes the load.
struct Subject {
    name: &'static str,
    h1: SocketAddr,
    h2: Option<SocketAddr>,
    running: Option<Running>,
    samples: Vec<Sample>,
}

/// Compares, and prints a table for each class.
///
/// # Errors
/// When a subject does not come up, or the load generator fails.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let (repeats, seconds) = if options.quick { (3, 1) } else { (10, 3) };
    let repeats = options.repeats.unwrap_or(repeats);
    let count = Duration::from_secs(options.seconds.unwrap_or(seconds));
    let classes = if options.classes.is_empty() {
        Class::ALL.to_vec()
    } else {
        options.classes
    };
    for class in classes {
        let subjects = compare(class, repeats, count)
            .await
            .with_context(|| format!("class {class}"))?;
        std::io::stdout().write_all(table::render(class, &subjects).as_bytes())?;
    }
    Ok(())
}

async fn compare(class: Class, repeats: usize, count: Duration) -> anyhow::Result<Vec<Subject>> {
    let other_core = if class.on_one_core() {
        PROXY_CORE
    } else {
        OTHER_CORE
    };
    let mut backend = Process::own(["backend"], Some(other_core))?;
    let address = backend.address().await?;
    let mut subjects = subjects(address).await?;
    subjects.retain(|subject| !class.is_h2() || subject.h2.is_some());
    for _ in 0..repeats {
        for subject in &mut subjects {
            let sample = measure(class, subject, count, other_core).await;
            subject.samples.push(sample.with_context(|| subject.name)?);
        }
    }
    Ok(subjects)
}

async fn subjects(backend: SocketAddr) -> anyhow::Result<Vec<Subject>> {
    let direct = Subject {
        name: "direct",
        h1: backend,
        h2: None,
        running: None,
        samples: Vec::new(),
    };
    let mut subjects = vec![direct];
    // The second has the activator and the sidecar in its path, as `tidegate up` does.
    for (name, chain) in [("tidegate", "plain"), ("revision", "revision")] {
        subjects.push(Subject::proxy(name, tidegate(backend, chain).await?));
    }
    for peer in Peer::ALL {
        match peer.find() {
            Some(program) => {
                let running = peer.start(&program, backend, PROXY_CORE).await?;
                subjects.push(Subject::proxy(peer.name(), running));
            }
            None => writeln!(
                std::io::stdout(),
                "not run: {0}, because no program {0} was found",
                peer.name()
            )?,
        }
    }
    Ok(subjects)
}

async fn tidegate(backend: SocketAddr, chain: &str) -> anyhow::Result<Running> {
    let backend = backend.to_string();
    let arguments = ["serve-tidegate", "--backend", &backend, "--chain", chain];
    let mut process = Process::own(arguments, Some(PROXY_CORE))?;
    let address = process.address().await?;
    Ok(Running {
        process,
        h1: address,
        h2: address,
        folder: None,
    })
}

async fn measure(class: Class, subject: &Subject, count: Duration, core: usize) -> anyhow::Result<Sample> {
    let target = if class.is_h2() {
        subject.h2.context("a port for HTTP/2")?
    } else {
        subject.h1
    };
    let arguments = [
        "load".to_owned(),
        format!("--class={class}"),
        format!("--target={target}"),
        format!("--warm-up-ms={}", WARM_UP.as_millis()),
        format!("--count-ms={}", count.as_millis()),
    ];
    let mut generator = Process::own(arguments, Some(core))?;
    let line = generator.line().await?;
    anyhow::ensure!(line == MEASURING, "the load generator says '{line}'");
    let before = subject.cpu_time()?;
    let report = generator.line().await?.parse()?;
    let after = subject.cpu_time()?;
    let cpu = after
        .zip(before)
        .map(|(after, before)| after.saturating_sub(before));
    Ok(Sample { report, cpu })
}

impl Subject {
    fn proxy(name: &'static str, running: Running) -> Self {
        Self {
            name,
            h1: running.h1,
            h2: Some(running.h2),
            running: Some(running),
            samples: Vec::new(),
        }
    }

    fn cpu_time(&self) -> anyhow::Result<Option<Duration>> {
        let id = self
            .running
            .as_ref()
            .map(|running| running.process.id())
            .transpose()?;
        Ok(id.map(proc::cpu_time).transpose()?)
    }
}
