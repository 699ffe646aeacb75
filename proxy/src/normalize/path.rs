//! The path of a request, in the one form that routes match and upstreams get.
//!
//! ```
//! use tidegate_proxy::normalize::path::{PathPolicy, normalize};
//!
//! let policy = PathPolicy::default();
//! let changed = normalize("/public/%2e%2e/secret", &policy)?;
//! assert_eq!(changed.map(|changed| changed.path).as_deref(), Some("/secret"));
//! // What two servers could read in two ways, and is not dangerous here, stays as it came.
//! assert!(normalize("//healthz", &policy)?.is_none());
//! assert!(normalize("/a%00b", &policy).is_err());
//! # Ok::<(), &'static str>(())
//! ```

/// What is done to the path of a request before it is matched. What is matched is what is forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathPolicy {
    /// Dot segments and bytes that servers read differently. Default: resolved, and refused.
    pub dots: DotSegments,
    /// Percent-encoded characters that need no encoding. Default: kept.
    pub unreserved: Unreserved,
    /// Runs of slashes. Default: kept.
    pub slashes: Slashes,
    /// Slashes that are percent-encoded. Default: kept.
    pub escaped_slashes: EscapedSlashes,
}

/// What becomes of `.` and `..` segments, percent-encoded ones among them (RFC 3986 §5.2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DotSegments {
    /// They are resolved, and `%00`, a backslash and a `%` that encodes nothing are refused.
    #[default]
    Resolve,
    /// The path is taken as it is, whatever an upstream may read into it.
    Keep,
}

/// What becomes of percent-encoded letters, digits, `-`, `.`, `_` and `~`, which mean the same without (RFC 3986 §6.2.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unreserved {
    /// They stay as they came.
    #[default]
    Keep,
    /// They are decoded, so that a route by `/a` takes `/%61` too.
    Decode,
}

/// What becomes of `//`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slashes {
    /// It stays: to some applications it means something.
    #[default]
    Keep,
    /// It becomes `/`.
    Merge,
}

/// What becomes of `%2f` and `%5c`, in upper and lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// They stay: they are no separators.
    #[default]
    Keep,
    /// The request is refused.
    Refuse,
    /// They become `/` and `\`; the latter is refused where dot segments are resolved.
    Unescape,
    /// As [`EscapedSlashes::Unescape`], and the client is sent to the new path (307) instead of being served.
    UnescapeAndRedirect,
}

/// A path that is not what the client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// What it became.
    pub path: String,
    /// Whether the client has to ask for it anew, by [`EscapedSlashes::UnescapeAndRedirect`].
    pub redirect: Redirect,
}

/// Whether a client is sent to the path that its own became.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirect {
    /// It is served.
    #[default]
    No,
    /// It is sent there.
    Yes,
}

/// Brings a path into the form that `policy` asks for; `None` where it has that form.
///
/// # Errors
/// What is wrong with a path that is refused.
pub fn normalize(path: &str, policy: &PathPolicy) -> Result<Option<Changed>, &'static str> {
    let (mut changed, mut redirect) = (None, Redirect::No);
    if policy.escaped_slashes != EscapedSlashes::Keep && has_escaped_slash(path) {
        redirect = match policy.escaped_slashes {
            EscapedSlashes::Refuse => return Err("the path has an escaped slash"),
            EscapedSlashes::UnescapeAndRedirect => Redirect::Yes,
            EscapedSlashes::Keep | EscapedSlashes::Unescape => Redirect::No,
        };
        changed = Some(unescape_slashes(path));
    }
    if policy.unreserved == Unreserved::Decode
        && let Some(decoded) = decode_unreserved(changed.as_deref().unwrap_or(path))
    {
        changed = Some(decoded);
    }
    if policy.dots == DotSegments::Resolve
        && let Some(resolved) = resolve(changed.as_deref().unwrap_or(path))?
    {
        changed = Some(resolved);
    }
    if policy.slashes == Slashes::Merge
        && let Some(merged) = merge(changed.as_deref().unwrap_or(path))
    {
        changed = Some(merged);
    }
    Ok(changed.map(|path| Changed { path, redirect }))
}

