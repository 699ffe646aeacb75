//! What is wrong with a part of a route, and where.
//!
//! ```
//! use tidegate_proxy::route::PathMatch;
//!
//! let invalid = PathMatch::regex("/users/(").expect_err("the group has no end");
//! assert_eq!(invalid.field(), "path regex");
//! assert!(invalid.to_string().contains("/users/("));
//! ```

use std::borrow::Cow;
use std::fmt;

/// A part of a route, or of a filter, that cannot be used. Says which field, its value and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidField {
    field: &'static str,
    value: Box<str>,
    reason: Cow<'static, str>,
}

/// How much of a value a message repeats, in bytes.
const SHOWN_BYTES: usize = 200;

impl InvalidField {
    pub(crate) fn new(field: &'static str, value: &str, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut end = value.len().min(SHOWN_BYTES);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            field,
            value: value.get(..end).unwrap_or_default().into(),
            reason: reason.into(),
        }
    }

    /// The field, as this crate names it.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// What is wrong with its value.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid {} '{}': {}",
            self.field,
            self.value.escape_debug(),
            self.reason
        )
    }
}

impl std::error::Error for InvalidField {}
