//! How a mistake in a file is told: where it stands, which field, what is wrong, what to do.

use std::fmt;
use std::sync::Arc;

/// A place in a file; lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl Position {
    /// The beginning of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One mistake in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the caller named it.
    pub file: Arc<str>,
    /// Where in the file.
    pub position: Position,
    /// The field, such as `spec.template.spec.containers[0].ports[0].name`; empty for the whole document.
    pub path: String,
    /// What is wrong, in the words of Knative's webhook where it has some.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.position)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_place_field_message_and_hint() {
        let mut problem = Problem {
            file: "hello.yaml".into(),
            position: Position { line: 7, column: 5 },
            path: "spec.traffic".into(),
            message: "Traffic targets sum to 90, want 100".into(),
            hint: Some("add 10".into()),
        };
        assert_eq!(
            problem.to_string(),
            "hello.yaml:7:5: spec.traffic: Traffic targets sum to 90, want 100 (add 10)"
        );
        problem.path.clear();
        problem.hint = None;
        assert_eq!(
            problem.to_string(),
            "hello.yaml:7:5: Traffic targets sum to 90, want 100"
        );
    }
}
