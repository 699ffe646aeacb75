//! Which run of tidegate is this? What it starts carries the answer, so that a later run can find what was left behind.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::str::FromStr;
use std::time::SystemTime;

/// Digits of an id: a 64-bit number in hexadecimal.
const DIGITS: usize = 16;

/// The id of one run: 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instance(String);

impl Instance {
    /// An id that no other run has.
    #[must_use]
    pub fn generate() -> Self {
        Self(unique())
    }

    /// The id as it stands in environment variables, labels and files.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text of [`DIGITS`] hexadecimal digits that nobody else has.
pub(crate) fn unique() -> String {
    // Each RandomState has keys of its own from the system's randomness.
    let number = RandomState::new().hash_one((std::process::id(), SystemTime::now()));
    format!("{number:0width$x}", width = DIGITS)
}

impl fmt::Display for Instance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A text that is no instance id.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no instance id: expected {DIGITS} hexadecimal digits")]
pub struct InvalidInstance(String);

impl FromStr for Instance {
    type Err = InvalidInstance;

    fn from_str(text: &str) -> Result<Self, InvalidInstance> {
        let valid =
            text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidInstance(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_own_and_survives_a_file() {
        let one = Instance::generate();
        assert_ne!(one, Instance::generate());
        assert_eq!(one.to_string().parse::<Instance>().expect("an id"), one);
    }

    #[test]
    fn other_texts_are_no_ids() {
        for text in [
            "",
            "0123",
            "0123456789abcdeF",
            "0123456789abcdef0",
            "0123456789abcde\n",
        ] {
            let error = text.parse::<Instance>().expect_err(text);
            assert!(
                error.to_string().contains("expected 16 hexadecimal digits"),
                "{error}"
            );
        }
    }
}
