//! Do requests feel that configuration comes? The same load with changes that are pushed all the time and without, in turn.
//!
//! The ingress knows many services, and one change of one of them comes each tenth of a second, over ADS. Its worker and its
//! control threads share a core, the latter with less of it. The load and the backend have the other; the control plane has
//! what they leave of it: what is asked for is what the ingress does to requests, not the control plane to the load. Rounds
//! alternate, so that what else the machine does hits both kinds alike.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use tidegate_testkit::kourier::{Ports, Service};
use tidegate_xds::resource::Kind;
use tidegate_xds::server::{Resources, Server};
use tokio::sync::watch;

use super::subject::{Program, Subject, Transport};
use super::{DEADLINE, Plane, client};
use crate::ends::Ends;
use crate::fixture;
use crate::load::{Class, Plan, Report};
use crate::proc;
use crate::statistics::{Estimate, estimate};

mod control;

use control::Control;

const PROXY_CORE: usize = 0;
const OTHER_CORE: usize = 1;
const WARM_UP_MS: u64 = 500;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Knative Services, each with one revision of one pod.
    #[arg(long, default_value_t = 10_000)]
    services: usize,
    /// The time between two changes, in milliseconds.
    #[arg(long, default_value_t = 100)]
    every_ms: u64,
    /// The load.
    #[arg(long, value_enum, default_value_t = Class::H1Paced)]
    class: Class,
    /// How many rounds of each kind.
    #[arg(long, default_value_t = 10)]
    repeats: usize,
    /// How long each round counts, in milliseconds.
    #[arg(long, default_value_t = 3_000)]
    milliseconds: u64,
    /// How much the threads that are no workers step back, as nice(1) counts it.
    #[arg(long, default_value_t = 10)]
    nice: i32,
    /// Our program. Default: `tidegate-ingress` beside this one.
    #[arg(long)]
    ingress: Option<PathBuf>,
}

/// One kind of round.
#[derive(Default)]
struct Rounds {
    reports: Vec<Report>,
    changes: usize,
}

/// Measures, and prints both kinds and whether the tail with changes is within that without.
///
/// # Errors
/// When the ingress does not come up, does not show what it was given, or loses a request.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let path = match options.ingress.clone() {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("tidegate-ingress"),
    };
    for transport in Transport::ALL {
        let (quiet, pushed) = measure(&options, path.clone(), transport).await?;
        let mut out = std::io::stdout();
        writeln!(
            out,
            "\n{} services, {transport}, load {}",
            options.services, options.class
        )?;
        quiet.print(&mut out, "no changes")?;
        pushed.print(&mut out, &format!("a change each {} ms", options.every_ms))?;
        let (quiet, pushed) = (quiet.estimate(p99)?, pushed.estimate(p99)?);
        let verdict = if pushed.low <= quiet.high { "met" } else { "MISSED" };
        writeln!(out, "p99 with changes within the interval without: {verdict}")?;
    }
    Ok(())
}

