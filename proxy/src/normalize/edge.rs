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

use std::collections::HashSet;

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Exact field names that are removed from every request of an external listener, or overwritten in it, whatever their
/// case and whether written with `-` or `_`. Empty by default; prefixes are never removed wholesale.
#[derive(Clone, Debug, Default)]
pub struct EdgePolicy {
    removed: HashSet<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
}

impl EdgePolicy {
    /// A policy that removes these names.
    #[must_use]
    pub fn removing(names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self {
            removed: names
                .into_iter()
                .map(|name| dashed(&name).unwrap_or(name))
                .collect(),
            set: Vec::new(),
        }
    }

    /// The same, with this field set to this value in every request, whatever the client sent under its name.
    #[must_use]
    pub fn overwriting(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.removed.insert(dashed(&name).unwrap_or_else(|| name.clone()));
        self.set.push((name, value));
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
        if self.removed.is_empty() {
            return;
        }
        let listed: Vec<HeaderName> = headers.keys().filter(|name| self.lists(name)).cloned().collect();
        for name in listed {
            headers.remove(name);
        }
    }

    fn lists(&self, name: &HeaderName) -> bool {
        self.removed.contains(name) || dashed(name).is_some_and(|name| self.removed.contains(&name))
    }
}

/// The name with each `_` as `-`, where it has one.
fn dashed(name: &HeaderName) -> Option<HeaderName> {
    let text = name.as_str();
    text.contains('_')
        .then(|| HeaderName::try_from(text.replace('_', "-")).ok())
        .flatten()
}
