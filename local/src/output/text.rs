//! What may a replica's line do to the terminal? Print text, tabs and colours; not move the cursor or clear the screen.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

const ESCAPE: char = '\u{1b}';
const BELL: char = '\u{7}';
const RESET_COLOURS: &str = "\u{1b}[0m";

/// The line without control characters and sequences, except tabs and colours; colours end with the line.
pub(super) fn clean(line: &str) -> Cow<'_, str> {
    if !line.contains(is_unwanted) {
        return Cow::Borrowed(line);
    }
    let mut cleaned = String::with_capacity(line.len());
    let mut coloured = false;
    walk(line, |part| match part {
        Part::Text(character) => cleaned.push(character),
        Part::Colour(parameters) => {
            coloured = true;
            cleaned.push_str("\u{1b}[");
            cleaned.push_str(parameters);
            cleaned.push('m');
        }
    });
    if coloured && !cleaned.ends_with(RESET_COLOURS) {
        cleaned.push_str(RESET_COLOURS);
    }
    Cow::Owned(cleaned)
}

/// The line without colours too.
pub(super) fn without_colours(line: &str) -> Cow<'_, str> {
    if !line.contains(is_unwanted) {
        return Cow::Borrowed(line);
    }
    let mut plain = String::with_capacity(line.len());
    walk(line, |part| {
        if let Part::Text(character) = part {
            plain.push(character);
        }
    });
    Cow::Owned(plain)
}

fn is_unwanted(character: char) -> bool {
    character.is_control() && character != '\t'
}

enum Part<'a> {
    Text(char),
    /// The parameters of a "select graphic rendition" sequence. spec: ECMA-48 §8.3.117
    Colour(&'a str),
}

fn walk(line: &str, mut each: impl FnMut(Part<'_>)) {
    let mut rest = line.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            ESCAPE => {
                if let Some(parameters) = skip_sequence(&mut rest) {
                    each(Part::Colour(&parameters));
                }
            }
            control if is_unwanted(control) => {}
            text => each(Part::Text(text)),
        }
    }
}

/// Skips what follows an escape character; returns the parameters if it sets colours. spec: ECMA-48 §5.4
fn skip_sequence(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    match rest.next()? {
        '[' => {
            let mut parameters = String::new();
            loop {
                match rest.next()? {
                    'm' => return Some(parameters),
                    parameter @ '\u{20}'..='\u{3f}' => parameters.push(parameter),
                    // The final byte of another sequence, or no sequence at all.
                    _ => return None,
                }
            }
        }
        // Operating system commands (titles, links) and other strings end with BEL or ESC \.
        ']' | 'P' | 'X' | '^' | '_' => {
            while let Some(character) = rest.next() {
                if character == BELL || character == ESCAPE && rest.next_if_eq(&'\\').is_some() {
                    break;
                }
            }
            None
        }
        // Intermediate bytes, then one final byte: character sets and the like.
        '\u{20}'..='\u{2f}' => {
            rest.by_ref()
                .find(|character| !('\u{20}'..='\u{2f}').contains(character));
            None
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str, plain: &str) {
        assert_eq!(clean(line), expected, "{line:?}");
        assert_eq!(without_colours(line), plain, "{line:?}");
    }

    #[test]
    fn text_tabs_and_colours_stay_and_the_rest_goes() {
        check("plain\ttext ü", "plain\ttext ü", "plain\ttext ü");
        check("\u{1b}[31mred\u{1b}[0m", "\u{1b}[31mred\u{1b}[0m", "red");
        check("\u{1b}[1;32mgreen", "\u{1b}[1;32mgreen\u{1b}[0m", "green");
        check("\u{1b}[2J\u{1b}[Hcleared", "cleared", "cleared");
        check("10%\r20%\u{8}", "10%20%", "10%20%");
        check("\u{1b}]0;title\u{7}after", "after", "after");
        check("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link", "link");
        check(
            "\u{1b}(Bcharset \u{1b}ccleared",
            "charset cleared",
            "charset cleared",
        );
        check("cut off \u{1b}[3", "cut off ", "cut off ");
        check("cut off \u{1b}", "cut off ", "cut off ");
        check("nul \0 bell \u{7}", "nul  bell ", "nul  bell ");
    }
}