async fn measure(options: &Options, path: PathBuf, transport: Transport) -> anyhow::Result<(Rounds, Rounds)> {
    let mut ends = Ends::start(OTHER_CORE).await?;
    // The second port stands for another pod of a service that nobody asks.
    let backends = [ends.backend, ends.grpc_backend];
    let ports = Ports::free();
    let (publish, resources) = watch::channel(Arc::new(Resources::default()));
    let control = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    control.set_nonblocking(true)?;
    let mut subject = Subject::new(Program::Tidegate, path, transport, control.local_addr()?)?;
    let plane = Plane {
        services: services(options.services, backends[0])?,
        ports,
        publish,
        backends,
    };
    plane.publish_all();
    let server = Server::new(resources);
    let control = Control::start(control, Arc::clone(&server), plane, options)?;
    proc::pin_to(PROXY_CORE)?;
    subject.start()?;
    proc::pin_to(OTHER_CORE)?;
    // Hosts have their names within the cluster.
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.internal));
    client::seen(target, &fixture::host(fixture::ASKED), "", DEADLINE).await?;
    proc::settled_resident_bytes(subject.id()?).await?;
    proc::let_workers_go_first(subject.id()?, options.nice)?;

    let (mut quiet, mut pushed) = (Rounds::default(), Rounds::default());
    for _ in 0..options.repeats {
        quiet.add(round(options, &mut ends, target, None).await?)?;
        pushed.add(round(options, &mut ends, target, Some(&control)).await?)?;
    }
    let clients = server.clients();
    let clusters = clients
        .iter()
        .filter_map(|client| client.kinds.get(&Kind::Cluster));
    let sent: u64 = clusters.clone().map(|status| status.sent).sum();
    anyhow::ensure!(
        clusters.clone().all(|status| status.error.is_none()),
        "the ingress refused a change"
    );
    // Changes that come while one is on its way are told together.
    anyhow::ensure!(
        sent as usize > options.services + pushed.changes / 2,
        "the ingress was not told of the changes"
    );
    subject.end().await?;
    Ok((quiet, pushed))
}

/// Services of which one has the host that the load asks for.
fn services(count: usize, pod: SocketAddr) -> anyhow::Result<Vec<Service>> {
    let mut services: Vec<Service> = (0..count)
        .map(|number| Service::numbered(number, vec![pod]))
        .collect();
    let asked = services.get_mut(fixture::ASKED);
    let asked = asked.with_context(|| format!("at least {} services are needed", fixture::ASKED + 1))?;
    let host = fixture::host(fixture::ASKED);
    host.split('.')
        .next()
        .unwrap_or_default()
        .clone_into(&mut asked.name);
    Ok(services)
}

/// What one round of load saw, and how many changes came meanwhile.
async fn round(
    options: &Options,
    ends: &mut Ends,
    target: SocketAddr,
    control: Option<&Control>,
) -> anyhow::Result<(Report, usize)> {
    let plan = Plan {
        class: options.class,
        target,
        authority: None,
        per_second: None,
        warm_up_ms: WARM_UP_MS,
        count_ms: options.milliseconds,
    };
    ends.begin(&plan).await?;
    let before = control.map(Control::change_from_now_on);
    let report = ends.report().await;
    let changes = match control.zip(before) {
        Some((control, before)) => control.leave()? - before,
        None => 0,
    };
    Ok((report?, changes))
}

impl Rounds {
    fn add(&mut self, (report, changes): (Report, usize)) -> anyhow::Result<()> {
        anyhow::ensure!(report.errors == 0, "{} requests failed", report.errors);
        self.reports.push(report);
        self.changes += changes;
        Ok(())
    }

    fn estimate(&self, of: impl Fn(&Report) -> u64) -> anyhow::Result<Estimate> {
        let values: Vec<f64> = self
            .reports
            .iter()
            .map(|report| of(report) as f64 / 1_000.0)
            .collect();
        estimate(&values).context("at least one round is needed")
    }

    fn print(&self, out: &mut impl Write, name: &str) -> anyhow::Result<()> {
        write!(out, "{name:<24} {:>5} changes", self.changes)?;
        self.print_figure(out, "p50", |report| report.p50_ns)?;
        self.print_figure(out, "p99", p99)?;
        self.print_figure(out, "p99.9", |report| report.p999_ns)?;
        Ok(writeln!(out)?)
    }

    fn print_figure(
        &self,
        out: &mut impl Write,
        name: &str,
        of: impl Fn(&Report) -> u64,
    ) -> anyhow::Result<()> {
        let Estimate { middle, low, high } = self.estimate(of)?;
        Ok(write!(out, "  {name} {middle:.1} [{low:.1}, {high:.1}] µs")?)
    }
}

fn p99(report: &Report) -> u64 {
    report.p99_ns
}
