//! What the files hold: their objects, or why they are broken. A file whose text is the same is not parsed again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_knative::{Defaults, Object, Problem, load};

use super::disk;
use super::places::Places;

/// What one file holds. Two readings of one text share it.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Objects(Arc<[Object]>),
    Broken(Arc<[Problem]>),
}

/// Everything that was there at one time.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) files: BTreeMap<PathBuf, Content>,
    /// Paths that lead nowhere.
    pub(super) absent: Vec<Problem>,
    /// Directories without an object file.
    pub(super) empty: Vec<Problem>,
    /// Paths of which the system does not tell what is there: what was there may still be.
    pub(super) unlisted: Vec<(PathBuf, Problem)>,
    /// Where changes would show.
    pub(super) places: Places,
}

/// Reads files, and keeps what they held.
#[derive(Debug)]
pub(super) struct Reader {
    paths: Vec<PathBuf>,
    defaults: Defaults,
    known: BTreeMap<PathBuf, (Result<String, Problem>, Content)>,
}

impl Reader {
    pub(super) fn new(paths: &[PathBuf], defaults: Defaults) -> Self {
        Self {
            paths: paths.to_vec(),
            defaults,
            known: BTreeMap::new(),
        }
    }

    /// Where changes would show now.
    pub(super) fn places(&self) -> Places {
        Places::of(&self.paths, &disk::list(&self.paths).files)
    }

    pub(super) fn read(&mut self) -> Reading {
        let listing = disk::list(&self.paths);
        // Before the files: a link that is changed while they are read is seen as changed.
        let places = Places::of(&self.paths, &listing.files);
        let mut earlier = std::mem::take(&mut self.known);
        for path in listing.files {
            let Some(text) = disk::text(&path) else { continue };
            let content = match earlier.remove(&path) {
                Some((same, content)) if same == text => content,
                _ => parse(&path, &text, &self.defaults),
            };
            self.known.insert(path, (text, content));
        }
        let files = self
            .known
            .iter()
            .map(|(path, (_, content))| (path.clone(), content.clone()))
            .collect();
        Reading {
            files,
            absent: listing.absent,
            empty: listing.empty,
            unlisted: listing.unlisted,
            places,
        }
    }
}

fn parse(path: &Path, text: &Result<String, Problem>, defaults: &Defaults) -> Content {
    match text {
        Ok(text) => match load(&path.display().to_string(), text, defaults) {
            Ok(objects) => Content::Objects(objects.into()),
            Err(problems) => Content::Broken(problems.into()),
        },
        Err(problem) => Content::Broken([problem.clone()].into()),
    }
}
