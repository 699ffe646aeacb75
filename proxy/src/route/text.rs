//! How a configuration describes a text: exactly, by its start, its end, a part or a regular expression.
//!
//! ```
//! use tidegate_proxy::route::TextMatch;
//!
//! assert!(TextMatch::prefix("Bearer ").ignoring_case().matches(b"bearer abc"));
//! assert!(TextMatch::regex("x-id", "[0-9a-f]{8}")?.matches(b"0123abcd"));
//! assert!(!TextMatch::exact("a").matches(b"ab"));
//! # Ok::<(), tidegate_proxy::route::InvalidField>(())
//! ```

use super::{InvalidField, Pattern};

/// A condition on a text, such as a header's value.
#[derive(Clone, Debug)]
pub struct TextMatch {
    kind: Kind,
    case: Case,
}

/// Whether upper and lower case letters of ASCII differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// They differ.
    #[default]
    Sensitive,
    /// They are the same.
    Ignored,
}

/// A condition on a text as its constructor took it; for explanations and for other data planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextRule<'a> {
    /// [`TextMatch::exact`].
    Exact(&'a str),
    /// [`TextMatch::prefix`].
    Prefix(&'a str),
    /// [`TextMatch::suffix`].
    Suffix(&'a str),
    /// [`TextMatch::contains`].
    Contains(&'a str),
    /// [`TextMatch::regex`].
    Regex(&'a str),
}

#[derive(Clone, Debug)]
enum Kind {
    Exact(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
    Contains(Box<str>),
    Regex(Pattern),
}

impl TextMatch {
    /// The text is this.
    #[must_use]
    pub fn exact(text: impl Into<Box<str>>) -> Self {
        Self::sensitive(Kind::Exact(text.into()))
    }

    /// The text starts with this.
    #[must_use]
    pub fn prefix(text: impl Into<Box<str>>) -> Self {
        Self::sensitive(Kind::Prefix(text.into()))
    }

    /// The text ends with this.
    #[must_use]
    pub fn suffix(text: impl Into<Box<str>>) -> Self {
        Self::sensitive(Kind::Suffix(text.into()))
    }

    /// The text has this in it.
    #[must_use]
    pub fn contains(text: impl Into<Box<str>>) -> Self {
        Self::sensitive(Kind::Contains(text.into()))
    }

    /// The whole text matches this regular expression (RE2's syntax), which says itself whether case matters.
    ///
    /// # Errors
    /// As [`Pattern::whole`].
    pub fn regex(field: &'static str, text: &str) -> Result<Self, InvalidField> {
        Ok(Self::sensitive(Kind::Regex(Pattern::whole(field, text)?)))
    }

    /// The same condition with upper and lower case the same. Does nothing to a regular expression.
    #[must_use]
    pub fn ignoring_case(self) -> Self {
        Self {
            case: Case::Ignored,
            ..self
        }
    }

    fn sensitive(kind: Kind) -> Self {
        Self {
            kind,
            case: Case::Sensitive,
        }
    }

    /// What it says.
    #[must_use]
    pub fn rule(&self) -> TextRule<'_> {
        match &self.kind {
            Kind::Exact(text) => TextRule::Exact(text),
            Kind::Prefix(text) => TextRule::Prefix(text),
            Kind::Suffix(text) => TextRule::Suffix(text),
            Kind::Contains(text) => TextRule::Contains(text),
            Kind::Regex(pattern) => TextRule::Regex(pattern.text()),
        }
    }

    /// Whether upper and lower case differ.
    #[must_use]
    pub fn case(&self) -> Case {
        self.case
    }

    /// Whether `text` meets the condition.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        let case = self.case;
        match &self.kind {
            Kind::Exact(exact) => case.equal(text, exact.as_bytes()),
            Kind::Prefix(prefix) => case.starts(text, prefix.as_bytes()),
            Kind::Suffix(suffix) => text
                .len()
                .checked_sub(suffix.len())
                .and_then(|start| text.get(start..))
                .is_some_and(|end| case.equal(end, suffix.as_bytes())),
            Kind::Contains(part) => match case {
                Case::Sensitive => memchr::memmem::find(text, part.as_bytes()).is_some(),
                // `windows` takes no 0.
                Case::Ignored => {
                    part.is_empty()
                        || text
                            .windows(part.len())
                            .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
                }
            },
            Kind::Regex(pattern) => pattern.matches(text),
        }
    }
}

impl Case {
    /// Whether two texts are the same.
    pub(crate) fn equal(self, text: &[u8], other: &[u8]) -> bool {
        match self {
            Self::Sensitive => text == other,
            Self::Ignored => text.eq_ignore_ascii_case(other),
        }
    }

    /// Whether `text` starts with `prefix`.
    pub(crate) fn starts(self, text: &[u8], prefix: &[u8]) -> bool {
        text.get(..prefix.len())
            .is_some_and(|start| self.equal(start, prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_condition_holds_where_it_should() {
        let check = |condition: TextMatch, yes: &[&str], no: &[&str]| {
            for text in yes {
                assert!(condition.matches(text.as_bytes()), "{condition:?} {text}");
            }
            for text in no {
                assert!(!condition.matches(text.as_bytes()), "{condition:?} {text}");
            }
        };
        check(TextMatch::exact("a"), &["a"], &["A", "", "ab"]);
        check(TextMatch::exact("a").ignoring_case(), &["a", "A"], &["b"]);
        check(TextMatch::prefix("ab"), &["ab", "abc"], &["a", "Ab", "cab"]);
        check(TextMatch::prefix("ab").ignoring_case(), &["aBc"], &["a"]);
        check(TextMatch::suffix("bc"), &["bc", "abc"], &["c", "bcd", "BC"]);
        check(TextMatch::suffix("bc").ignoring_case(), &["aBC"], &["c"]);
        check(TextMatch::contains("b"), &["abc", "b"], &["aBc", ""]);
        check(TextMatch::contains("B").ignoring_case(), &["abc"], &["ac"]);
        check(TextMatch::contains("").ignoring_case(), &["", "a"], &[]);
        check(TextMatch::regex("x", "a+").unwrap(), &["aa"], &["ab", "", "A"]);
    }
}
