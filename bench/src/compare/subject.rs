//! Who takes the load: nobody's proxy, a relay of bytes, ours and the peers, each in a process of its own?

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use tempfile::TempDir;
use tidegate_testkit::certificates::Authority;

use super::sample::Sample;
use super::{PROXY_CORE, activator, sidecar};
use crate::child::Process;
use crate::ends::Ends;
use crate::fixture;
use crate::load::Doors;
use crate::peers::{Peer, Running, Site};
use crate::proc;

/// The backend without a proxy in front.
pub(super) const DIRECT: &str = "direct";
/// The same backend on the core that proxies have: what the way between two cores takes, without a proxy.
pub(super) const ACROSS: &str = "across";
/// The relay.
pub(super) const RELAY: &str = "relay";
/// The host path with the activator and the sidecar in it, as `tidegate up` has it.
const REVISION: &str = "revision";

/// Something that takes the load.
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) doors: Doors,
    pub(super) running: Option<Running>,
    /// What it held before the load, in bytes.
    pub(super) idle_bytes: u64,
    pub(super) samples: Vec<Sample>,
    /// What an activator has around it.
    pub(super) cluster: Option<activator::Cluster>,
}

/// Who sends and who answers, and certificates for whoever stands before it.
pub(super) struct Ground {
    pub(super) ends: Ends,
    pub(super) site: Site,
    pub(super) authority: PathBuf,
    /// How many requests a second are sent, for a class whose rate is measured first.
    pub(super) per_second: Option<u32>,
    /// Where the files lie, until it is dropped.
    _folder: TempDir,
}

impl Ground {
    pub(super) async fn prepare(host_count: usize, core: usize) -> anyhow::Result<Self> {
        let least = fixture::ASKED + 1;
        anyhow::ensure!(
            host_count >= least,
            "the load asks for one of at least {least} hosts, not of {host_count}"
        );
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let signer = Authority::new("bench");
        let identity = signer.server(&fixture::host(fixture::ASKED));
        let file = |name: &str, text: &str| -> anyhow::Result<PathBuf> {
            let path = folder.path().join(name);
            std::fs::write(&path, text)?;
            Ok(path)
        };
        let authority = file("authority.pem", &signer.pem)?;
        let certificate = file("certificate.pem", &identity.certificate_pem)?;
        let key = file("key.pem", &identity.key_pem)?;
        let both = format!("{}{}", identity.certificate_pem, identity.key_pem);
        let pair = file("pair.pem", &both)?;
        let ends = Ends::start(core).await?;
        let site = Site {
            backend: ends.backend,
            grpc_backend: ends.grpc_backend,
            host_count,
            workers: 1,
            certificate,
            key,
            pair,
        };
        Ok(Self {
            ends,
            site,
            authority,
            per_second: None,
            _folder: folder,
        })
    }

    /// Everyone that is here, started. Says who is not, once for all classes.
    pub(super) async fn subjects(
        &self,
        only: &[String],
        missing: &mut BTreeSet<&'static str>,
    ) -> anyhow::Result<Vec<Subject>> {
        let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
        let mut subjects = vec![Subject::direct(&self.site)];
        if wanted(ACROSS) {
            let began = Instant::now();
            let (process, doors) = Ends::start(PROXY_CORE).await?.into_backend();
            subjects.push(Subject::proxy(ACROSS, running(process, doors, began))?);
        }
        if wanted(RELAY) {
            subjects.push(Subject::proxy(RELAY, self.relay().await?)?);
        }
        if wanted(REVISION) {
            subjects.push(Subject::proxy(REVISION, self.revision().await?)?);
        }
        for program in [sidecar::NAME, activator::NAME]
            .into_iter()
            .filter(|name| wanted(name))
        {
            match self.program(program).await? {
                Some(subject) => subjects.push(subject),
                None if missing.insert(program) => writeln!(
                    std::io::stdout(),
                    "not run: {program}, which is not here; get it with `cargo xtask dist`"
                )?,
                None => {}
            }
        }
        for peer in Peer::ALL.into_iter().filter(|peer| wanted(peer.name())) {
            match peer.find() {
                Some(program) => {
                    let running = peer.start(&program, &self.site, Some(PROXY_CORE)).await;
                    let running = running.with_context(|| format!("cannot start {}", peer.name()))?;
                    subjects.push(Subject::proxy(peer.name(), running)?);
                }
                None if missing.insert(peer.name()) => writeln!(
                    std::io::stdout(),
                    "not run: {}, which is not here; get it with `{}`",
                    peer.name(),
                    peer.how_to_get_it()
                )?,
                None => {}
            }
        }
        Ok(subjects)
    }

    /// One of the programs of Knative's data plane, if it was built beside this one.
    async fn program(&self, name: &'static str) -> anyhow::Result<Option<Subject>> {
        if name == sidecar::NAME {
            let Some(program) = sidecar::find() else {
                return Ok(None);
            };
            let running = sidecar::start(&program, self.site.backend, PROXY_CORE).await?;
            return Subject::proxy(name, running).map(Some);
        }
        let Some(program) = activator::find() else {
            return Ok(None);
        };
        let (running, cluster) = activator::start(&program, self.site.backend, PROXY_CORE).await?;
        let mut subject = Subject::proxy(name, running)?;
        subject.cluster = Some(cluster);
        Ok(Some(subject))
    }

    async fn relay(&self) -> anyhow::Result<Running> {
        let (backend, grpc) = (self.site.backend.to_string(), self.site.grpc_backend.to_string());
        let began = Instant::now();
        let arguments = ["relay", "--backend", &backend, "--grpc-backend", &grpc];
        let mut process = Process::own(arguments, Some(PROXY_CORE))?;
        let h1 = process.address().await?;
        let doors = Doors {
            h1: Some(h1),
            websocket: Some(h1),
            grpc: Some(process.address().await?),
            ..Doors::default()
        };
        Ok(running(process, doors, began))
    }

    async fn revision(&self) -> anyhow::Result<Running> {
        let backend = self.site.backend.to_string();
        let began = Instant::now();
        let arguments = ["serve-tidegate", "--backend", &backend, "--chain", "revision"];
        let mut process = Process::own(arguments, Some(PROXY_CORE))?;
        let address: SocketAddr = process.address().await?;
        let doors = Doors {
            h1: Some(address),
            websocket: Some(address),
            h2: Some(address),
            ..Doors::default()
        };
        Ok(running(process, doors, began))
    }
}

pub(super) fn running(process: Process, doors: Doors, began: Instant) -> Running {
    Running {
        process,
        doors,
        started_after: began.elapsed(),
        folder: None,
    }
}

impl Subject {
    fn direct(site: &Site) -> Self {
        Self {
            name: DIRECT,
            doors: Doors::of_backend(site.backend, site.grpc_backend),
            running: None,
            idle_bytes: 0,
            samples: Vec::new(),
            cluster: None,
        }
    }

    pub(super) fn proxy(name: &'static str, running: Running) -> anyhow::Result<Self> {
        Ok(Self {
            name,
            doors: running.doors,
            idle_bytes: proc::resident_bytes(running.process.id()?)?,
            running: Some(running),
            samples: Vec::new(),
            cluster: None,
        })
    }

    /// Its process, if it has one.
    pub(super) fn id(&self) -> anyhow::Result<Option<u32>> {
        let running = self.running.as_ref();
        running.map(|running| running.process.id()).transpose()
    }
}
