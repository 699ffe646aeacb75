//! Where the problems of one file are gathered, all of them before anybody is told.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::limits::PROBLEMS_MAX;
use crate::problem::{Position, Problem};

/// The problems of one file so far.
pub(crate) struct Report {
    file: Arc<str>,
    problems: RefCell<Vec<Problem>>,
    dropped: Cell<usize>,
}

impl Report {
    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            problems: RefCell::default(),
            dropped: Cell::new(0),
        }
    }

    pub(crate) fn file(&self) -> Arc<str> {
        Arc::clone(&self.file)
    }

    /// Adds a problem; beyond [`PROBLEMS_MAX`] it is only counted.
    pub(crate) fn add(&self, position: Position, path: &str, message: impl Into<String>, hint: &str) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() >= PROBLEMS_MAX {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        problems.push(Problem {
            file: self.file(),
            position,
            path: path.to_owned(),
            message: message.into(),
            hint: if hint.is_empty() {
                None
            } else {
                Some(hint.to_owned())
            },
        });
    }

    /// How many problems there are: an unchanged count says that a step found none.
    pub(crate) fn count(&self) -> usize {
        self.problems.borrow().len() + self.dropped.get()
    }

    /// The problems in the order of the file.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.position);
        if let (dropped @ 1.., Some(last)) = (self.dropped.get(), problems.last()) {
            problems.push(Problem {
                file: self.file,
                position: last.position,
                path: String::new(),
                message: format!("{dropped} more problems"),
                hint: Some("fix these first".to_owned()),
            });
        }
        problems
    }
}
