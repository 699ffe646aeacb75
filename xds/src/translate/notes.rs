//! What of a resource has no effect, collected while it is read.
//!
//! ```
//! use tidegate_xds::translate::notes::Notes;
//!
//! let mut notes = Notes::default();
//! notes.within("routes[0]", |notes| notes.add("decorator", "spans keep their names"));
//! assert_eq!(notes.into_list()[0].path, "routes[0].decorator");
//! ```

use std::fmt::Display;

use super::Note;
use crate::limits;

/// Collects [`Note`]s, at most [`limits::NOTES_MAX`].
#[derive(Debug, Default)]
pub struct Notes {
    place: String,
    list: Vec<Note>,
}

impl Notes {
    /// Takes note of a field below the current place; an empty one is the place itself.
    pub fn add(&mut self, field: &str, what: impl Into<String>) {
        if self.list.len() == limits::NOTES_MAX {
            return;
        }
        let dot = if self.place.is_empty() || field.is_empty() {
            ""
        } else {
            "."
        };
        self.list.push(Note {
            path: format!("{}{dot}{field}", self.place),
            what: what.into(),
        });
    }

    /// Takes note of each field that is set, and that nothing comes of it.
    pub fn add_set(&mut self, fields: &[(&str, bool)]) {
        for (field, _) in fields.iter().filter(|(_, set)| *set) {
            self.add(field, "it has no effect");
        }
    }

    /// The current place.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Takes note that a field has no effect, if it is `there`.
    pub fn ignored(&mut self, field: impl Display, there: bool) {
        if there {
            self.add(&field.to_string(), "it has no effect");
        }
    }

    /// Does `work`, whose notes are about what is below `part`.
    pub fn within<T>(&mut self, part: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.enter(part);
        let result = work(self);
        self.leave(before);
        result
    }

    /// What is noted from now on is about what is below `part`. Gives what [`Notes::leave`] needs to go back.
    pub fn enter(&mut self, part: &str) -> usize {
        let before = self.place.len();
        if before > 0 {
            self.place.push('.');
        }
        self.place.push_str(part);
        before
    }

    /// Goes back to where [`Notes::enter`] was called.
    pub fn leave(&mut self, before: usize) {
        self.place.truncate(before);
    }

    /// Takes over notes that were collected elsewhere.
    pub fn extend<'a>(&mut self, notes: impl IntoIterator<Item = &'a Note>) {
        let room = limits::NOTES_MAX - self.list.len();
        self.list.extend(notes.into_iter().take(room).cloned());
    }

    /// The notes, in order.
    #[must_use]
    pub fn into_list(self) -> Vec<Note> {
        self.list
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Forgets notes and place.
    pub fn clear(&mut self) {
        self.list.clear();
        self.place.clear();
    }

    /// The notes so far, which are taken out.
    pub fn take(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.list)
    }
}
