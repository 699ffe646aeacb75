//! How are the peers built that are libraries? By a program of ours around each, in a workspace of their own (`bench/peers`).

use std::path::PathBuf;

use anyhow::bail;

use crate::{command, place};

/// What builds the C code that Pingora brings.
const CMAKE: &str = "cmake";

/// Builds a program of `bench/peers` with the profile that ours is compared in.
///
/// # Errors
/// When it cannot be built.
pub(super) fn build(program: &str) -> anyhow::Result<PathBuf> {
    if command::on_path(CMAKE).is_none() {
        if !command::may_install_packages() {
            bail!(
                "{CMAKE} is not installed, and only root on Debian may install it: apt-get install {CMAKE}"
            );
        }
        command::install_packages(&[CMAKE])?;
    }
    let folder = place::workspace()?.join("bench").join("peers");
    let target = place::target()?.join("peers").join("build");
    let mut cargo = command::cargo(&["build", "--locked", "--profile", "dist", "--package", program])?;
    command::run(cargo.current_dir(folder).env("CARGO_TARGET_DIR", &target))?;
    Ok(target.join("dist").join(program))
}
