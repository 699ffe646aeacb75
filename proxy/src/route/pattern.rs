//! Regular expressions of a configuration: RE2's syntax and meaning, with a bound on what one may cost.
//!
//! ```
//! use tidegate_proxy::route::{Pattern, Substitution};
//!
//! let digits = Pattern::whole("id", "[0-9]+")?;
//! assert!(digits.matches(b"42") && !digits.matches(b"42a"));
//!
//! let swap = Substitution::new("path rewrite", "^/([^/]+)/([^/]+)", r"/\2/\1")?;
//! assert_eq!(swap.apply(b"/a/b/c", 100).as_deref(), Some(b"/b/a/c".as_slice()));
//! // Nothing grows without a bound.
//! assert_eq!(swap.apply(b"/a/b/c", 3), None);
//! # Ok::<(), tidegate_proxy::route::InvalidField>(())
//! ```

use std::borrow::Cow;

use regex::bytes::{Captures, Regex, RegexBuilder};

use super::InvalidField;
use crate::config::limits;

/// A regular expression. Matching takes time linear in the text, whatever the expression (no look-around, no
/// back-references, as in RE2); `.` does not match a line end.
#[derive(Clone, Debug)]
pub struct Pattern {
    // A full match needs anchors, a replacement must not have them: whoever needs one kind builds one.
    regex: Regex,
    extent: Extent,
}

/// What of a text has to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Whole,
    Anywhere,
}

/// What replaces each match of a [`Pattern`]: text in which `\0` stands for the match, `\1` to `\9` for its groups
/// and `\\` for a backslash, as RE2 has it.
#[derive(Clone, Debug)]
pub struct Substitution {
    pattern: Pattern,
    pieces: Box<[Piece]>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(Box<[u8]>),
    Group(usize),
}

/// What stands around an expression that has to match a whole text.
const WHOLE_START: &str = "^(?:";
const WHOLE_END: &str = ")$";

impl Pattern {
    /// An expression that has to match a whole text.
    ///
    /// # Errors
    /// When it is no regular expression, or longer or larger than
    /// [`limits::REGEX_TEXT_BYTES_MAX`] and [`limits::REGEX_PROGRAM_BYTES_MAX`] allow.
    pub fn whole(field: &'static str, text: &str) -> Result<Self, InvalidField> {
        // On its own first: `a)(b` must not become valid by the parentheses around it.
        compile(field, text, text)?;
        let regex = compile(field, text, &format!("{WHOLE_START}{text}{WHOLE_END}"))?;
        let extent = Extent::Whole;
        Ok(Self { regex, extent })
    }

    /// An expression that may match anywhere.
    ///
    /// # Errors
    /// As [`Pattern::whole`].
    pub fn anywhere(field: &'static str, text: &str) -> Result<Self, InvalidField> {
        let regex = compile(field, text, text)?;
        let extent = Extent::Anywhere;
        Ok(Self { regex, extent })
    }

    /// The expression as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        let text = self.regex.as_str();
        match self.extent {
            Extent::Anywhere => text,
            Extent::Whole => {
                let inner = text
                    .strip_prefix(WHOLE_START)
                    .and_then(|rest| rest.strip_suffix(WHOLE_END));
                inner.unwrap_or(text)
            }
        }
    }

    /// Whether it matches: the whole of `text` if built by [`Pattern::whole`].
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }
}

impl Substitution {
    /// Replaces each match of `pattern` by `replacement`.
    ///
    /// # Errors
    /// As [`Pattern::whole`]; also when the replacement has a group that the pattern lacks, or a lone backslash.
    pub fn new(field: &'static str, pattern: &str, replacement: &str) -> Result<Self, InvalidField> {
        let pattern = Pattern::anywhere(field, pattern)?;
        let groups = pattern.regex.captures_len();
        let pieces = pieces(replacement, groups).map_err(|why| InvalidField::new(field, replacement, why))?;
        Ok(Self { pattern, pieces })
    }

    /// What is replaced.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// What replaces it, as it was given.
    #[must_use]
    pub fn replacement(&self) -> String {
        let mut replacement = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => {
                    replacement.push_str(&String::from_utf8_lossy(text).replace('\\', r"\\"));
                }
                Piece::Group(number) => replacement.push_str(&format!("\\{number}")),
            }
        }
        replacement
    }

    /// `text` with every match replaced; no copy where there is none. The result has at most `bytes_max` bytes, or
    /// there is none.
    #[must_use]
    pub fn apply<'a>(&self, text: &'a [u8], bytes_max: usize) -> Option<Cow<'a, [u8]>> {
        let mut found = self.pattern.regex.captures_iter(text).peekable();
        if found.peek().is_none() {
            return (text.len() <= bytes_max).then_some(Cow::Borrowed(text));
        }
        let (mut result, mut copied) = (Vec::with_capacity(text.len()), 0);
        for captures in found {
            let Some(whole) = captures.get(0) else { continue };
            result.extend_from_slice(text.get(copied..whole.start()).unwrap_or_default());
            self.expand(&captures, &mut result);
            copied = whole.end();
            if result.len() > bytes_max {
                return None;
            }
        }
        result.extend_from_slice(text.get(copied..).unwrap_or_default());
        (result.len() <= bytes_max).then_some(Cow::Owned(result))
    }

    fn expand(&self, captures: &Captures<'_>, result: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => result.extend_from_slice(text),
                Piece::Group(number) => {
                    if let Some(group) = captures.get(*number) {
                        result.extend_from_slice(group.as_bytes());
                    }
                }
            }
        }
    }
}

