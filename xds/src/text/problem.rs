//! What is wrong with a text, and where?

use std::fmt;

use super::tree::Position;

/// Something wrong at one place of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Position,
    /// The field, such as `static_resources.clusters[0].connect_timeout`; empty for the text as a whole.
    pub path: String,
    /// What, in Envoy's words where Envoy has any.
    pub message: String,
    /// What may have been meant; empty if there is no telling.
    pub hint: String,
}

impl Problem {
    pub(super) fn new(at: Position, message: impl Into<String>) -> Self {
        Self {
            at,
            path: String::new(),
            message: message.into(),
            hint: String::new(),
        }
    }
}

impl fmt::Display for Problem {
    /// `LINE:COLUMN: PATH: MESSAGE (HINT)`; what prints it puts the file in front.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: ", self.at)?;
        if !self.path.is_empty() {
            write!(out, "{}: ", self.path)?;
        }
        out.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(out, " ({})", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// `did you mean …`, when one of `known` is hardly different.
pub(super) fn did_you_mean<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    let wanted = folded(name);
    let bound = (wanted.chars().count() / 3).clamp(1, 3);
    known
        .map(|candidate| (distance(&wanted, &folded(candidate)), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, candidate)| format!("did you mean '{candidate}'?"))
        .unwrap_or_default()
}

/// Without regard to case and to how words are joined.
fn folded(name: &str) -> String {
    if name.contains(|letter: char| letter.is_ascii_lowercase()) {
        super::tree::snake(name)
    } else {
        name.to_ascii_lowercase()
    }
}

/// How many letters to insert, remove or replace.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, from) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, to) in row.iter_mut().skip(1).zip(other.chars()) {
            let replaced = diagonal + usize::from(from != to);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}
