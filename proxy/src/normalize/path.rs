//! The path of a request, in the one form that routes match and upstreams get.

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
