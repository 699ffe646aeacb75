//! Which fields of a client no upstream may believe.
//!
//! ```
//! use http::{HeaderName, HeaderValue};
//! use tidegate_proxy::config::http::HttpSettings;
//! use tidegate_proxy::listener::chain::{FilterChain, FilterChains};
//! use tidegate_proxy::normalize::edge::EdgePolicy;
//!
//! // The first goes from every request of this chain, `X_Internal_User` and `X-INTERNAL-USER` too; the second is ours.
//! let edge = EdgePolicy::removing([HeaderName::from_static("x-internal-user")])
//!     .overwriting(HeaderName::from_static("x-edge"), HeaderValue::from_static("external"));
//! let external = HttpSettings { edge, ..HttpSettings::default() };
//! assert!(FilterChains::one(FilterChain::plain(external)).is_ok());
//! ```

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::hash::HashSet;
use crate::route::TextMatch;

/// What becomes of fields with `_` in their names, which many an application reads as `-`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// They pass.
    #[default]
    Keep,
    /// They are removed.
    Remove,
    /// A request with one is refused: 400.
    Refuse,
}

impl Underscores {
    /// Removes them, or says that the request is refused.
    pub(crate) fn apply(self, headers: &mut HeaderMap) -> Result<(), &'static str> {
        if self == Self::Keep {
            return Ok(());
        }
        let has = |name: &&HeaderName| name.as_str().contains('_');
        while let Some(name) = headers.keys().find(has).cloned() {
            if self == Self::Refuse {
                return Err("a field's name has an underscore");
            }
            headers.remove(name);
        }
        Ok(())
    }
}

/// Exact field names that are removed from every request of an external listener, or overwritten in it, whatever their
/// case and whether written with `-` or `_`. Empty by default; prefixes are never removed wholesale.
#[derive(Clone, Debug, Default)]
pub struct EdgePolicy {
    removed: Names,
    set: Vec<(HeaderName, HeaderValue)>,
    conditions: Vec<Conditional>,
}

/// A field that is removed for some of its values.
#[derive(Clone, Debug)]
struct Conditional {
    name: HeaderName,
    sense: Sense,
    value: TextMatch,
}

/// For which values a field is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// For those that meet a condition.
    Where,
    /// For all others.
    Unless,
}

impl EdgePolicy {
    /// A policy that removes these names.
    #[must_use]
    pub fn removing(names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self {
            removed: names.into_iter().collect(),
            set: Vec::new(),
            conditions: Vec::new(),
        }
    }

    /// The same, with this field set to this value in every request, whatever the client sent under its name.
    #[must_use]
    pub fn overwriting(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.removed.insert(&name);
        self.set.push((name, value));
        self
    }

    /// Both policies in one; what the other overwrites counts where both do.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.removed.extend(other.removed);
        self.set.extend(other.set);
        self.conditions.extend(other.conditions);
        self
    }

    /// The same, which also removes this field where its value meets the condition, or, by [`Sense::Unless`], where it does not.
    #[must_use]
    pub fn removing_values(mut self, name: HeaderName, sense: Sense, value: TextMatch) -> Self {
        let name = dashed(&name).unwrap_or(name);
        self.conditions.push(Conditional { name, sense, value });
        self
    }

    /// Brings the head of a request into the form that this policy gives it.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        self.remove_from(headers);
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
    }

    /// Takes out what is listed: all that there is to do with trailers, as a field is set in the head.
    pub(crate) fn remove_from(&self, headers: &mut HeaderMap) {
        if self.removed.is_empty() && self.conditions.is_empty() {
            return;
        }
        let listed: Vec<HeaderName> = headers
            .iter()
            .filter(|(name, value)| {
                self.removed.lists(name) || self.conditions.iter().any(|one| one.holds(name, value))
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in listed {
            headers.remove(name);
        }
    }
}

/// Names as they are with `-` in the place of each `_`. Nearly every field of a request is in no such list, so that is what is
/// found out first.
#[derive(Clone, Debug, Default)]
struct Names {
    names: HashSet<HeaderName>,
    /// A bit for each length and last byte that there is, of which several share one.
    seen: u64,
}

impl Names {
    fn insert(&mut self, name: &HeaderName) {
        let name = dashed(name).unwrap_or_else(|| name.clone());
        self.seen |= mark(&name);
        self.names.insert(name);
    }

    fn extend(&mut self, other: Self) {
        self.seen |= other.seen;
        self.names.extend(other.names);
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether this name is here, with `_` for `-` or without.
    fn lists(&self, name: &HeaderName) -> bool {
        self.seen & mark(name) != 0
            && (self.names.contains(name) || dashed(name).is_some_and(|name| self.names.contains(&name)))
    }
}

impl FromIterator<HeaderName> for Names {
    fn from_iter<I: IntoIterator<Item = HeaderName>>(names: I) -> Self {
        let mut all = Self::default();
        names.into_iter().for_each(|name| all.insert(&name));
        all
    }
}

/// The bit of a name, the same for `_` as for `-`.
fn mark(name: &HeaderName) -> u64 {
    let name = name.as_str().as_bytes();
    let last = name
        .last()
        .map_or(0, |last| if *last == b'_' { b'-' } else { *last });
    1 << ((name.len() * 7 + usize::from(last)) % 64)
}

impl Conditional {
    fn holds(&self, name: &HeaderName, value: &HeaderValue) -> bool {
        // Nearly all fields have names of another length, with which a name of either form is told.
        let named = self.name.as_str().len() == name.as_str().len()
            && (self.name == *name || dashed(name).is_some_and(|name| name == self.name));
        named && self.value.matches(value.as_bytes()) == (self.sense == Sense::Where)
    }
}

/// The name with each `_` as `-`, where it has one.
fn dashed(name: &HeaderName) -> Option<HeaderName> {
    let text = name.as_str();
    text.contains('_')
        .then(|| HeaderName::try_from(text.replace('_', "-")).ok())
        .flatten()
}
