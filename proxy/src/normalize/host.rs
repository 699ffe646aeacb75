//! The host of a request, in the one form that virtual hosts are looked up by.

use http::HeaderValue;

/// The longest host with its port that is accepted, in bytes (a DNS name has at most 253).
pub const AUTHORITY_BYTES_MAX: usize = 255 + 6;

/// Takes the port off `authority` (RFC 9110 §7.2), lowers its case and drops one trailing dot.
///
/// # Errors
/// What is wrong with it, when it is no host: empty, user information, a bad port, a stray character.
pub fn without_port(authority: &HeaderValue) -> Result<Box<str>, &'static str> {
    parse(authority.as_bytes())
}

/// [`without_port`] on bytes.
///
/// # Errors
/// As [`without_port`].
pub fn parse(authority: &[u8]) -> Result<Box<str>, &'static str> {
    let text = str::from_utf8(authority).map_err(|_| "the Host is not ASCII")?;
    if text.is_empty() || text.len() > AUTHORITY_BYTES_MAX {
        return Err("the Host is empty or too long");
    }
    let (host, port) = split_port(text)?;
    if port.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_err() || port.starts_with('+')) {
        return Err("the Host has an invalid port");
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let valid = if let Some(inner) = host.strip_prefix('[') {
        inner
            .strip_suffix(']')
            .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
    } else {
        // A second trailing dot would be taken off by the next hop: the two would disagree about the host.
        !host.is_empty()
            && !host.ends_with('.')
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    if !valid {
        return Err("the Host is not a valid host name");
    }
    Ok(host.to_ascii_lowercase().into_boxed_str())
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
