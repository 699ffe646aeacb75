//! Which texts refer to an image: `[REGISTRY/]NAME[:TAG][@DIGEST]`.

/// The longest tag (OCI distribution, "Pulling manifests").
const TAG_BYTES_MAX: usize = 128;
/// The longest name without registry.
const NAME_BYTES_MAX: usize = 255;
const DIGEST_PREFIX: &str = "sha256:";
const DIGEST_HEX: usize = 64;

/// Whether `text` refers to an image as loosely as Knative's webhook takes it.
pub(super) fn is_reference(text: &str) -> bool {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = match rest.rsplit_once(':') {
        // A colon before a slash belongs to the port of a registry.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    is_name(name) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest)
}

fn is_name(text: &str) -> bool {
    let name = match text.split_once('/') {
        Some((registry, name)) if registry == "localhost" || registry.contains(['.', ':']) => {
            let legal =
                |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'_' | b'[' | b']');
            if !registry.bytes().all(legal) {
                return false;
            }
            name
        }
        _ => text,
    };
    let legal =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.' | b'/');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(legal)
}

fn is_tag(tag: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !tag.is_empty() && tag.len() <= TAG_BYTES_MAX && tag.bytes().all(legal)
}

fn is_digest(digest: &str) -> bool {
    digest.strip_prefix(DIGEST_PREFIX).is_some_and(|hex| {
        hex.len() == DIGEST_HEX
            && hex
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_from_other_texts() {
        let digest = format!("a@sha256:{}", "0a".repeat(32));
        for (text, expected) in [
            ("hello", true),
            ("gcr.io/knative-samples/helloworld-go", true),
            ("localhost:5000/a/b:v1.2_3", true),
            ("dev.local/hello:latest", true),
            ("ko://knative.dev/serving/test/test_images/helloworld", true),
            (digest.as_str(), true),
            ("", false),
            ("Hello", false),
            ("hello world", false),
            ("hello:", false),
            ("hello:a b", false),
            ("hello@sha256:00", false),
            ("$(IMAGE)", false),
        ] {
            assert_eq!(is_reference(text), expected, "{text}");
        }
    }
}
