//! Which hosts a virtual host answers.

/// A host pattern, lower-case and without a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// Every host: `*`.
    Any,
    /// One host.
    Exact(Box<str>),
    /// Every host below a domain, kept with its dot: `.example.com` for `*.example.com`.
    Suffix(Box<str>),
}

/// A host pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid domain '{domain}': {reason}")]
pub struct InvalidDomain {
    domain: Box<str>,
    reason: &'static str,
}

impl Domain {
    /// Parses `*`, `*.suffix` or a host name.
    ///
    /// # Errors
    /// When it is empty, has a port, a `*` elsewhere, or a character that no host can have.
    pub fn parse(text: &str) -> Result<Self, InvalidDomain> {
        let invalid = |reason| {
            Err(InvalidDomain {
                domain: text.into(),
                reason,
            })
        };
        let lower = text.to_ascii_lowercase();
        if lower.is_empty() {
            return invalid("it is empty");
        }
        if lower == "*" {
            return Ok(Self::Any);
        }
        let (name, wildcard) = match lower.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') && rest.len() > 1 => (rest, true),
            Some(_) => return invalid("a wildcard is '*' alone or '*.' before a domain"),
            None => (lower.as_str(), false),
        };
        let ipv6 = name.starts_with('[') && name.ends_with(']');
        if !ipv6 && name.contains(':') {
            return invalid("it must not have a port");
        }
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte))
        {
            return invalid("it has a character that no host name has");
        }
        Ok(if wildcard {
            Self::Suffix(name.into())
        } else {
            Self::Exact(name.into())
        })
    }
}
