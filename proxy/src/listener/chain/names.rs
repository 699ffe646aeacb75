//! Which host names does a set of names and `*.` wildcards cover?

use std::collections::{HashMap, HashSet};

/// Host names in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    exact: HashSet<Box<str>>,
    /// What follows `*.`, and how far below it a name may be.
    below: HashMap<Box<str>, Depth>,
}

/// How many labels a `*` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// One, as in certificates (RFC 6125 §6.4.3).
    One,
    /// One or more, as in Envoy's server names.
    Any,
}

impl Names {
    /// Adds a name; fails where it is none, with whether a wildcard is what is wrong.
    pub(super) fn insert(&mut self, name: &str, depth: Depth) -> Result<(), bool> {
        let name = name.to_ascii_lowercase();
        let (wildcard, rest) = match name.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, &*name),
        };
        if rest.contains('*') {
            return Err(true);
        }
        if rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(false);
        }
        if wildcard {
            self.below.insert(rest.into(), depth);
        } else {
            self.exact.insert(name.into());
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }

    pub(super) fn exact(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().map(|name| &**name)
    }

    /// What follows each `*.`.
    pub(super) fn parents(&self) -> impl Iterator<Item = &str> {
        self.below.keys().map(|parent| &**parent)
    }

    /// How well `name` is covered: an exact name beats all, then the longest wildcard.
    pub(super) fn rank(&self, name: &str) -> Option<usize> {
        if self.exact.contains(name) {
            return Some(usize::MAX);
        }
        parents(name).enumerate().find_map(|(above, parent)| {
            let depth = self.below.get(parent)?;
            (*depth == Depth::Any || above == 0).then_some(parent.len())
        })
    }

    /// Whether it covers a host: in lower case, without a port.
    pub(crate) fn cover(&self, host: &str) -> bool {
        self.rank(host).is_some()
    }
}

/// What is left of a name without its first label, without its first two, and so on.
pub(super) fn parents(name: &str) -> impl Iterator<Item = &str> {
    fn parent(name: &str) -> Option<&str> {
        name.split_once('.').map(|(_, parent)| parent)
    }
    std::iter::successors(parent(name), |name| parent(name)).filter(|parent| !parent.is_empty())
}
