//! Where in the file system a change of the files would show: their directories, and those of every link on the way.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::disk::is_object_file;
use crate::limits::SYMLINKS_MAX;

/// The places to watch. All directories are free of links, since that is how a watch names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Directories to watch, not recursively.
    pub(super) directories: BTreeSet<PathBuf>,
    /// Set if a place cannot be watched, because its directory is not there.
    pub(super) incomplete: bool,
    /// Files, links and directories whose change counts.
    entries: BTreeSet<PathBuf>,
    /// Directories in which every object file counts.
    sources: BTreeSet<PathBuf>,
}

impl Places {
    /// The places of the paths that were named, and of the files that they lead to.
    pub(super) fn of(paths: &[PathBuf], files: &[PathBuf]) -> Self {
        let mut places = Self::default();
        for path in paths.iter().chain(files) {
            match std::path::absolute(path) {
                Ok(path) => places.follow(path),
                Err(_) => places.incomplete = true,
            }
        }
        for directory in paths.iter().filter(|path| path.is_dir()) {
            match fs::canonicalize(directory) {
                Ok(directory) => {
                    places.directories.insert(directory.clone());
                    places.sources.insert(directory);
                }
                Err(_) => places.incomplete = true,
            }
        }
        places
    }

    /// Whether a change at `path`, below a watched directory, may change the files.
    pub(super) fn concern(&self, path: &Path) -> bool {
        self.entries.contains(path)
            || self.directories.contains(path)
            || (is_object_file(path) && path.parent().is_some_and(|parent| self.sources.contains(parent)))
    }

    /// Adds what `path` is, with every link that leads to it.
    fn follow(&mut self, mut path: PathBuf) {
        for _ in 0..SYMLINKS_MAX {
            match first_link(&path) {
                Some((link, target)) => {
                    self.add(&link);
                    path = target;
                }
                None => return self.add(&path),
            }
        }
        self.incomplete = true;
    }

    fn add(&mut self, path: &Path) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return;
        };
        match fs::canonicalize(parent) {
            Ok(parent) => {
                self.entries.insert(parent.join(name));
                self.directories.insert(parent);
            }
            Err(_) => self.incomplete = true,
        }
    }
}

/// The first part of an absolute path that is a link, and the path with the link's target in its place.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut walked = PathBuf::new();
    let mut components = path.components();
    while let Some(component) = components.next() {
        match component {
            Component::Normal(name) => {
                walked.push(name);
                if let Ok(target) = fs::read_link(&walked) {
                    let above = walked.parent().unwrap_or(Path::new("/"));
                    return Some((walked.clone(), above.join(target).join(components.as_path())));
                }
            }
            // Nothing before it is a link, so that the name above is the directory above.
            Component::ParentDir => _ = walked.pop(),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => {
                walked.push(component);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_on_the_way_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("mount/..v1")).unwrap();
        fs::write(root.join("mount/..v1/a.yaml"), "").unwrap();
        symlink("..v1", root.join("mount/..data")).unwrap();
        symlink("..data/a.yaml", root.join("mount/a.yaml")).unwrap();
        symlink("mount", root.join("current")).unwrap();

        let named = root.join("current");
        let places = Places::of(std::slice::from_ref(&named), &[named.join("a.yaml")]);
        assert!(!places.incomplete);
        let directories = [root.clone(), root.join("mount"), root.join("mount/..v1")];
        assert!(places.directories.is_superset(&directories.into()), "{places:?}");
        for (path, expected) in [
            ("current", true),
            ("mount/a.yaml", true),
            ("mount/..data", true),
            ("mount/..v1/a.yaml", true),
            ("mount/new.json", true),
            ("mount/notes.txt", false),
            ("mount/.a.yaml.swp", false),
            ("mount/.#a.yaml", false),
            ("mount/..v2", false),
            ("other.yaml", false),
        ] {
            assert_eq!(places.concern(&root.join(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_path_whose_directory_is_gone_cannot_be_watched() {
        assert!(Places::of(&["/nowhere/at/all/a.yaml".into()], &[]).incomplete);
    }

    #[test]
    fn links_that_go_in_circles_end() {
        let folder = tempfile::tempdir().unwrap();
        symlink("b", folder.path().join("a")).unwrap();
        symlink("a", folder.path().join("b")).unwrap();
        assert!(Places::of(&[folder.path().join("a")], &[]).incomplete);
    }
}