fn pieces(replacement: &str, groups: usize) -> Result<Box<[Piece]>, &'static str> {
    let (mut pieces, mut text) = (Vec::new(), Vec::new());
    let mut bytes = replacement.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'\\') => text.push(b'\\'),
            Some(digit @ b'0'..=b'9') => {
                let group = usize::from(digit - b'0');
                if group >= groups {
                    return Err("it names a group that the pattern does not have");
                }
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text).into()));
                }
                pieces.push(Piece::Group(group));
            }
            _ => return Err("behind a backslash there has to be a digit or another backslash"),
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
    Ok(pieces.into())
}

fn compile(field: &'static str, shown: &str, text: &str) -> Result<Regex, InvalidField> {
    if shown.len() > limits::REGEX_TEXT_BYTES_MAX {
        let why = format!("it is longer than {} bytes", limits::REGEX_TEXT_BYTES_MAX);
        return Err(InvalidField::new(field, shown, why));
    }
    // As in RE2 `\d`, `\w` and the like are ASCII; bytes that are no UTF-8 do not stop a `.`.
    let unicode = !text.is_ascii() || text.contains("\\p") || text.contains("\\P");
    RegexBuilder::new(text)
        .unicode(unicode)
        .size_limit(limits::REGEX_PROGRAM_BYTES_MAX)
        .dfa_size_limit(limits::REGEX_CACHE_BYTES_MAX)
        .build()
        .map_err(|error| {
            // The parser's message draws the place over several lines; the last one says what is wrong.
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default().trim().to_owned();
            InvalidField::new(field, shown, why)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_pattern_matches_from_the_first_to_the_last_byte() {
        let check = |given: &str, text: &str, expected: bool| {
            let pattern = Pattern::whole("path regex", given).unwrap();
            assert_eq!(pattern.matches(text.as_bytes()), expected, "{pattern:?} {text}");
            assert_eq!(pattern.text(), given);
        };
        check("/a|/ab", "/ab", true);
        check("/a|/ab", "/abc", false);
        check("/a.*", "/a", true);
        check("/a", "/a\n", false);
        check("", "", true);
        check("/\\d+", "/12", true);
    }

    #[test]
    fn what_is_no_bounded_expression_is_refused() {
        let check = |pattern: &str, reason: &str| {
            let error = Pattern::whole("path regex", pattern).unwrap_err().to_string();
            assert!(
                error.starts_with("invalid path regex") && error.contains(reason),
                "{error}"
            );
        };
        check("a)(b", "unopened group");
        check("(?=a)", "look-around");
        check("(a", "unclosed group");
        check("(a{1000}){1000}", "size limit");
        check(&"a".repeat(limits::REGEX_TEXT_BYTES_MAX + 1), "longer than");
    }

    #[test]
    fn a_substitution_takes_groups_over_and_stays_in_its_bound() {
        let check = |pattern: &str, with: &str, text: &str, expected: &str| {
            let substitution = Substitution::new("path rewrite", pattern, with).unwrap();
            let result = substitution.apply(text.as_bytes(), 64).unwrap();
            assert_eq!(&*result, expected.as_bytes(), "{pattern} {with}");
            let said = (substitution.pattern().text(), substitution.replacement());
            assert_eq!(said, (pattern, with.to_owned()));
        };
        check(
            "^/service/([^/]+)(/.*)$",
            r"\2/instance/\1",
            "/service/foo/v1/api",
            "/v1/api/instance/foo",
        );
        check("one", "two", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/two/zzz");
        check("(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb", "/aaa/yyy/bbb");
        check("b", r"\\\0", "abc", r"a\bc");
        check("x", "y", "abc", "abc");
        check("", "-", "ab", "-a-b-");
        let grows = Substitution::new("path rewrite", ".", r"\0\0\0\0").unwrap();
        assert!(grows.apply(&[b'a'; 20], 64).is_none());
    }

    #[test]
    fn a_substitution_without_its_group_is_refused() {
        let error = |with| {
            Substitution::new("path rewrite", "a(b)", with)
                .unwrap_err()
                .to_string()
        };
        assert!(error(r"\2").contains("group"), "{}", error(r"\2"));
        assert!(error("\\").contains("backslash"), "{}", error("\\"));
        assert!(error(r"\n").contains("backslash"), "{}", error(r"\n"));
    }
}
