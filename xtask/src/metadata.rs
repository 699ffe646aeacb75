//! What does cargo know about this workspace?

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

use crate::command;

/// The names of a package's programs, in the order of its manifest.
///
/// # Errors
/// When cargo cannot tell, or has no such package.
pub(crate) fn programs(package: &str) -> anyhow::Result<Vec<String>> {
    let text = command::read(&mut command::cargo(&[
        "metadata",
        "--format-version=1",
        "--no-deps",
        "--locked",
    ])?)?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata writes JSON")?;
    programs_in(&metadata, package).with_context(|| format!("the workspace has a package {package}"))
}

/// The folder of a dependency's sources.
///
/// # Errors
/// When cargo cannot tell, or nothing depends on it.
pub(crate) fn sources(package: &str) -> anyhow::Result<PathBuf> {
    let text = command::read(&mut command::cargo(&[
        "metadata",
        "--format-version=1",
        "--locked",
    ])?)?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata writes JSON")?;
    manifest_in(&metadata, package)
        .and_then(|manifest| Some(manifest.parent()?.to_path_buf()))
        .with_context(|| format!("something depends on {package}"))
}

fn manifest_in(metadata: &Value, package: &str) -> Option<PathBuf> {
    let packages = metadata.get("packages")?.as_array()?;
    let package = packages
        .iter()
        .find(|found| found.get("name").is_some_and(|name| name == package))?;
    package.get("manifest_path")?.as_str().map(PathBuf::from)
}

fn programs_in(metadata: &Value, package: &str) -> Option<Vec<String>> {
    let packages = metadata.get("packages")?.as_array()?;
    let package = packages
        .iter()
        .find(|found| found.get("name").is_some_and(|name| name == package))?;
    let targets = package.get("targets")?.as_array()?.iter();
    let programs = targets.filter(|target| {
        let kinds = target.get("kind").and_then(Value::as_array);
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "bin"))
    });
    Some(
        programs
            .filter_map(|target| Some(target.get("name")?.as_str()?.to_owned()))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn programs_are_told_from_libraries_and_tests() {
        let metadata = json!({"packages": [
            {"name": "other", "targets": [{"name": "x", "kind": ["bin"]}]},
            {"name": "ours", "targets": [
                {"name": "lib", "kind": ["lib"]}, {"name": "a", "kind": ["bin"]}, {"name": "b", "kind": ["bin"]},
                {"name": "t", "kind": ["test"]},
            ]},
        ]});
        assert_eq!(
            programs_in(&metadata, "ours"),
            Some(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(programs_in(&metadata, "nobody"), None);
    }
}
