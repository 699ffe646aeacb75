//! Which parts of a descriptor are kept? Names, types and numbers, and of options those that say what is valid and what is secret.

/// What of a message is kept: its fields by number, each whole or in turn pruned. Everything else goes.
struct Shape(&'static [(u64, Keep)]);

enum Keep {
    Whole,
    Pruned(&'static Shape),
}
use Keep::{Pruned, Whole};

/// `validate.rules` and their like on messages and one-ofs.
const RULES: u64 = 1071;
/// `udpa.annotations.sensitive`.
const SENSITIVE: u64 = 76_569_463;

static SET: Shape = Shape(&[(1, Pruned(&FILE))]);
/// Name, package, imports, public imports, messages, enums, extensions, syntax.
static FILE: Shape = Shape(&[
    (1, Whole),
    (2, Whole),
    (3, Whole),
    (10, Whole),
    (4, Pruned(&MESSAGE)),
    (5, Pruned(&ENUM)),
    (7, Pruned(&FIELD)),
    (12, Whole),
]);
/// Name, fields, nested messages and enums, `map_entry` of the options, one-ofs; extension ranges only for `descriptor.proto`.
static MESSAGE: Shape = Shape(&[
    (1, Whole),
    (2, Pruned(&FIELD)),
    (3, Pruned(&MESSAGE)),
    (4, Pruned(&ENUM)),
    (5, Whole),
    (7, Pruned(&Shape(&[(7, Whole), (RULES, Whole)]))),
    (
        8,
        Pruned(&Shape(&[(1, Whole), (2, Pruned(&Shape(&[(RULES, Whole)])))])),
    ),
]);
/// Name, extendee, number, label, type, type name, default, options, one-of, `optional`.
static FIELD: Shape = Shape(&[
    (1, Whole),
    (2, Whole),
    (3, Whole),
    (4, Whole),
    (5, Whole),
    (6, Whole),
    (7, Whole),
    (
        8,
        Pruned(&Shape(&[(2, Whole), (RULES, Whole), (SENSITIVE, Whole)])),
    ),
    (9, Whole),
    (17, Whole),
]);
/// Name and values with their numbers; `allow_alias` of the options.
static ENUM: Shape = Shape(&[
    (1, Whole),
    (2, Pruned(&Shape(&[(1, Whole), (2, Whole)]))),
    (3, Pruned(&Shape(&[(2, Whole)]))),
]);

/// A pruned `FileDescriptorSet`; `None` when it is not well-formed.
pub(super) fn files(bytes: &[u8]) -> Option<Vec<u8>> {
    prune(bytes, &SET)
}

fn prune(mut bytes: &[u8], shape: &Shape) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(bytes.len());
    while !bytes.is_empty() {
        let whole = bytes;
        let tag = varint(&mut bytes)?;
        let content = match tag & 7 {
            0 => {
                varint(&mut bytes)?;
                None
            }
            1 => {
                take(&mut bytes, 8)?;
                None
            }
            2 => {
                let length = varint(&mut bytes)?;
                Some(take(&mut bytes, usize::try_from(length).ok()?)?)
            }
            5 => {
                take(&mut bytes, 4)?;
                None
            }
            _ => return None,
        };
        match shape.0.iter().find(|(number, _)| *number == tag >> 3) {
            None => {}
            Some((_, Whole)) => kept.extend(whole.get(..whole.len() - bytes.len())?),
            Some((_, Pruned(shape))) => {
                let inner = prune(content?, shape)?;
                put(&mut kept, tag);
                put(&mut kept, u64::try_from(inner.len()).ok()?);
                kept.extend(inner);
            }
        }
    }
    Some(kept)
}

fn take<'b>(bytes: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_reads_goes_and_what_surrounds_it_gets_shorter() {
        // A set of one file: name "a", services (6) "xy", a message named "M" with reserved names (10) "r".
        let set = [
            0x0a, 14, 0x0a, 1, b'a', 0x32, 2, b'x', b'y', 0x22, 6, 0x0a, 1, b'M', 0x52, 1, b'r',
        ];
        // The outer length counts what follows it.
        let set: Vec<u8> = [&set[..1], &[15], &set[2..]].concat();
        let expected = [0x0a, 8, 0x0a, 1, b'a', 0x22, 3, 0x0a, 1, b'M'];
        assert_eq!(files(&set), Some(expected.to_vec()));
        assert_eq!(files(&set[..5]), None);
    }
}
