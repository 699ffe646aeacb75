//! What do many services cost an ingress: memory, time to load, time until one change is seen, time from disk?
//!
//! The resources have the shape and the size of Kourier's for so many Knative Services. One control plane, this process, gives
//! them to each program in turn: to Envoy if it is found, and to ours. Both run with one worker. What is seen is seen by a client:
//! a change counts from when it was published to the first response that shows it.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tidegate_proxy::drain::Drain;
use tidegate_testkit::kourier::{self, Ports, Service};
use tidegate_xds::resource::Kind;
use tidegate_xds::server::{Resource, Resources, Server};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::peers::Peer;
use crate::proc;

mod client;
mod disk;
pub mod push;
mod report;
mod subject;

use client::{answering, seen};
use disk::Place;
use report::{Figure, Report};
use subject::{Program, Subject, Transport};

/// The most that this may take in any step; then something is wrong, not slow.
const DEADLINE: Duration = Duration::from_secs(120);

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Knative Services, each with one revision of one pod.
    #[arg(long, default_value_t = 10_000)]
    services: usize,
    /// Changes of one service's pods that are timed.
    #[arg(long, default_value_t = 10)]
    changes: usize,
    /// How often all of it is measured, in turn; then medians are told with their intervals.
    #[arg(long, default_value_t = 1)]
    repeats: usize,
    /// Without Envoy.
    #[arg(long)]
    only_ours: bool,
    /// Our program. Default: `tidegate-ingress` beside this one.
    #[arg(long)]
    ingress: Option<PathBuf>,
}

/// Measures, and prints the figures beside their bars.
///
/// # Errors
/// When a program does not come up, or never shows what it was given.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let ours = match options.ingress.clone() {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("tidegate-ingress"),
    };
    let mut programs = Vec::new();
    match Peer::Envoy.find() {
        _ if options.only_ours => {}
        Some(path) => programs.push((Program::Envoy, path)),
        None => writeln!(std::io::stdout(), "not run: envoy, because it is not installed")?,
    }
    programs.push((Program::Tidegate, ours));
    let mut reports = Vec::new();
    for _ in 0..options.repeats.max(1) {
        for (program, path) in &programs {
            for transport in Transport::ALL {
                let report = measure(&options, *program, path.clone(), transport).await?;
                report::print(&mut std::io::stdout(), &[&report])?;
                reports.push(report);
            }
        }
    }
    if options.repeats > 1 {
        for (program, _) in programs {
            for transport in Transport::ALL {
                let alike = |report: &&Report| report.program == program && report.transport == transport;
                let rounds: Vec<&Report> = reports.iter().filter(alike).collect();
                report::print(&mut std::io::stdout(), &rounds)?;
            }
        }
    }
    Ok(())
}

/// A control plane with services, and what they answer.
struct Plane {
    services: Vec<Service>,
    ports: Ports,
    publish: watch::Sender<Arc<Resources>>,
    /// Where pods are, by what they answer.
    backends: [SocketAddr; 2],
}

impl Plane {
    fn publish_all(&self) {
        let resources = resources(&self.services, self.ports);
        self.publish.send_replace(Arc::new(resources));
    }

    /// Moves the pods of one service to the other backend; says which that is.
    fn move_pods(&mut self, service: usize) -> anyhow::Result<usize> {
        let service = self
            .services
            .get_mut(service)
            .context("there is such a service")?;
        let other = usize::from(service.pods.first() == self.backends.first());
        service.pods = self.backends.get(other).copied().into_iter().collect();
        let push = kourier::push(std::slice::from_ref(service), self.ports);
        let changed = push.clusters.into_iter().map(encoded);
        let changed: Vec<_> = changed.collect();
        self.publish
            .send_modify(|now| *now = Arc::new(now.with(Kind::Cluster, changed)));
        Ok(other)
    }
}

fn encoded(resource: kourier::Resource) -> Resource {
    Resource::new(resource.name, resource.any.value)
}

fn resources(services: &[Service], ports: Ports) -> Resources {
    let push = kourier::push(services, ports);
    Resources::default()
        .with(Kind::Cluster, push.clusters.into_iter().map(encoded))
        .with(Kind::Listener, push.listeners.into_iter().map(encoded))
        .with(Kind::Routes, push.routes.into_iter().map(encoded))
}

