//! How does a chore run a program? Shown before, and a failure names it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::place;

/// This workspace's cargo, to be run in the workspace's folder.
///
/// # Errors
/// When not started through cargo.
pub(crate) fn cargo(arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.args(arguments).current_dir(place::workspace()?);
    Ok(command)
}

/// Runs a program to its end, with our own terminal.
///
/// # Errors
/// When it cannot be started, or fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = show(command);
    eprintln!("$ {shown}");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}`: {status}");
    }
    Ok(())
}

/// Runs a program and returns what it writes to standard output.
///
/// # Errors
/// When it cannot be started, fails, or writes no text.
pub(crate) fn read(command: &mut Command) -> anyhow::Result<String> {
    let shown = show(command);
    command.stderr(Stdio::inherit());
    let output = command
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}`: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` writes text"))
}

/// Runs a program that reports on standard error, and returns the report; a failing one's is shown.
///
/// # Errors
/// When it cannot be started, or fails.
pub(crate) fn report(command: &mut Command) -> anyhow::Result<String> {
    let shown = show(command);
    eprintln!("$ {shown}");
    let output = command
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        eprintln!("{report}");
        bail!("`{shown}`: {}", output.status);
    }
    Ok(report)
}

/// Whether a program can be run at all, as told by a harmless call of it.
pub(crate) fn works(program: impl AsRef<OsStr>, argument: &str) -> bool {
    succeeds(Command::new(program).arg(argument))
}

/// Whether a program succeeds, without a word of it.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// Where a program stands on the `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| is_file(file))
}

/// Whether this process may install system packages: root, on Debian or one of its kin.
pub(crate) fn may_install_packages() -> bool {
    let is_root = read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    is_root && is_file(Path::new("/etc/debian_version"))
}

/// Installs Debian packages; the list of what there is is fetched only when it is needed.
///
/// # Errors
/// When apt-get cannot.
pub(crate) fn install_packages(names: &[&str]) -> anyhow::Result<()> {
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--no-install-recommends"])
        .args(names)
        .env("DEBIAN_FRONTEND", "noninteractive");
    if run(&mut apt).is_err() {
        run(Command::new("apt-get").arg("update"))?;
        run(&mut apt)?;
    }
    Ok(())
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file())
}

fn show(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
