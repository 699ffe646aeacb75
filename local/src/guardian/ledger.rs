//! What does the guardian know, and by which lines was it told?
//!
//! `add ID START`, `remove ID`, and `done` when all ended in order.

use std::collections::BTreeMap;

use crate::group::ProcessGroup;

/// The process groups that must not outlive tidegate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    groups: BTreeMap<i32, ProcessGroup>,
}

/// A line of the protocol, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The ledger has changed.
    Change,
    /// Tidegate ends in order.
    Done,
}

/// A line that is not of the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Nonsense;

impl Ledger {
    pub(super) fn add_group(&mut self, group: ProcessGroup) {
        self.groups.insert(group.id(), group);
    }

    pub(super) fn remove_group(&mut self, id: i32) {
        self.groups.remove(&id);
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = ProcessGroup> + '_ {
        self.groups.values().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Takes one line of the protocol.
    pub(super) fn hear(&mut self, line: &str) -> Result<Told, Nonsense> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (verb, rest) {
            ("add", group) => self.add_group(group.parse().map_err(|_invalid| Nonsense)?),
            ("remove", id) => self.remove_group(id.parse().map_err(|_invalid| Nonsense)?),
            ("done", "") => return Ok(Told::Done),
            _ => return Err(Nonsense),
        }
        Ok(Told::Change)
    }

    /// The lines that bring one who knows `known` to know this.
    pub(super) fn lines_since(&self, known: &Self) -> String {
        let mut lines = String::new();
        let mut line = |text: String| {
            lines.push_str(&text);
            lines.push('\n');
        };
        for (id, group) in &known.groups {
            if self.groups.get(id) != Some(group) {
                line(format!("remove {id}"));
            }
        }
        for (id, group) in &self.groups {
            if known.groups.get(id) != Some(group) {
                line(format!("add {group}"));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    fn check(line: &str, expected: Result<Told, Nonsense>) {
        assert_eq!(Ledger::default().hear(line), expected, "{line:?}");
    }

    #[test]
    fn only_lines_of_the_protocol_are_understood() {
        check("add 123 456", Ok(Told::Change));
        check("add 123 -", Ok(Told::Change));
        check("remove 123", Ok(Told::Change));
        check("done", Ok(Told::Done));
        for line in [
            "", "add", "add 1 5", "add -5 5", "remove", "remove x", "done now", "kill 1",
        ] {
            check(line, Err(Nonsense));
        }
    }

    fn ledger() -> impl Strategy<Value = Ledger> {
        btree_map(2..9_i32, 0..3_u64, 0..5).prop_map(|groups| {
            let mut ledger = Ledger::default();
            for (id, started) in groups {
                ledger.add_group(format!("{id} {started}").parse().expect("a group"));
            }
            ledger
        })
    }

    proptest! {
        #[test]
        fn the_lines_carry_over_any_change(known in ledger(), wanted in ledger()) {
            let mut told = known.clone();
            for line in wanted.lines_since(&known).lines() {
                prop_assert_eq!(told.hear(line), Ok(Told::Change));
            }
            prop_assert_eq!(told, wanted);
        }
    }
}
