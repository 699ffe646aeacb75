//! Where do chores find the project, and where do they keep things?

use std::path::PathBuf;

use anyhow::Context as _;

/// The folder of the workspace.
///
/// # Errors
/// When not started through cargo.
pub(crate) fn workspace() -> anyhow::Result<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").context("start this as `cargo xtask`")?;
    let package = PathBuf::from(package);
    package
        .parent()
        .map(PathBuf::from)
        .context("the package lies in the workspace's folder")
}

/// Where this checkout's build results and set-up go.
///
/// # Errors
/// When not started through cargo.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    let workspace = workspace()?;
    Ok(std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), |path| workspace.join(path)))
}

/// What outlives a checkout: downloaded and built tools, in the user's cache.
///
/// # Errors
/// When the user has neither a cache nor a home folder.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let folder = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    Ok(cache
        .context("set HOME or XDG_CACHE_HOME: tools are kept there between runs")?
        .join("tidegate"))
}
