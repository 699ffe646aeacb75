//! Which strings are names in Kubernetes: DNS labels, subdomains, qualified keys.

use super::LABEL_BYTES_MAX;

/// The longest DNS subdomain that Kubernetes takes (RFC 1123 §2.1).
const SUBDOMAIN_BYTES_MAX: usize = 253;

/// A label that begins with a letter: names of Services, revisions, tags (RFC 1035 §2.3.1).
#[must_use]
pub fn is_dns1035_label(name: &str) -> bool {
    is_dns1123_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase())
}

/// A label of lower-case letters, digits and inner dashes: namespaces, containers, volumes (RFC 1123 §2.1).
#[must_use]
pub fn is_dns1123_label(name: &str) -> bool {
    name.len() <= LABEL_BYTES_MAX && is_dns_part(name)
}

/// Labels joined by dots, at most 253 bytes: names of ConfigMaps and Secrets.
#[must_use]
pub fn is_dns1123_subdomain(name: &str) -> bool {
    name.len() <= SUBDOMAIN_BYTES_MAX && name.split('.').all(is_dns_part)
}

/// `[prefix/]name` as label and annotation keys have it.
#[must_use]
pub fn is_qualified_name(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    prefix.is_none_or(is_dns1123_subdomain) && is_name_part(name)
}

/// What a label may have as its value: empty, or letters, digits and inner dashes, dots, underscores.
#[must_use]
pub fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_name_part(value)
}

fn is_dns_part(part: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !part.is_empty() && part.chars().all(inner) && !part.starts_with('-') && !part.ends_with('-')
}

fn is_name_part(part: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    let inner = |c: char| edge(c) || matches!(c, '-' | '_' | '.');
    !part.is_empty()
        && part.len() <= LABEL_BYTES_MAX
        && part.chars().all(inner)
        && part.starts_with(edge)
        && part.ends_with(edge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_labels() {
        let long = "a".repeat(63);
        let too_long = "a".repeat(64);
        for (name, is_1035, is_1123) in [
            ("hello", true, true),
            ("hello-2", true, true),
            (long.as_str(), true, true),
            (too_long.as_str(), false, false),
            ("2hello", false, true),
            ("Hello", false, false),
            ("-hello", false, false),
            ("hello-", false, false),
            ("hel.lo", false, false),
            ("hel_lo", false, false),
            ("hällo", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_dns1035_label(name), is_1035, "{name} as RFC 1035 label");
            assert_eq!(is_dns1123_label(name), is_1123, "{name} as RFC 1123 label");
        }
    }

    #[test]
    fn subdomains_and_qualified_names() {
        assert!(is_dns1123_subdomain("a.b-c.d"));
        assert!(!is_dns1123_subdomain("a..b"));
        assert!(!is_dns1123_subdomain("a."));
        assert!(is_qualified_name("app.kubernetes.io/Name_1"));
        assert!(is_qualified_name("version"));
        assert!(!is_qualified_name("a/b/c"));
        assert!(!is_qualified_name("/b"));
        assert!(!is_qualified_name("a/"));
        assert!(!is_qualified_name("two words"));
        assert!(is_label_value("") && is_label_value("v1.2_x"));
        assert!(!is_label_value("-v1"));
    }
}
