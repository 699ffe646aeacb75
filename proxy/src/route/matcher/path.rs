//! Which paths a route takes, and which part of them a rewrite may replace.
//!
//! ```
//! use tidegate_proxy::route::PathMatch;
//!
//! assert!(PathMatch::prefix("/api").matches("/apis"));
//! assert!(!PathMatch::segments("/api")?.matches("/apis"));
//! assert!(PathMatch::regex("/users/[0-9]+")?.matches("/users/7"));
//! assert!(PathMatch::exact("/About").ignoring_case().matches("/about"));
//! # Ok::<(), tidegate_proxy::route::InvalidField>(())
//! ```

use crate::route::text::Case;
use crate::route::{InvalidField, Pattern};

/// What the path of a request has to look like. The default takes every path.
#[derive(Clone, Debug, Default)]
pub struct PathMatch {
    kind: Kind,
    case: Case,
    parameters: Parameters,
}

/// Whether what begins with a `;` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Parameters {
    #[default]
    Count,
    Ignored,
}

/// A condition on a path as its constructor took it; for explanations and for other data planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathRule<'a> {
    /// Every path.
    Any,
    /// [`PathMatch::prefix`].
    Prefix(&'a str),
    /// [`PathMatch::exact`].
    Exact(&'a str),
    /// [`PathMatch::segments`].
    Segments(&'a str),
    /// [`PathMatch::regex`].
    Regex(&'a str),
}

#[derive(Clone, Debug, Default)]
enum Kind {
    #[default]
    Any,
    Prefix(Box<str>),
    Exact(Box<str>),
    Segments(Box<str>),
    Regex(Box<Pattern>),
}

impl PathMatch {
    /// The path starts with this, also in the middle of a segment: `/a` takes `/ab`. Empty and `/` take every path.
    #[must_use]
    pub fn prefix(prefix: impl Into<Box<str>>) -> Self {
        let prefix = prefix.into();
        if prefix.is_empty() {
            return Self::default();
        }
        Self::sensitive(Kind::Prefix(prefix))
    }

    /// The path is this.
    #[must_use]
    pub fn exact(path: impl Into<Box<str>>) -> Self {
        Self::sensitive(Kind::Exact(path.into()))
    }

    /// The path is this or lies below it: `/a` takes `/a` and `/a/b`, not `/ab`.
    ///
    /// # Errors
    /// When it does not start with `/`, ends with one, or has a `?` or `#`.
    pub fn segments(prefix: impl Into<Box<str>>) -> Result<Self, InvalidField> {
        let prefix = prefix.into();
        let reason = if !prefix.starts_with('/') {
            "it has to start with '/'"
        } else if prefix.ends_with('/') {
            "it must not end with '/'"
        } else if prefix.contains(['?', '#']) {
            "it must not have a query or a fragment"
        } else {
            return Ok(Self::sensitive(Kind::Segments(prefix)));
        };
        Err(InvalidField::new("segment prefix", &prefix, reason))
    }

    /// The whole path matches this regular expression (RE2's syntax).
    ///
    /// # Errors
    /// As [`Pattern::whole`].
    pub fn regex(text: &str) -> Result<Self, InvalidField> {
        let pattern = Pattern::whole("path regex", text)?;
        Ok(Self::sensitive(Kind::Regex(Box::new(pattern))))
    }

    /// The same with upper and lower case the same. Does nothing to a regular expression.
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
            parameters: Parameters::Count,
        }
    }

    /// The same without what begins with the path's first `;`.
    #[must_use]
    pub fn ignoring_parameters(self) -> Self {
        Self {
            parameters: Parameters::Ignored,
            ..self
        }
    }

    /// What it says.
    #[must_use]
    pub fn rule(&self) -> PathRule<'_> {
        match &self.kind {
            Kind::Any => PathRule::Any,
            Kind::Prefix(prefix) => PathRule::Prefix(prefix),
            Kind::Exact(exact) => PathRule::Exact(exact),
            Kind::Segments(prefix) => PathRule::Segments(prefix),
            Kind::Regex(pattern) => PathRule::Regex(pattern.text()),
        }
    }

    /// Whether upper and lower case differ.
    #[must_use]
    pub fn case(&self) -> Case {
        self.case
    }

    /// Whether what begins with the path's first `;` does not count.
    #[must_use]
    pub fn ignores_parameters(&self) -> bool {
        self.parameters == Parameters::Ignored
    }

    /// Whether it takes this path, which is normalised and without its query.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let path = match self.parameters {
            Parameters::Count => path,
            Parameters::Ignored => path.split(';').next().unwrap_or_default(),
        };
        let (case, path) = (self.case, path.as_bytes());
        match &self.kind {
            Kind::Any => true,
            Kind::Prefix(prefix) => case.starts(path, prefix.as_bytes()),
            Kind::Exact(exact) => case.equal(path, exact.as_bytes()),
            Kind::Segments(prefix) => {
                case.starts(path, prefix.as_bytes()) && matches!(path.get(prefix.len()), None | Some(b'/'))
            }
            Kind::Regex(pattern) => pattern.matches(path),
        }
    }

    /// How many bytes of a path that it takes a prefix rewrite replaces: the prefix, or all of the path where the
    /// condition is about all of it.
    pub(crate) fn matched_bytes(&self, path: &str) -> usize {
        match &self.kind {
            Kind::Any => 0,
            Kind::Prefix(prefix) | Kind::Segments(prefix) => prefix.len().min(path.len()),
            Kind::Exact(_) | Kind::Regex(_) => path.len(),
        }
    }
}
