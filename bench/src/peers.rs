//! Beside whom are we compared, and how is each set up to do what we do?
//!
//! Every peer gets one worker, the same hosts, the same two header edits, keep-alive to the backend and no access log. Its
//! configuration lies in a temporary folder. Our own ingress is one of them: it gets the very bootstrap that Envoy gets.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::child::{self, Process};
use crate::fixture;
use crate::load::Doors;

mod envoy;
mod haproxy;
mod nginx;

/// A proxy that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Ours, as the program that others would run.
    Tidegate,
    /// HAProxy 2.6 or newer.
    Haproxy,
    /// nginx 1.22 or newer.
    Nginx,
    /// Envoy.
    Envoy,
    /// Pingora, built from `bench/peers`.
    Pingora,
    /// hyper and hyper-util, built from `bench/peers`.
    Hyper,
}

/// What a proxy is given to do.
#[derive(Clone, Debug)]
pub struct Site {
    /// Where requests go.
    pub backend: SocketAddr,
    /// Where gRPC calls go.
    pub grpc_backend: SocketAddr,
    /// How many hosts it knows.
    pub host_count: usize,
    /// How many workers our ingress and Envoy have; the others have one.
    pub workers: usize,
    /// Its certificate, PEM.
    pub certificate: PathBuf,
    /// The certificate's key, PEM.
    pub key: PathBuf,
    /// Both in one file.
    pub pair: PathBuf,
}

/// Where a peer is told to listen.
#[derive(Clone, Copy, Debug)]
struct Places {
    h1: SocketAddr,
    h2: SocketAddr,
    grpc: SocketAddr,
    tls: SocketAddr,
}

/// A proxy that runs.
#[derive(Debug)]
pub struct Running {
    /// Its process.
    pub process: Process,
    /// Its ports.
    pub doors: Doors,
    /// From its start until it took connections at all of them.
    pub started_after: Duration,
    /// Where its configuration lies, until it is dropped.
    pub folder: Option<tempfile::TempDir>,
}

impl Site {
    /// The names of the hosts.
    pub fn hosts(&self) -> impl Iterator<Item = String> {
        (0..self.host_count).map(fixture::host)
    }
}

impl Peer {
    /// Every one, in the order of the tables.
    pub const ALL: [Self; 6] = [
        Self::Tidegate,
        Self::Haproxy,
        Self::Nginx,
        Self::Envoy,
        Self::Pingora,
        Self::Hyper,
    ];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tidegate => "tidegate",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
            Self::Pingora => "pingora",
            Self::Hyper => "hyper",
        }
    }

    /// The name of its program.
    fn program(self) -> &'static str {
        match self {
            Self::Tidegate => "tidegate-ingress",
            Self::Hyper => "hyper-proxy",
            other => other.name(),
        }
    }

    /// How to get it, where it is missing.
    #[must_use]
    pub fn how_to_get_it(self) -> String {
        match self {
            Self::Tidegate => "cargo xtask dist tidegate-ingress".to_owned(),
            other => format!("cargo xtask peers {}", other.name()),
        }
    }

    /// Its program, if there is one: beside this one, installed by `cargo xtask peers`, or on the `PATH`.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        let own = std::env::current_exe().ok();
        let beside = own.as_deref().and_then(Path::parent);
        let fetched = beside.and_then(Path::parent);
        let fetched = fetched.map(|target| target.join("peers").join("bin"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian keeps servers where only root's PATH looks.
        let system = [PathBuf::from("/usr/sbin")];
        let folders = beside
            .map(Path::to_owned)
            .into_iter()
            .chain(fetched)
            .chain(std::env::split_paths(&path))
            .chain(system);
        folders
            .map(|folder| folder.join(self.program()))
            .find(|program| program.is_file())
    }

    /// Starts it on `core`, or wherever the system puts it.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(self, program: &Path, site: &Site, core: Option<usize>) -> anyhow::Result<Running> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let places = Places {
            h1: child::free_address(),
            h2: child::free_address(),
            grpc: child::free_address(),
            tls: child::free_address(),
        };
        let arguments = self.configure(site, &places, folder.path())?;
        let doors = Doors {
            h1: Some(places.h1),
            h2: Some(places.h2),
            grpc: Some(places.grpc),
            tls: Some(places.tls),
            // The small proxy on hyper has no tunnels.
            websocket: (self != Self::Hyper).then_some(places.h1),
        };
        let began = Instant::now();
        let mut process = Process::start(program, arguments, core)?;
        for address in doors.addresses() {
            process.accepts(address).await?;
        }
        Ok(Running {
            process,
            doors,
            started_after: began.elapsed(),
            folder: Some(folder),
        })
    }

    /// Writes its configuration into `folder`; says what its command line is.
    fn configure(self, site: &Site, places: &Places, folder: &Path) -> anyhow::Result<Vec<String>> {
        let (name, config) = match self {
            Self::Haproxy => ("haproxy.cfg", haproxy::config(site, places)),
            Self::Nginx => ("nginx.conf", nginx::config(site, places, folder)),
            Self::Tidegate | Self::Envoy => ("envoy.yaml", envoy::config(site, places)),
            Self::Pingora | Self::Hyper => ("hosts", lines(site)),
        };
        let file = folder.join(name);
        fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
        let file = file.display().to_string();
        Ok(match self {
            Self::Haproxy => words(&["-db", "-f", &file]),
            Self::Nginx => words(&["-p", &folder.display().to_string(), "-e", "stderr", "-c", &file]),
            Self::Tidegate | Self::Envoy => words(&[
                "-c",
                &file,
                "--concurrency",
                &site.workers.to_string(),
                "--log-level",
                "error",
                "--use-dynamic-base-id",
            ]),
            Self::Pingora | Self::Hyper => built(site, places, &file),
        })
    }
}

fn lines(site: &Site) -> String {
    site.hosts().map(|host| format!("{host}\n")).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The command line of those from `bench/peers`.
fn built(site: &Site, places: &Places, hosts: &str) -> Vec<String> {
    let edits = fixture::set_by_peers().map(|(name, value)| format!("--set={name}={value}"));
    let rest = [
        format!("--h1={}", places.h1),
        format!("--h2={}", places.h2),
        format!("--grpc={}", places.grpc),
        format!("--tls={}", places.tls),
        format!("--certificate={}", site.certificate.display()),
        format!("--key={}", site.key.display()),
        format!("--backend={}", site.backend),
        format!("--grpc-backend={}", site.grpc_backend),
        format!("--hosts={hosts}"),
    ];
    edits.into_iter().chain(rest).collect()
}
