//! Which files there are, and their text.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tidegate_knative::limits::FILE_BYTES_MAX;
use tidegate_knative::{Position, Problem};

use crate::limits::FILES_MAX;
use crate::names::OBJECT_FILE_EXTENSIONS;

/// What the paths stand for now.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Every file once, in the order in which the paths lead to them.
    pub(super) files: Vec<PathBuf>,
    /// Paths that lead nowhere.
    pub(super) absent: Vec<Problem>,
    /// Directories without an object file.
    pub(super) empty: Vec<Problem>,
    /// Paths of which the system does not tell what is there.
    pub(super) unlisted: Vec<(PathBuf, Problem)>,
}

pub(super) fn list(paths: &[PathBuf]) -> Listing {
    let mut listing = Listing::default();
    for path in paths {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => listing.add_directory(path),
            Ok(_) => listing.files.push(path.clone()),
            Err(error) if is_absent(&error) => {
                listing
                    .absent
                    .push(problem(path, "no such file or directory", "check the path"));
            }
            Err(error) => listing.add_unlisted(path, &error),
        }
    }
    let mut seen = BTreeSet::new();
    listing
        .files
        .retain(|file| seen.insert(fs::canonicalize(file).unwrap_or_else(|_| file.clone())));
    listing
}

impl Listing {
    fn add_directory(&mut self, directory: &Path) {
        let before = self.files.len();
        match object_files(directory) {
            Ok(files) => self.files.extend(files),
            Err(error) => return self.add_unlisted(directory, &error),
        }
        if self.files.len() == before {
            let hint = "put object files into it, or name another path; sub-directories do not count";
            self.empty.push(problem(
                directory,
                "the directory has no .yaml, .yml or .json file",
                hint,
            ));
        }
        if self.files.len() > FILES_MAX {
            self.files.truncate(before);
            let message = format!("there are more than {FILES_MAX} object files");
            self.unlisted.push((
                directory.to_owned(),
                problem(directory, message, "name a smaller directory"),
            ));
        }
    }

    fn add_unlisted(&mut self, path: &Path, error: &io::Error) {
        let problem = problem(path, format!("cannot be read: {error}"), "check its permissions");
        self.unlisted.push((path.to_owned(), problem));
    }
}

/// The object files of a directory, by name. What is not a file in the end is none.
fn object_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if is_object_file(&path) && !fs::metadata(&path).is_ok_and(|found| found.is_dir()) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a file in a directory counts, by its name.
pub(super) fn is_object_file(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && extension.is_some_and(|extension| OBJECT_FILE_EXTENSIONS.contains(&extension))
}

/// The text of a file; none if it is not there any more.
pub(super) fn text(path: &Path) -> Option<Result<String, Problem>> {
    match bytes(path) {
        Ok(Some(bytes)) => Some(String::from_utf8(bytes).map_err(|_| {
            problem(
                path,
                "the file is not text in UTF-8",
                "save it as UTF-8, or take it away",
            )
        })),
        Ok(None) => {
            let message = format!("the file has more than {FILE_BYTES_MAX} bytes");
            Some(Err(problem(path, message, "split it into several files")))
        }
        // A link that leads nowhere is broken; a name that is gone is no file.
        Err(error) if is_absent(&error) && fs::symlink_metadata(path).is_err() => None,
        Err(error) => Some(Err(problem(
            path,
            format!("cannot be read: {error}"),
            "check the file",
        ))),
    }
}

/// The bytes of a file, or none if there are too many.
fn bytes(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // Before it is opened: to open a pipe would wait for a writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= FILE_BYTES_MAX).then_some(bytes))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn problem(path: &Path, message: impl Into<String>, hint: &str) -> Problem {
    Problem {
        file: path.display().to_string().into(),
        position: Position::START,
        path: String::new(),
        message: message.into(),
        hint: Some(hint.to_owned()),
    }
}
