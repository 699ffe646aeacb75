//! Which Python packages do tests speak with? Pinned wheels in an environment of their own, apart from the machine's.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{command, place};

/// The packages, as pip takes them, with what they ask for.
const PACKAGES: [&str; 6] = [
    "grpcio==1.85.3",
    "grpcio-tools==1.85.0",
    "protobuf==7.36.2",
    "setuptools==84.2.1",
    "websockets==17.4",
    "typing-extensions==4.16.0",
];

/// What shows that they are all there.
const PROBE: &str = "import grpc, grpc_tools.protoc, websockets";

/// The environment's folder, made anew where it is missing, of other versions, or of a Python that is gone.
pub(super) fn fetch() -> anyhow::Result<PathBuf> {
    let folder = folder()?;
    if works(&folder) {
        return Ok(folder);
    }
    if !make(&folder) {
        if !command::may_install_packages() {
            bail!(
                "`python3 -m venv` does not work, and only root on Debian may install it: apt-get install python3-venv"
            );
        }
        command::install_packages(&["python3", "python3-venv"])?;
        if !make(&folder) {
            bail!("`python3 -m venv` does not work");
        }
    }
    let mut pip = Command::new(program(&folder));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    // Wheels only: a build from source would take minutes and a compiler.
    command::run(pip.args(["--only-binary", ":all:", "--no-deps"]).args(PACKAGES))?;
    if !works(&folder) {
        bail!("{} cannot `{PROBE}`", program(&folder).display());
    }
    Ok(folder)
}

/// Whether `at` leads to the environment of these versions, and it works.
pub(super) fn stands(at: &Path) -> bool {
    let leads = |expected: PathBuf| at.read_link().is_ok_and(|found| found == expected);
    folder().is_ok_and(leads) && works(at)
}

/// Named by what is in it, so that a change of versions makes another.
fn folder() -> anyhow::Result<PathBuf> {
    let name = PACKAGES.join("-").replace("==", "-");
    Ok(place::cache()
        .context("a Python environment is kept there")?
        .join("peers")
        .join(name))
}

fn make(folder: &Path) -> bool {
    let mut venv = Command::new("python3");
    command::run(venv.args(["-m", "venv", "--clear"]).arg(folder)).is_ok()
}

pub(super) fn program(folder: &Path) -> PathBuf {
    folder.join("bin").join("python")
}

fn works(folder: &Path) -> bool {
    let mut probe = Command::new(program(folder));
    probe.args(["-c", PROBE]);
    command::succeeds(&mut probe)
}
