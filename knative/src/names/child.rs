//! How the name of a child is made from its parent's, within 63 bytes.

use md5::{Digest, Md5};

use super::LABEL_BYTES_MAX;

/// Length of an MD5 digest in hex.
const HASH_BYTES: usize = 32;
/// What a name keeps of its parent when a hash has to stand for the rest.
const HEAD_BYTES: usize = LABEL_BYTES_MAX - HASH_BYTES;

/// `parent` + `suffix`, shortened with a hash when it would exceed 63 bytes (Knative `kmeta.ChildName`).
///
/// Equal inputs give equal names; unequal inputs give unequal names unless MD5 collides. Cuts fall between
/// characters, so that a parent which is no DNS name cannot make this panic.
#[must_use]
pub fn child_name(parent: &str, suffix: &str) -> String {
    if parent.len() + suffix.len() <= LABEL_BYTES_MAX {
        return format!("{parent}{suffix}");
    }
    if suffix.len() < HEAD_BYTES {
        let head = head(parent, HEAD_BYTES - suffix.len());
        return format!("{head}{}{suffix}", hex_md5(&[parent]));
    }
    let name = format!("{}{}", head(parent, HEAD_BYTES), hex_md5(&[parent, suffix]));
    let padding = head(suffix, LABEL_BYTES_MAX - name.len());
    format!("{name}{padding}")
        .trim_end_matches(|c: char| !c.is_ascii_alphanumeric())
        .to_owned()
}

/// The name of generation `generation` of a configuration: `hello-00001` (Knative `configuration/resources`).
#[must_use]
pub fn revision_name(configuration: &str, generation: u64) -> String {
    child_name(configuration, &format!("-{generation:05}"))
}

/// The longest beginning of `text` with at most `bytes_max` bytes.
fn head(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

fn hex_md5(parts: &[&str]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(parent: &str, suffix: &str, expected: &str) {
        assert_eq!(child_name(parent, suffix), expected);
        assert!(expected.len() <= LABEL_BYTES_MAX);
    }

    #[test]
    fn short_names_are_joined() {
        check("hello", "-00001", "hello-00001");
        check(&"a".repeat(57), "-00001", &format!("{}-00001", "a".repeat(57)));
        assert_eq!(revision_name("hello", 2), "hello-00002");
        assert_eq!(revision_name("hello", 123_456), "hello-123456");
    }

    #[test]
    fn long_parents_keep_a_head_and_get_a_hash() {
        // printf '%.0sa' {1..63} | md5sum
        check(
            &"a".repeat(63),
            "-deployment",
            &format!("{}b06521f39153d618550606be297466d5-deployment", "a".repeat(20)),
        );
    }

    #[test]
    fn long_suffixes_pad_the_name_and_leave_no_trailing_dash() {
        let name = child_name("hello", &"-".repeat(60));
        assert!(name.starts_with("hello"));
        assert_eq!(name.len(), "hello".len() + HASH_BYTES);
    }

    proptest! {
        #[test]
        fn names_of_any_text_stay_short(parent in ".{0,90}", suffix in ".{0,90}") {
            prop_assert!(child_name(&parent, &suffix).len() <= LABEL_BYTES_MAX);
        }
    }
}
