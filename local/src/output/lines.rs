//! Where does a line of a replica's output end? At its line feed, at the length bound, or at the end of the output.

use std::borrow::Cow;

use crate::limits::OUTPUT_LINE_BYTES_MAX;

/// Cuts a stream of bytes into lines of text.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    unfinished: Vec<u8>,
}

impl Splitter {
    /// Takes the next bytes; calls `each` for every line they complete.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(piece);
            if let Some(line) = self.unfinished.strip_suffix(b"\n") {
                each(&decode(line.strip_suffix(b"\r").unwrap_or(line)));
                self.unfinished.clear();
            }
            while self.unfinished.len() > OUTPUT_LINE_BYTES_MAX {
                let rest = self.unfinished.split_off(cut(&self.unfinished));
                each(&decode(&self.unfinished));
                self.unfinished = rest;
            }
        }
    }

    /// Takes the end of the output: what has no line feed is the last line.
    pub(super) fn finish(self, mut each: impl FnMut(&str)) {
        if !self.unfinished.is_empty() {
            each(&decode(&self.unfinished));
        }
    }
}

/// The bound, or a little less where it would cut a character in two.
fn cut(line: &[u8]) -> usize {
    let starts_character = |index: &usize| line.get(*index).is_some_and(|byte| byte & 0xc0 != 0x80);
    let nearest = (OUTPUT_LINE_BYTES_MAX - 3..=OUTPUT_LINE_BYTES_MAX)
        .rev()
        .find(starts_character);
    nearest.unwrap_or(OUTPUT_LINE_BYTES_MAX)
}

fn decode(line: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut splitter = Splitter::default();
        for piece in pieces {
            splitter.feed(piece, |line| lines.push(line.to_owned()));
        }
        splitter.finish(|line| lines.push(line.to_owned()));
        lines
    }

    fn check(pieces: &[&[u8]], expected: &[&str]) {
        assert_eq!(split(pieces), expected, "{pieces:?}");
    }

    #[test]
    fn lines_end_at_line_feeds_wherever_the_reads_were_cut() {
        check(&[b"one\ntwo\n"], &["one", "two"]);
        check(&[b"o", b"ne\r", b"\n\ntw", b"o"], &["one", "", "two"]);
        check(&[b""], &[]);
        check(&["grü\n".as_bytes()], &["grü"]);
        check(&[b"gr\xc3", b"\xbc\n"], &["grü"]);
        check(&[b"bad \xff byte\n"], &["bad \u{fffd} byte"]);
    }

    #[test]
    fn a_long_line_is_split_at_the_bound_between_characters() {
        let mut long = "x".repeat(OUTPUT_LINE_BYTES_MAX - 1);
        long.push('ü');
        long.push_str("end");
        let lines = split(&[long.as_bytes(), b"\nnext\n"]);
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].len(), OUTPUT_LINE_BYTES_MAX - 1);
        assert_eq!(lines[1..], ["üend", "next"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_split_at_the_bound_too() {
        let lines = split(&[&[0x80; OUTPUT_LINE_BYTES_MAX * 2 + 1]]);
        assert_eq!(lines.len(), 3);
    }
}