async fn measure(
    options: &Options,
    program: Program,
    path: PathBuf,
    transport: Transport,
) -> anyhow::Result<Report> {
    let mut tasks = JoinSet::new();
    let backends = backends(&mut tasks).await?;
    let ports = Ports::free();
    let (publish, resources) = watch::channel(Arc::new(Resources::default()));
    let control = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let (_drain, watching) = Drain::new();
    let mut subject = Subject::new(program, path, transport, control.local_addr()?)?;
    let server = Server::new(resources);
    tasks.spawn(async move { server.serve(control, watching).await });
    let mut plane = Plane {
        services: vec![Service::numbered(0, vec![backends[0]])],
        ports,
        publish,
        backends,
    };
    let external = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.external));
    let mut report = Report::new(program, transport);

    // With one service: what the program costs by itself.
    plane.publish_all();
    subject.start()?;
    seen(
        external,
        &Service::numbered(0, Vec::new()).external_host(),
        "a",
        DEADLINE,
    )
    .await?;
    let base = proc::settled_resident_bytes(subject.id()?).await?;
    report.bytes(Figure::Base, base);

    // All at once, into a program that runs.
    plane.services = (0..options.services)
        .map(|number| Service::numbered(number, vec![backends[0]]))
        .collect();
    let probed = options.services / 2;
    let host = Service::numbered(probed, Vec::new()).external_host();
    let began = Instant::now();
    plane.publish_all();
    seen(external, &host, "a", DEADLINE).await?;
    report.time(Figure::Running, began.elapsed());
    let loaded = proc::settled_resident_bytes(subject.id()?).await?;
    report.bytes(Figure::Loaded, loaded);
    report.bytes_each(Figure::Service, loaded.saturating_sub(base), options.services);

    change(&mut plane, probed, options.changes, external, &mut report).await?;
    report.bytes(Figure::Peak, proc::peak_resident_bytes(subject.id()?)?);

    // From nothing, with everything there already; ours also with nobody there but its own disk.
    subject.end().await?;
    let began = Instant::now();
    subject.start()?;
    seen(external, &host, "", DEADLINE).await?;
    report.time(Figure::Cold, began.elapsed());
    if program == Program::Tidegate {
        subject.stored().await?;
        subject.kill().await?;
        tasks.shutdown().await;
        let place = Place {
            backends,
            address: external,
            host: &host,
        };
        let _backends = place.backends().await?;
        let first = disk::first_response(&mut subject, &place).await?;
        report.time(Figure::Disk, first);
        let first = disk::first_response_under_load(&mut subject, &place).await?;
        report.time(Figure::DiskUnderLoad, first);
    }
    subject.end().await?;
    Ok(report)
}

/// Two places for pods, which differ in what they answer.
async fn backends(tasks: &mut JoinSet<()>) -> anyhow::Result<[SocketAddr; 2]> {
    let mut backends = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); 2];
    for (backend, body) in backends.iter_mut().zip(BODIES) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        *backend = listener.local_addr()?;
        tasks.spawn(answering(listener, body));
    }
    Ok(backends)
}

/// What the two backends answer.
const BODIES: [&str; 2] = ["a", "b"];

/// Moves the pods of one service, then changes its routes, over and over, and writes down when that is seen.
async fn change(
    plane: &mut Plane,
    service: usize,
    times: usize,
    external: SocketAddr,
    report: &mut Report,
) -> anyhow::Result<()> {
    let host = Service::numbered(service, Vec::new()).external_host();
    let (mut pods, mut routes) = (Vec::with_capacity(times), Vec::with_capacity(times));
    for _ in 0..times {
        let began = Instant::now();
        let now = plane.move_pods(service)?;
        seen(external, &host, BODIES[now], DEADLINE).await?;
        pods.push(began.elapsed());
    }
    // Its table is sent whole, in both variants.
    for round in 0..times {
        let hash = format!("{:064x}", plane.services.len() + round);
        plane.services[service].hash.clone_from(&hash);
        let resources = Arc::new(resources(&plane.services, plane.ports));
        let began = Instant::now();
        plane.publish.send_replace(resources);
        client::probed(external, &host, &hash, DEADLINE).await?;
        routes.push(began.elapsed());
    }
    report.times(Figure::Pods, &pods);
    report.times(Figure::Routes, &routes);
    Ok(())
}
