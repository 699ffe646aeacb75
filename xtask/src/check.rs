//! What must hold besides the tests? One stage per word.

use anyhow::bail;

use crate::{command, descriptors, place};

/// The release of cargo-deny that is built when the machine has none.
const CARGO_DENY: &str = "0.20.2";

/// A stage's word, and what it does.
type Stage = (&'static str, fn() -> anyhow::Result<()>);

/// The stages in their order, quick ones first.
const STAGES: [Stage; 7] = [
    ("fmt", fmt),
    ("descriptors", descriptors::check),
    ("clippy", clippy),
    ("doc", doc),
    ("deny", deny),
    ("house", house),
    ("package", package),
];

/// Runs the named stages, or all.
///
/// # Errors
/// When one does not pass; later ones are not run.
pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    if let Some(unknown) = words
        .iter()
        .find(|word| STAGES.iter().all(|(name, _)| name != *word))
    {
        bail!(
            "unknown stage `{unknown}`; there are: {}",
            STAGES.map(|(name, _)| name).join(", ")
        );
    }
    for (name, stage) in STAGES {
        if words.is_empty() || words.contains(&name) {
            stage()?;
        }
    }
    Ok(())
}

fn fmt() -> anyhow::Result<()> {
    command::run(&mut command::cargo(&["fmt", "--all", "--check"])?)
}

fn clippy() -> anyhow::Result<()> {
    command::run(&mut command::cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--features",
        crate::test::FEATURES,
        "--",
        "-D",
        "warnings",
    ])?)
}

fn doc() -> anyhow::Result<()> {
    let mut doc = command::cargo(&["doc", "--workspace", "--no-deps", "--locked"])?;
    command::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Bans, licences and sources. Advisories need a database from the network: `cargo deny check advisories` by hand.
fn deny() -> anyhow::Result<()> {
    let mut deny = match command::on_path("cargo-deny") {
        Some(installed) => std::process::Command::new(installed),
        None => std::process::Command::new(built_deny()?),
    };
    deny.current_dir(place::workspace()?)
        .args(["check", "bans", "licenses", "sources"]);
    command::run(&mut deny)
}

/// cargo-deny of our own building, kept in the cache: the first time takes some minutes.
fn built_deny() -> anyhow::Result<std::path::PathBuf> {
    let root = place::cache()?
        .join("tools")
        .join(format!("cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin").join("cargo-deny");
    if !command::works(&program, "--version") {
        let mut install = command::cargo(&[
            "install",
            "--locked",
            "--quiet",
            "cargo-deny",
            "--version",
            CARGO_DENY,
        ])?;
        // Unoptimised builds in half the time, and checks this workspace in seconds all the same.
        install.args(["--profile", "dev", "--root"]).arg(&root);
        command::run(
            install
                .env("CARGO_TARGET_DIR", root.join("target"))
                .env("CARGO_PROFILE_DEV_DEBUG", "0"),
        )?;
        std::fs::remove_dir_all(root.join("target"))?;
    }
    Ok(program)
}

/// The rules of the house: who may depend on whom, what a file may be, which paths the documents name.
fn house() -> anyhow::Result<()> {
    command::run(&mut command::cargo(&[
        "test",
        "--quiet",
        "--locked",
        "--package",
        "xtask",
        "--test",
        "house",
    ])?)
}

/// Does the library work outside the workspace? It is packed as for a registry, unpacked, and built from that alone: about
/// a minute and a half of two cores the first time, since its dependencies have other features there; seconds later.
fn package() -> anyhow::Result<()> {
    command::run(&mut command::cargo(&[
        "package",
        "--quiet",
        "--locked",
        "--allow-dirty",
        "--package",
        "tidegate-proxy",
    ])?)
}
