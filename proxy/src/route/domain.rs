//! Which hosts a virtual host answers.
//!
//! ```
//! use tidegate_proxy::route::Domain;
//!
//! assert_eq!(Domain::parse("*.Example.org")?, Domain::Suffix(".example.org".into()));
//! assert_eq!(Domain::parse("*")?, Domain::Any);
//! assert!(Domain::parse("a.*.org").is_err());
//! # Ok::<(), tidegate_proxy::route::InvalidDomain>(())
//! ```

use std::fmt;

/// A host pattern, lower-case. With a port it answers only requests that name that port, see
/// [`PortMatching`](super::PortMatching).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// Every host: `*`.
    Any,
    /// One host.
    Exact(Box<str>),
    /// Every host that ends with this and is longer: `.example.com` for `*.example.com`, `-x.example.com` for
    /// `*-x.example.com`.
    Suffix(Box<str>),
    /// Every host that starts with this and is longer: `example.` for `example.*`, `example.com:` for `example.com:*`,
    /// which is that host with any port.
    Prefix(Box<str>),
}

/// As [`Domain::parse`] reads it.
impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// A host pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid domain '{domain}': {reason}")]
pub struct InvalidDomain {
    domain: Box<str>,
    reason: &'static str,
}

impl Domain {
    /// Parses `*`, `*suffix`, `prefix*` or a host name, each with or without a port.
    ///
    /// # Errors
    /// When it is empty, has a `*` elsewhere or two, or a character that no host can have.
    pub fn parse(text: &str) -> Result<Self, InvalidDomain> {
        let invalid = |reason| {
            Err(InvalidDomain {
                domain: text.into(),
                reason,
            })
        };
        let lower = text.to_ascii_lowercase();
        let (name, of): (_, fn(Box<str>) -> Self) = match (lower.strip_prefix('*'), lower.strip_suffix('*')) {
            (Some(""), _) => return Ok(Self::Any),
            (Some(suffix), _) => (suffix, Self::Suffix),
            (None, Some(prefix)) => (prefix, Self::Prefix),
            (None, None) => (lower.as_str(), Self::Exact),
        };
        if name.is_empty() {
            return invalid("it is empty");
        }
        if name.contains('*') {
            return invalid("a '*' stands at the start or at the end, and there is one of them");
        }
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~[]:".contains(&byte))
        {
            return invalid("it has a character that no host name has");
        }
        Ok(of(name.into()))
    }

    /// Whether it can only be meant for hosts that name a port.
    #[must_use]
    pub fn has_port(&self) -> bool {
        match self {
            Self::Any => false,
            Self::Exact(text) | Self::Suffix(text) | Self::Prefix(text) => names_port(text),
        }
    }
}

/// Whether there is a port in the text of a domain.
pub(super) fn names_port(text: &str) -> bool {
    // An IPv6 address has colons of its own, also a part of one.
    match text.rsplit_once(']') {
        Some((_address, rest)) => rest.contains(':'),
        None => !text.starts_with('[') && text.contains(':'),
    }
}
