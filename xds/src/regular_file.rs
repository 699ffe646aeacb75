//! What does a file hold that a resource names? Whoever names it may be wrong, or wish ill.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// What tells that a file, or a directory, was replaced or written.
pub(crate) type Stamp = (u64, u64, u64, Option<SystemTime>);

/// What a path leads to looks like now; `None` where there is nothing.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.len(), found.modified().ok()))
}

/// Reads a regular file of at most so many bytes. A pipe that nobody writes to would hold up whoever reads, and a device has no
/// end: both are errors, whatever size the system says they have.
///
/// # Errors
/// When it cannot be read, is no regular file, or is longer ([`ErrorKind::FileTooLarge`]).
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    // Asked before it is opened: to open a pipe is to wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let why = format!("it has more than {bytes_max} bytes");
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_an_end_within_bounds_is_read() {
        let kind = |path: &str, most: u64| read(Path::new(path), most).map_err(|error| error.kind());
        assert_eq!(kind("/dev/zero", 16), Err(ErrorKind::InvalidInput));
        assert_eq!(kind("/", 16), Err(ErrorKind::InvalidInput));
        assert_eq!(kind("/no/such/file", 16), Err(ErrorKind::NotFound));
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let bytes = fs::read(manifest).unwrap();
        let length = bytes.len() as u64;
        assert_eq!(kind(manifest, length), Ok(bytes));
        assert_eq!(kind(manifest, length - 1), Err(ErrorKind::FileTooLarge));
        // It says that it is empty, and is not.
        assert_eq!(kind("/proc/self/maps", 1), Err(ErrorKind::FileTooLarge));
    }
}
