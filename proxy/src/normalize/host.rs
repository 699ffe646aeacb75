//! The host of a request, in the one form that virtual hosts are looked up by.
//!
//! ```
//! use tidegate_proxy::normalize::host::Host;
//!
//! let host = Host::parse(b"A.Example:8080")?;
//! assert_eq!((host.name(), host.port()), ("a.example", Some("8080")));
//! assert!(Host::parse(b"user@a.example").is_err());
//! # Ok::<(), &'static str>(())
//! ```

use std::fmt;

use http::HeaderValue;

/// The longest host with its port that is accepted, in bytes (a DNS name has at most 253).
pub const AUTHORITY_BYTES_MAX: usize = 255 + 6;

/// A valid host: lower-case, without a trailing dot, and with its port where the client named one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    text: Box<str>,
    name_bytes: usize,
}

/// Whether a host name may contain it: what is `unreserved` in RFC 3986 §2.3.
fn is_of_name(byte: u8) -> bool {
    // Looked up, as each request has some dozens of them.
    const OF_NAME: [bool; 256] = {
        let mut of_name = [false; 256];
        let mut byte = 0;
        while byte < of_name.len() {
            of_name[byte] =
                (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'-' | b'.' | b'_' | b'~');
            byte += 1;
        }
        of_name
    };
    OF_NAME[usize::from(byte)]
}

/// What becomes of the port in a request's host, before a route is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostPort {
    /// It stays.
    #[default]
    Keep,
    /// It is taken off, also of what the upstream gets.
    Remove,
    /// It is taken off where it is the one that the client connected to.
    RemoveOwn,
}

/// What becomes of a dot at the end of a request's host, before a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostDot {
    /// It stays.
    #[default]
    Keep,
    /// It is taken off, also of what the upstream gets.
    Remove,
}

impl HostDot {
    /// The authority without its dot, where that is to be taken off.
    pub(crate) fn apply(self, authority: &HeaderValue) -> Option<HeaderValue> {
        if self == Self::Keep {
            return None;
        }
        let (name, port) = split_port(authority.to_str().ok()?).ok()?;
        // One of several dots would leave a host that the next hop reads in another way: it is refused as it is.
        let name = name.strip_suffix('.').filter(|name| !name.ends_with('.'))?;
        let without = match port {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        HeaderValue::try_from(without).ok()
    }
}

impl HostPort {
    /// The authority without its port, where that is to be taken off.
    pub(crate) fn apply(self, authority: &HeaderValue, own: Option<u16>) -> Option<HeaderValue> {
        if self == Self::Keep {
            return None;
        }
        let (name, port) = split_port(authority.to_str().ok()?).ok()?;
        // A `+` is none of a port: it stays, to be refused.
        let port: u16 = port.filter(|port| !port.starts_with('+'))?.parse().ok()?;
        let removed = self == Self::Remove || own == Some(port);
        removed.then(|| HeaderValue::from_str(name).ok()).flatten()
    }
}

impl Host {
    /// Reads a `Host` field or an authority (RFC 9110 §7.2).
    ///
    /// # Errors
    /// What is wrong with it, when it is no host: empty, user information, a bad port, a stray character.
    pub fn parse(authority: &[u8]) -> Result<Self, &'static str> {
        let text = str::from_utf8(authority).map_err(|_| "the Host is not ASCII")?;
        if text.is_empty() || text.len() > AUTHORITY_BYTES_MAX {
            return Err("the Host is empty or too long");
        }
        let (written, port) = split_port(text)?;
        if port.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_err() || port.starts_with('+')) {
            return Err("the Host has an invalid port");
        }
        let name = written.strip_suffix('.').unwrap_or(written);
        let valid = if let Some(inner) = name.strip_prefix('[') {
            name.len() == written.len()
                && inner
                    .strip_suffix(']')
                    .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
        } else {
            // A second trailing dot would be taken off by the next hop: the two would disagree about the host.
            !name.is_empty() && !name.ends_with('.') && name.bytes().all(is_of_name)
        };
        if !valid {
            return Err("the Host is not a valid host name");
        }
        let mut text = name.to_ascii_lowercase();
        let name_bytes = text.len();
        if let Some(port) = port {
            text.push(':');
            text.push_str(port);
        }
        Ok(Self {
            text: text.into_boxed_str(),
            name_bytes,
        })
    }

    /// The host without its port.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text.get(..self.name_bytes).unwrap_or_default()
    }

    /// The host with its port where it has one.
    #[must_use]
    pub fn with_port(&self) -> &str {
        &self.text
    }

    /// The port as the client wrote it.
    #[must_use]
    pub fn port(&self) -> Option<&str> {
        self.text.get(self.name_bytes + 1..)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    let after_host = if text.starts_with('[') {
        text.find(']')
            .map(|end| end + 1)
            .ok_or("the Host has an unclosed '['")?
    } else {
        text.find(':').unwrap_or(text.len())
    };
    match text.split_at_checked(after_host) {
        Some((host, "")) => Ok((host, None)),
        Some((host, rest)) => match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None => Err("the Host has something other than a port behind its ']'"),
        },
        None => Err("the Host is not a valid host name"),
    }
}
