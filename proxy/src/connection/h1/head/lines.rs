//! Where does a block of lines end that arrives in pieces? At its first empty line, found without looking twice.

use memchr::memchr;

/// How far a block of lines has been looked through: a head's, or a trailer section's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines {
    /// Everything before it has been looked at.
    at: usize,
    /// Where the line begins that is not complete yet.
    line: usize,
    /// The length of the first line with its end, once it is complete.
    first: Option<usize>,
    count: usize,
}

impl Lines {
    /// The length of the block with its empty line, once `bytes` hold all of it.
    ///
    /// `bytes` must begin as they did in the last call.
    ///
    /// # Errors
    /// For a line feed without a carriage return before it (RFC 9112 §2.2 lets a strict recipient refuse it).
    pub(crate) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, &'static str> {
        while let Some(found) = bytes.get(self.at..).and_then(|rest| memchr(b'\n', rest)) {
            let feed = self.at + found;
            self.at = feed + 1;
            match bytes.get(self.line..feed) {
                Some([.., b'\r']) => {}
                _ => return Err("a line does not end with CR LF"),
            }
            let empty = feed == self.line + 1;
            self.line = self.at;
            if empty {
                return Ok(Some(self.at));
            }
            self.first.get_or_insert(self.at);
            self.count += 1;
        }
        self.at = bytes.len();
        Ok(None)
    }

    /// How many lines are complete, without the empty one.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The length of the first line with its end, once it is complete.
    pub(crate) fn first_line(&self) -> Option<usize> {
        self.first
    }

    /// Whether no line is complete yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.first.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_wherever_the_bytes_are_cut() {
        let block = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nrest";
        for cut in 0..block.len() {
            let mut lines = Lines::default();
            let (expected, first) = (Some(block.len() - 4), block.get(..cut).unwrap());
            let found = match lines.end(first).unwrap() {
                None => lines.end(block).unwrap(),
                found => found,
            };
            assert_eq!(
                (found, lines.count(), lines.first_line()),
                (expected, 2, Some(16)),
                "{cut}"
            );
        }
    }

    #[test]
    fn a_line_that_ends_otherwise_is_refused() {
        for block in ["a\nb\r\n\r\n", "\n", "a\r\n\n", "a\r\nb\n"] {
            Lines::default().end(block.as_bytes()).unwrap_err();
        }
    }
}
