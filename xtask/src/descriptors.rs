//! What stands in `xds/src/text/descriptors.binpb`? Envoy's messages as `protoc` describes them, without what nothing reads.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{command, metadata, peers, place};

mod prune;

/// Where the descriptors stand.
const DOCUMENT: &str = "xds/src/text/descriptors.binpb";

/// The crate that ships the `.proto` files, of the version that our generated code is of.
const CRATE: &str = "envoy-types";

/// The folders of its `proto` that imports are looked for in.
const ROOTS: [&str; 8] = [
    "cel-spec/proto",
    "client_model",
    "data-plane-api",
    "googleapis",
    "opentelemetry-proto",
    "protoc-gen-validate",
    "ratelimit/api",
    "xds",
];

/// What an `Any` may hold without any other file importing it; it comes with `protoc`.
const ALONE: &str = "google/protobuf/field_mask.proto";

/// Writes the descriptors anew.
///
/// # Errors
/// When `protoc` or the `.proto` files cannot be had, or the file cannot be written.
pub(crate) fn write() -> anyhow::Result<()> {
    let path = place::workspace()?.join(DOCUMENT);
    let bytes = generate(&peers::python()?)?;
    std::fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    println!("written: {DOCUMENT}, {} bytes", bytes.len());
    Ok(())
}

/// Compares them with what the `.proto` files say; without `protoc` it says that it did not.
///
/// # Errors
/// When they differ, and where peers are required and `protoc` cannot be had.
pub(crate) fn check() -> anyhow::Result<()> {
    let python = match peers::python() {
        Ok(python) => python,
        Err(error) => return peers::lacking("the check of descriptors", &format!("{error:#}")),
    };
    let path = place::workspace()?.join(DOCUMENT);
    if std::fs::read(&path).unwrap_or_default() != generate(&python)? {
        bail!("{DOCUMENT} is not what {CRATE} says: run `cargo xtask descriptors`");
    }
    Ok(())
}

fn generate(python: &Path) -> anyhow::Result<Vec<u8>> {
    let protos = metadata::sources(CRATE)?.join("proto");
    let output = place::target()?.join("descriptors.binpb");
    let mut arguments = vec![
        "--include_imports".to_owned(),
        format!("--descriptor_set_out={}", output.display()),
    ];
    for root in ROOTS {
        arguments.push(format!("-I{}", protos.join(root).display()));
    }
    // `google/protobuf/*.proto` come with `protoc`.
    let own = command::read(Command::new(python).args([
        "-c",
        "import grpc_tools, os; print(os.path.join(os.path.dirname(grpc_tools.__file__), '_proto'))",
    ]))?;
    arguments.extend([format!("-I{}", own.trim()), ALONE.to_owned()]);
    for root in ROOTS {
        let root = protos.join(root);
        let mut files = Vec::new();
        collect(&root, &root, &mut files)?;
        files.sort();
        arguments.extend(files.iter().map(|file| file.display().to_string()));
    }
    // In a file, since there are hundreds.
    let list = output.with_extension("arguments");
    std::fs::write(&list, arguments.join("\n"))
        .with_context(|| format!("cannot write {}", list.display()))?;
    let list = format!("@{}", list.display());
    command::read(Command::new(python).args(["-m", "grpc_tools.protoc", &list]))?;
    let bytes = std::fs::read(&output).with_context(|| format!("cannot read {}", output.display()))?;
    prune::files(&bytes).context("protoc writes descriptors that are well-formed")
}

/// The `.proto` files in `folder`, as imports name them.
fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path.strip_prefix(root)?.to_path_buf());
        }
    }
    Ok(())
}