/// The byte that an escaped slash at the start of `text` stands for.
fn escaped_slash(text: &[u8]) -> Option<char> {
    match text {
        [b'%', b'2', b'f' | b'F', ..] => Some('/'),
        [b'%', b'5', b'c' | b'C', ..] => Some('\\'),
        _ => None,
    }
}

fn has_escaped_slash(path: &str) -> bool {
    path.as_bytes()
        .windows(3)
        .any(|window| escaped_slash(window).is_some())
}

fn unescape_slashes(path: &str) -> String {
    let (mut unescaped, mut rest) = (String::with_capacity(path.len()), path);
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        unescaped.push_str(before);
        // Both kinds of escapes are of single-byte characters.
        let (text, bytes) = match escaped_slash(escape.as_bytes()) {
            Some(slash) => (slash, 3),
            None => ('%', 1),
        };
        unescaped.push(text);
        rest = escape.get(bytes..).unwrap_or_default();
    }
    unescaped.push_str(rest);
    unescaped
}

fn decode_unreserved(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut decoded = parts.next()?.to_owned();
    let mut is_changed = false;
    for part in parts {
        match part
            .split_at_checked(2)
            .and_then(|(code, rest)| Some((unreserved(code)?, rest)))
        {
            Some((character, rest)) => {
                decoded.push(character);
                decoded.push_str(rest);
                is_changed = true;
            }
            None => {
                decoded.push('%');
                decoded.push_str(part);
            }
        }
    }
    is_changed.then_some(decoded)
}

/// The unreserved character with this code in two hexadecimal digits.
fn unreserved(code: &str) -> Option<char> {
    let is_code = code.bytes().all(|digit| digit.is_ascii_hexdigit());
    let byte = u8::from_str_radix(code, 16).ok().filter(|_| is_code)?;
    let character = char::from(byte);
    (byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')).then_some(character)
}

fn merge(path: &str) -> Option<String> {
    if !path.contains("//") {
        return None;
    }
    let mut merged = String::with_capacity(path.len());
    for part in path.chars() {
        if part != '/' || !merged.ends_with('/') {
            merged.push(part);
        }
    }
    Some(merged)
}

/// Resolves `.` and `..` segments, also percent-encoded ones (RFC 3986 §5.2.4), and leaves everything else:
/// `//` is not merged and `%2f` is not decoded. `None` when there was nothing to resolve.
///
/// # Errors
/// For `%00`, a control character, a backslash, or a percent sign that encodes nothing.
pub fn resolve(path: &str) -> Result<Option<String>, &'static str> {
    check(path)?;
    if !path.split('/').any(is_dots) {
        return Ok(None);
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match dots(segment) {
            Dots::None => kept.push(segment),
            Dots::Same if last => kept.push(""),
            Dots::Same => {}
            Dots::Parent => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
        }
    }
    Ok(Some(format!("/{}", kept.join("/"))))
}

enum Dots {
    None,
    Same,
    Parent,
}

fn is_dots(segment: &str) -> bool {
    !matches!(dots(segment), Dots::None)
}

fn dots(segment: &str) -> Dots {
    // At most two dots of three bytes each.
    if segment.len() > 6 || !segment.starts_with(['.', '%']) {
        return Dots::None;
    }
    let (mut rest, mut count) = (segment, 0);
    while !rest.is_empty() {
        rest = match rest
            .strip_prefix('.')
            .or_else(|| rest.strip_prefix("%2e"))
            .or_else(|| rest.strip_prefix("%2E"))
        {
            Some(rest) => rest,
            None => return Dots::None,
        };
        count += 1;
    }
    match count {
        1 => Dots::Same,
        2 => Dots::Parent,
        _ => Dots::None,
    }
}

fn check(path: &str) -> Result<(), &'static str> {
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match (bytes.next(), bytes.next()) {
                (Some(b'0'), Some(b'0')) => return Err("the path has %00"),
                (Some(high), Some(low)) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {}
                _ => return Err("the path has a '%' without two hexadecimal digits"),
            },
            b'\\' => return Err("the path has a backslash"),
            0..=0x1f | 0x7f => return Err("the path has a control character"),
            _ => {}
        }
    }
    Ok(())
}
