//! How is a block of fields written byte by byte (RFC 7541), the wrong ones included? Without a table and without Huffman:
//! what a test names is what is on the wire.

/// A GET request for `path` of `authority` over plain HTTP.
#[must_use]
pub fn get(authority: &str, path: &str) -> Vec<u8> {
    request("GET", authority, path, &[])
}

/// A request: the four pseudo-fields in their usual order, then `fields`.
#[must_use]
pub fn request(method: &str, authority: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", method),
        (":scheme", "http"),
        (":authority", authority),
        (":path", path),
    ];
    block(pseudo.iter().chain(fields).copied())
}

/// Any fields in any order; names and values are any bytes.
pub fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: impl IntoIterator<Item = (N, V)>) -> Vec<u8> {
    let each = |(name, value): (N, V)| literal(name.as_ref(), value.as_ref());
    fields.into_iter().flat_map(each).collect()
}

/// A literal field without indexing and with its name spelt out (§6.2.2).
#[must_use]
pub fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![0], text(name), text(value)].concat()
}

/// A literal field that enters the decoder's table, as its newest entry (§6.2.1).
#[must_use]
pub fn remembered(name: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![0x40], text(name), text(value)].concat()
}

/// A field that the table has already (§6.1): 62 is the newest that [`remembered`] made, 0 is forbidden.
#[must_use]
pub fn indexed(index: u64) -> Vec<u8> {
    integer(0x80, 7, index)
}

/// Tells the decoder how large the table may be from here on (§6.3).
#[must_use]
pub fn table_size(bytes: u64) -> Vec<u8> {
    integer(0x20, 5, bytes)
}

/// An integer with a prefix of so many bits in a first byte that has these bits already (§5.1).
#[must_use]
pub fn integer(first: u8, prefix_bits: u32, mut value: u64) -> Vec<u8> {
    let most = (1_u64 << prefix_bits) - 1;
    if value < most {
        return vec![first | low_byte(value)];
    }
    let mut bytes = vec![first | low_byte(most)];
    value -= most;
    while value >= 128 {
        bytes.push(0x80 | low_byte(value & 127));
        value >>= 7;
    }
    bytes.push(low_byte(value));
    bytes
}

/// The status that a response's block begins with; none when its first field is another.
pub(super) fn status(mut block: &[u8]) -> Option<u16> {
    /// Entries 8 to 14 of the static table (Appendix A).
    const STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    loop {
        let (first, rest) = block.split_first()?;
        match first {
            // Changes of the table's size stand before the first field.
            0x20..=0x3f => block = rest,
            0x88..=0x8e => return STATUSES.get(usize::from(first - 0x88)).copied(),
            // A literal of any kind whose name is entry 8, `:status`.
            0x48 | 0x08 | 0x18 => return digits(rest)?.parse().ok(),
            _ => return None,
        }
    }
}

/// A string of digits, plain or in Huffman's code (Appendix B).
fn digits(text: &[u8]) -> Option<String> {
    let (first, rest) = text.split_first()?;
    let bytes = rest.get(..usize::from(first & 0x7f))?;
    if first & 0x80 == 0 {
        return String::from_utf8(bytes.to_vec()).ok();
    }
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let mut bits = bits.as_str();
    let mut found = String::new();
    // What is left in the end is padding of ones, shorter than a byte.
    while bits.len() >= 5 && !"1111111".starts_with(bits) {
        // Of the digits, 0, 1 and 2 have five bits (0 to 2), the others six (0x19 to 0x1f).
        let (short, long) = (bits.get(..5)?, bits.get(..6));
        let (digit, taken) = match u8::from_str_radix(short, 2).ok()? {
            digit @ 0..=2 => (digit, 5),
            _ => (u8::from_str_radix(long?, 2).ok()?.checked_sub(0x19)? + 3, 6),
        };
        found.push(char::from_digit(digit.into(), 10)?);
        bits = bits.get(taken..)?;
    }
    Some(found)
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = integer(0, 7, bytes.len() as u64);
    encoded.extend(bytes);
    encoded
}

fn low_byte(value: u64) -> u8 {
    value.to_be_bytes()[7]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_the_rfc() {
        // RFC 7541, C.1
        assert_eq!(integer(0, 5, 10), [0x0a]);
        assert_eq!(integer(0, 5, 1337), [0x1f, 0x9a, 0x0a]);
        assert_eq!(integer(0, 8, 42), [0x2a]);
        assert_eq!(indexed(62), [0xbe]);
        assert_eq!(table_size(31), [0x3f, 0x00]);
    }

    #[test]
    fn literals_are_those_of_the_rfc() {
        // RFC 7541, C.2.1
        let expected = b"\x40\x0acustom-key\x0dcustom-header";
        assert_eq!(remembered(b"custom-key", b"custom-header"), expected);
        assert_eq!(literal(b"a\0", b"\r"), b"\0\x02a\0\x01\r");
    }

    #[test]
    fn statuses_are_read_in_each_form() {
        let check = |block: &[u8], expected| assert_eq!(status(block), expected, "{block:x?}");
        check(&[0x88], Some(200));
        check(&[0x20, 0x8d, 0x00], Some(404));
        check(b"\x08\x03431", Some(431));
        // RFC 7541, C.6.1 and C.6.2: 302 and 307.
        check(&[0x48, 0x82, 0x64, 0x02], Some(302));
        check(&[0x48, 0x83, 0x64, 0x0e, 0xff], Some(307));
        check(b"\x00\x01a\x01b", None);
    }
}
