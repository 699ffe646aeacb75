//! Where state is kept when nobody says where: in the user's state directory, apart for each set of paths.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::names::STATE_HOME_FOLDER;

/// Hexadecimal digits of a hash that are enough to tell sets of paths apart.
const KEY_DIGITS: usize = 16;

/// The directory above those of all sets of paths; none if the environment does not tell.
pub(super) fn home() -> Option<PathBuf> {
    let own = std::env::var_os("XDG_STATE_HOME");
    Some(state_home(own, std::env::home_dir().as_deref())?.join(STATE_HOME_FOLDER))
}

/// The directory for the state of all programs (XDG Base Directory Specification, `XDG_STATE_HOME`: a relative
/// path does not count).
fn state_home(own: Option<OsString>, home: Option<&Path>) -> Option<PathBuf> {
    let own = own.map(PathBuf::from).filter(|own| own.is_absolute());
    let below = if cfg!(target_os = "macos") {
        "Library/Application Support"
    } else {
        ".local/state"
    };
    own.or_else(|| Some(home.filter(|home| home.is_absolute())?.join(below)))
}

/// The name of the directory that belongs to these files and directories, in whichever order and way they are
/// named.
pub(super) fn key(paths: &[PathBuf]) -> String {
    let resolve = |path: &PathBuf| {
        let resolved = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
        resolved.unwrap_or_else(|_| path.clone())
    };
    let mut resolved: Vec<_> = paths.iter().map(resolve).collect();
    resolved.sort();
    resolved.dedup();
    let mut hash = Sha256::new();
    for path in resolved {
        hash.update(path.as_os_str().as_bytes());
        hash.update([0]);
    }
    let mut key = hex(&hash.finalize());
    key.truncate(KEY_DIGITS);
    key
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_state_directory_is_the_users() {
        let check = |own: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            assert_eq!(
                state_home(own.map(Into::into), home.map(Path::new)),
                expected.map(PathBuf::from)
            );
        };
        check(Some("/state"), Some("/home/a"), Some("/state"));
        check(Some("state"), Some("/home/a"), Some("/home/a/.local/state"));
        check(None, Some("/home/a"), Some("/home/a/.local/state"));
        check(None, None, None);
        check(None, Some(""), None);
    }

    #[test]
    fn the_same_paths_have_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a.yaml", "b.yaml"].map(|name| folder.path().join(name));
        for file in [&a, &b] {
            std::fs::write(file, "").unwrap();
        }
        let again = folder.path().join(".").join("a.yaml");
        assert_eq!(key(&[a.clone(), b.clone()]), key(&[b.clone(), again, a.clone()]));
        assert_ne!(key(&[a.clone(), b]), key(&[a]));
    }
}
