//! Where does text end and an action begin, and which words is an action made of?

use super::TemplateError;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// As it is.
    Text(String),
    /// The words between `{{` and `}}`.
    Action(Vec<Word>),
}

/// A word of an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// `.` and names, each after a dot; without names it is the dot alone.
    Field(Vec<String>),
    /// Names behind a closing parenthesis.
    Chained(Vec<String>),
    /// A keyword or a function.
    Name(String),
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// `|`.
    Pipe,
    /// `(`.
    Open,
    /// `)`.
    Close,
}

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// The pieces of a template.
pub(super) fn template(mut rest: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut trims_next = false;
    while let Some((text, after)) = rest.split_once("{{") {
        let (trims_before, inside) = match after.strip_prefix('-') {
            Some(inside) if inside.starts_with(BLANKS) => (true, inside),
            _ => (false, after),
        };
        push_text(&mut pieces, text, trims_next, trims_before);
        let end = end_of_action(inside)?;
        let (action, left) = inside.split_at(end);
        rest = left.strip_prefix("}}").unwrap_or(left);
        trims_next = action.ends_with('-') && action.trim_end_matches('-').ends_with(BLANKS);
        let action = if trims_next {
            action.trim_end_matches('-')
        } else {
            action
        };
        let action = action.trim_matches(BLANKS);
        if !is_comment(action) {
            pieces.push(Piece::Action(words(action)?));
        }
    }
    push_text(&mut pieces, rest, trims_next, false);
    Ok(pieces)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str, trims_start: bool, trims_end: bool) {
    let text = if trims_start {
        text.trim_start_matches(BLANKS)
    } else {
        text
    };
    let text = if trims_end {
        text.trim_end_matches(BLANKS)
    } else {
        text
    };
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

fn is_comment(action: &str) -> bool {
    action.starts_with("/*") && action.ends_with("*/")
}

/// Where `}}` stands, outside of quotes.
fn end_of_action(inside: &str) -> Result<usize, TemplateError> {
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in inside.char_indices() {
        match (quote, character) {
            (Some(_), _) if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '`') => quote = Some(character),
            (None, '}') if inside.get(at..).is_some_and(|rest| rest.starts_with("}}")) => return Ok(at),
            _ => {}
        }
    }
    Err(TemplateError::Syntax("unclosed action".to_owned()))
}

fn words(mut rest: &str) -> Result<Vec<Word>, TemplateError> {
    let mut words = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            blank if BLANKS.contains(&blank) => {
                rest = rest.trim_start_matches(BLANKS);
                continue;
            }
            '|' => (Word::Pipe, rest.get(1..)),
            '(' => (Word::Open, rest.get(1..)),
            ')' => {
                words.push(Word::Close);
                rest = rest.get(1..).unwrap_or_default();
                if rest.starts_with('.') {
                    let (names, after) = names(rest)?;
                    words.push(Word::Chained(names));
                    rest = after;
                }
                continue;
            }
            '.' if !rest
                .get(1..2)
                .is_some_and(|next| next.starts_with(|c: char| c.is_ascii_digit())) =>
            {
                let (names, after) = names(rest)?;
                (Word::Field(names), Some(after))
            }
            '"' | '`' => quoted(rest, first)?,
            _ => bare(rest)?,
        };
        words.push(word);
        rest = after.unwrap_or_default();
    }
    Ok(words)
}

/// Names, each after a dot.
fn names(mut rest: &str) -> Result<(Vec<String>, &str), TemplateError> {
    let mut names = Vec::new();
    while let Some(after) = rest.strip_prefix('.') {
        let end = after
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(after.len());
        let (name, left) = after.split_at(end);
        rest = left;
        if name.is_empty() {
            break;
        }
        names.push(name.to_owned());
    }
    if rest.starts_with(|c: char| !(BLANKS.contains(&c) || "|()".contains(c))) {
        return Err(TemplateError::Syntax(format!(
            "unexpected {rest:?} after a field"
        )));
    }
    Ok((names, rest))
}

fn quoted(rest: &str, quote: char) -> Result<(Word, Option<&str>), TemplateError> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            end if end == quote => return Ok((Word::Text(text), rest.get(at + 1..))),
            '\\' if quote == '"' => match characters.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, 'r')) => text.push('\r'),
                Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                _ => {
                    return Err(TemplateError::Syntax(
                        "an escape that is not known here".to_owned(),
                    ));
                }
            },
            other => text.push(other),
        }
    }
    Err(TemplateError::Syntax("unterminated quoted string".to_owned()))
}

/// A name or a number.
fn bare(rest: &str) -> Result<(Word, Option<&str>), TemplateError> {
    let end = rest
        .find(|c: char| !(c.is_alphanumeric() || "_.+-".contains(c)))
        .unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    let is_name =
        word.starts_with(|c: char| c.is_alphabetic() || c == '_') && !word.contains(['.', '+', '-']);
    let word = match (is_name, word.parse(), word.parse()) {
        (true, ..) => Word::Name(word.to_owned()),
        (_, Ok(number), _) => Word::Int(number),
        (_, _, Ok(number)) if !word.is_empty() => Word::Float(number),
        _ => {
            let unexpected = rest.chars().next().unwrap_or_default();
            return Err(TemplateError::Syntax(format!(
                "unexpected {unexpected:?} in an action"
            )));
        }
    };
    Ok((word, Some(after)))
}
