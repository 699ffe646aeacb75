//! Statistics as a page for a browser: the text, and nothing that runs.

use std::fmt::{self, Write};

use super::query::Query;
use super::registry::Collected;
use super::text;

/// The text in a page.
pub(super) fn write(all: &Collected, query: &Query, out: &mut dyn Write) -> fmt::Result {
    out.write_str(
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<title>Envoy Admin</title>\n</head>\n<body>\n<pre>\n",
    )?;
    text::write(all, query, &mut Escaped(out))?;
    out.write_str("</pre>\n</body>\n</html>\n")
}

/// Text that cannot be taken for markup.
pub(crate) struct Escaped<'a>(pub(crate) &'a mut dyn Write);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                character => self.0.write_char(character)?,
            }
        }
        Ok(())
    }
}
