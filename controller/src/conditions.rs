//! What an object says about itself: its conditions, with Knative's reasons and words.

use std::borrow::Cow;
use std::fmt;

use crate::names::READY;

/// One condition of an object's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `Ready`, or what `Ready` depends on.
    pub kind: &'static str,
    /// Whether it holds.
    pub status: Status,
    /// One word; empty where there is nothing to explain.
    pub reason: Cow<'static, str>,
    /// The same for people.
    pub message: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    True,
    /// It does not, and will not by itself.
    False,
    /// It does not yet.
    Unknown,
}

impl Condition {
    /// Whether it does not hold, and will not by itself.
    #[must_use]
    pub fn is_false(&self) -> bool {
        self.status == Status::False
    }

    /// The condition `kind`, holding, with nothing to explain.
    pub(crate) fn holds(kind: &'static str) -> Self {
        Self {
            kind,
            status: Status::True,
            reason: Cow::Borrowed(""),
            message: String::new(),
        }
    }

    /// The condition `kind`, not holding.
    pub(crate) fn fails(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: Status::False,
            reason: Cow::Borrowed(reason),
            message: message.into(),
        }
    }

    /// The condition `kind`, undecided.
    pub(crate) fn waits(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: Status::Unknown,
            reason: Cow::Borrowed(reason),
            message: message.into(),
        }
    }

    /// The same said of another condition, as a parent says it of its child.
    pub(crate) fn renamed(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }
}

/// Its reason and message, for people.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.reason, &*self.message) {
            ("", message) => f.write_str(message),
            (reason, "") => f.write_str(reason),
            (reason, message) => write!(f, "{reason}: {message}"),
        }
    }
}

/// `Ready` and what it depends on: False if one of them is, else Unknown if one of them is, else True.
pub(crate) fn with_ready(dependents: Vec<Condition>) -> Vec<Condition> {
    let worst = [Status::False, Status::Unknown]
        .into_iter()
        .find_map(|status| dependents.iter().find(|condition| condition.status == status));
    let ready = worst.map_or_else(|| Condition::holds(READY), |worst| worst.clone().renamed(READY));
    std::iter::once(ready).chain(dependents).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{CONFIGURATIONS_READY, ROUTES_READY};

    #[test]
    fn a_condition_reads_as_reason_and_message() {
        let failed = Condition::fails(ROUTES_READY, "Broken", "no");
        assert_eq!(
            (failed.to_string().as_str(), failed.is_false()),
            ("Broken: no", true)
        );
        assert_eq!(Condition::holds(ROUTES_READY).to_string(), "");
    }

    #[test]
    fn ready_is_as_bad_as_the_worst_it_depends_on() {
        let holds = Condition::holds(CONFIGURATIONS_READY);
        let waits = Condition::waits(ROUTES_READY, "Waiting", "not yet");
        let fails = Condition::fails(ROUTES_READY, "Broken", "no");
        for (dependents, expected) in [
            (vec![holds.clone()], Condition::holds(READY)),
            (vec![holds.clone(), waits.clone()], waits.clone().renamed(READY)),
            (vec![waits, fails.clone(), holds], fails.renamed(READY)),
        ] {
            assert_eq!(with_ready(dependents).first(), Some(&expected));
        }
    }
}
