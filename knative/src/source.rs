//! Where an object and each of its fields stand in the file they came from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::problem::{Position, Problem};

/// The origin of one object: its file, its document, and the position of every field that was written.
///
/// Cheap to clone. It takes no part in comparing objects: two objects from different places can be equal.
#[derive(Clone)]
pub struct Source {
    file: Arc<str>,
    document: Position,
    fields: Arc<BTreeMap<String, Position>>,
}

impl Source {
    /// An origin whose document begins at `document`, with the positions of its fields by path.
    pub(crate) fn new(file: Arc<str>, document: Position, fields: BTreeMap<String, Position>) -> Self {
        Self {
            file,
            document,
            fields: Arc::new(fields),
        }
    }

    /// The file, as the caller of [`load`](crate::load) named it.
    #[must_use]
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// Where the document begins.
    #[must_use]
    pub fn document(&self) -> Position {
        self.document
    }

    /// Where the field with this path stands; of a field that was not written, its nearest parent that was.
    #[must_use]
    pub fn position(&self, path: &str) -> Position {
        let mut path = path;
        loop {
            if let Some(position) = self.fields.get(path) {
                return *position;
            }
            match path.rfind(['.', '[']).and_then(|end| path.get(..end)) {
                Some(parent) => path = parent,
                None => return self.document,
            }
        }
    }

    /// A problem with the field `path` of this object, found after it was loaded.
    #[must_use]
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem {
            file: Arc::clone(&self.file),
            position: self.position(path),
            path: path.to_owned(),
            message: message.into(),
            hint: None,
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.document)
    }
}

impl PartialEq for Source {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_was_not_written_stands_at_its_nearest_parent() {
        let at = |line, column| Position { line, column };
        let fields = [
            ("spec", at(2, 1)),
            ("spec.traffic[1]", at(9, 3)),
            ("spec.traffic[1].tag", at(10, 8)),
        ];
        let fields = fields
            .into_iter()
            .map(|(path, position)| (path.to_owned(), position))
            .collect();
        let source = Source::new("a.yaml".into(), Position::START, fields);
        for (path, expected) in [
            ("spec.traffic[1].tag", at(10, 8)),
            ("spec.traffic[1].percent", at(9, 3)),
            ("spec.traffic[0].percent", at(2, 1)),
            ("metadata.name", at(1, 1)),
        ] {
            assert_eq!(source.position(path), expected, "{path}");
        }
        assert_eq!(
            source.problem("spec.x", "no").to_string(),
            "a.yaml:2:1: spec.x: no"
        );
    }
}
