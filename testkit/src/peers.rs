//! Which programs of other people can a test talk to here? Those that `cargo xtask test` puts under `target/peers`.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Set to `1`, it makes a peer that is not there a failure (`.ci/run` sets it).
const REQUIRE: &str = "TIDEGATE_REQUIRE_PEERS";

/// Python with the packages `grpcio` and `websockets`. Where it is not installed, there is none, and one line says that
/// `what` is not run.
///
/// # Panics
/// When it is not there, and peers are required.
#[must_use]
pub fn python(what: &str) -> Option<PathBuf> {
    peer(what, "python", "peers/python/bin/python")
}

/// Envoy itself. Where it is not installed, there is none, and one line says that `what` is not run. To start it, see
/// [`crate::envoy`].
///
/// # Panics
/// When it is not there, and peers are required.
#[must_use]
pub fn envoy(what: &str) -> Option<PathBuf> {
    peer(what, "envoy", "peers/bin/envoy")
}

fn peer(what: &str, name: &str, place: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().expect("a program knows where it stands");
    let found = find(&program, Path::new(place));
    if found.is_none() {
        let why = format!("its peer is not installed: `cargo xtask peers {name}`");
        assert!(
            std::env::var_os(REQUIRE).is_none_or(|value| value != "1"),
            "{what} is required ({REQUIRE}=1), but {why}"
        );
        // Past the capture of a passing test's output, so that a person sees it. One that cannot be said is no failure.
        drop(writeln!(std::io::stderr(), "not run: {what}, because {why}"));
    }
    found
}

/// Looks beside `program` and in all folders above, up to the target directory, wherever that is.
fn find(program: &Path, wanted: &Path) -> Option<PathBuf> {
    let folders = program.ancestors().skip(1);
    folders
        .map(|folder| folder.join(wanted))
        .find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_found_above_the_test_program() {
        let target = tempfile::tempdir().expect("a folder");
        let peer = target.path().join("peers/bin/x");
        std::fs::create_dir_all(peer.parent().expect("a parent")).expect("a folder");
        std::fs::write(&peer, "").expect("a file");
        for program in ["debug/deps/test-1", "x86_64-unknown-linux-gnu/debug/deps/test-1"] {
            let program = target.path().join(program);
            assert_eq!(find(&program, Path::new("peers/bin/x")), Some(peer.clone()));
            assert_eq!(find(&program, Path::new("peers/bin/y")), None);
        }
    }
}
