//! How is what a peer sent written so that it cannot look like something else?

use crate::observe::request_id::hex_digit;

/// Appends `value` as printable ASCII: control bytes, quotes, backslashes and all bytes above ASCII become `\xHH`, so that no
/// value ends a line or a quoted field (the class of CVE-2024-45808).
pub(super) fn text(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f.. => {
                out.extend_from_slice(&[b'\\', b'x', hex_digit(byte >> 4), hex_digit(byte & 0x0f)]);
            }
            _ => out.push(*byte),
        }
    }
}

/// `value` for a JSON string, which escapes by itself; what is not UTF-8 becomes `\xHH`.
pub(super) fn utf8(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let digits = [hex_digit(byte >> 4), hex_digit(byte & 0x0f)].map(char::from);
            text.push_str("\\x");
            text.extend(digits);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_its_line_or_its_quotes() {
        let mut out = Vec::new();
        text(b"a\"b\\c\r\n\x1b[2Jd\xff\x7f e", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r"a\x22b\x5cc\x0d\x0a\x1b[2Jd\xff\x7f e"
        );
    }

    #[test]
    fn what_is_not_utf8_is_shown_as_bytes() {
        assert_eq!(utf8("tié".as_bytes()), "tié");
        assert_eq!(utf8(b"a\xffb"), "a\\xffb");
    }
}
