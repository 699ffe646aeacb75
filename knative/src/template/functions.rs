//! What can a template call?

use std::cmp::Ordering;
use std::fmt::Write;

use super::TemplateError;
use super::eval::failed;
use super::value::{Object, Value};

/// The functions, by the names and with the meanings of Go's.
pub const FUNCTIONS: [&str; 13] = [
    "and", "eq", "ge", "gt", "index", "js", "le", "len", "lt", "ne", "not", "or", "printf",
];

/// What a function comes to.
pub(super) fn call<'a>(name: &str, arguments: Vec<Value<'a>>) -> Result<Value<'a>, TemplateError> {
    let too_few = || failed(format!("wrong number of args for {name}"));
    match name {
        "js" => Ok(js(arguments)),
        "printf" => printf(&arguments).map(Value::from),
        "and" => choose(arguments, |value| !value.is_true()).ok_or_else(too_few),
        "or" => choose(arguments, |value| value.is_true()).ok_or_else(too_few),
        "index" => index(arguments).ok_or_else(|| failed("error calling index".to_owned())),
        "not" => {
            let [value] = <[Value<'_>; 1]>::try_from(arguments).map_err(|_| too_few())?;
            Ok(Value::Bool(!value.is_true()))
        }
        "len" => {
            let [value] = <[Value<'_>; 1]>::try_from(arguments).map_err(|_| too_few())?;
            let length = match &value {
                Value::Text(text) => Some(text.len()),
                other => other.object().and_then(Object::entries),
            };
            let length = length.and_then(|length| i64::try_from(length).ok());
            length
                .map(Value::Int)
                .ok_or_else(|| failed("len of something without a length".to_owned()))
        }
        _ => compare(name, &arguments).map(Value::Bool).ok_or_else(too_few),
    }
}

/// The first argument that decides, or else the last.
fn choose<'a>(arguments: Vec<Value<'a>>, decides: impl Fn(&Value<'_>) -> bool) -> Option<Value<'a>> {
    let mut last = None;
    for argument in arguments {
        if decides(&argument) {
            return Some(argument);
        }
        last = Some(argument);
    }
    last
}

/// What stands at a key of a map, or a place of a list there; a key that is not there is an empty text.
fn index(arguments: Vec<Value<'_>>) -> Option<Value<'_>> {
    let mut arguments = arguments.into_iter();
    let mut at = arguments.next()?;
    for key in arguments {
        at = match at {
            Value::Object(object) => object.index(&key)?,
            Value::Made(object) => Value::from(object.index(&key)?.printed().into_owned()),
            _ => return None,
        };
    }
    Some(at)
}

fn compare(name: &str, arguments: &[Value<'_>]) -> Option<bool> {
    let (first, others) = arguments.split_first()?;
    let second = others.first()?;
    Some(match name {
        // As Go: equal to any of the others.
        "eq" => others
            .iter()
            .any(|other| order(first, other) == Some(Ordering::Equal)),
        "ne" => order(first, second) != Some(Ordering::Equal),
        "lt" => order(first, second)?.is_lt(),
        "le" => order(first, second)?.is_le(),
        "gt" => order(first, second)?.is_gt(),
        "ge" => order(first, second)?.is_ge(),
        _ => return None,
    })
}

fn order(one: &Value<'_>, other: &Value<'_>) -> Option<Ordering> {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => Some(one.cmp(other)),
        (Value::Float(one), Value::Float(other)) => one.partial_cmp(other),
        (Value::Text(one), Value::Text(other)) => Some(one.cmp(other)),
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        (Value::Nil, Value::Nil) => Some(Ordering::Equal),
        _ => None,
    }
}

/// As a part of a JavaScript string (Go's `template.JSEscape`).
fn js(mut arguments: Vec<Value<'_>>) -> Value<'_> {
    if let [Value::Text(text)] = &arguments[..]
        && text.bytes().all(is_plain)
        && let Some(text) = arguments.pop()
    {
        // Most texts are as they are.
        return text;
    }
    let mut escaped = String::new();
    for argument in &arguments {
        escape(&argument.printed(), &mut escaped);
    }
    Value::from(escaped)
}

/// Whether a byte stands for itself in a JavaScript string.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'\\' | b'\'' | b'"' | b'<' | b'>' | b'&' | b'=')
}

fn escape(text: &str, escaped: &mut String) {
    for character in text.chars() {
        match character {
            '\\' | '\'' | '"' => escaped.extend(['\\', character]),
            '<'
            | '>'
            | '&'
            | '='
            | '\0'..' '
            | '\u{80}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}' => {
                // Writing to a string never fails.
                _ = write!(escaped, "\\u{:04X}", u32::from(character));
            }
            other => escaped.push(other),
        }
    }
}

/// Go's `Printf`, as far as lines of a log need it: `%v %s %d %t %q %f %g` and a precision.
fn printf(arguments: &[Value<'_>]) -> Result<String, TemplateError> {
    let Some((Value::Text(format), rest)) = arguments.split_first() else {
        return Err(failed("printf without a format".to_owned()));
    };
    let (mut printed, mut rest) = (String::new(), rest.iter());
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            printed.push(character);
            continue;
        }
        let mut directive: String = characters
            .by_ref()
            .take_while_inclusive(|c| !c.is_ascii_alphabetic() && *c != '%');
        let verb = directive.pop();
        if verb == Some('%') && directive.is_empty() {
            printed.push('%');
            continue;
        }
        let value = rest
            .next()
            .ok_or_else(|| failed("printf with too few values".to_owned()))?;
        let precision = directive.strip_prefix('.').map(str::parse::<usize>);
        match (verb, value, precision) {
            (Some('f'), Value::Float(value), None) => printed.push_str(&format!("{value:.6}")),
            (Some('f'), Value::Float(value), Some(Ok(digits @ ..=64))) => {
                printed.push_str(&format!("{value:.digits$}"));
            }
            (Some('q'), value, None) if directive.is_empty() => {
                printed.push_str(&format!("{:?}", value.printed()));
            }
            (Some('v' | 's' | 'd' | 't' | 'g'), value, None) if directive.is_empty() => {
                value.print(&mut printed);
            }
            _ => {
                return Err(failed(format!(
                    "printf with %{directive}{}",
                    verb.unwrap_or_default()
                )));
            }
        }
    }
    Ok(printed)
}

/// Takes as long as a condition holds, and the one for which it does not.
trait TakeWhileInclusive: Iterator<Item = char> {
    fn take_while_inclusive(self, holds: impl Fn(&char) -> bool) -> String;
}

impl<I: Iterator<Item = char>> TakeWhileInclusive for I {
    fn take_while_inclusive(mut self, holds: impl Fn(&char) -> bool) -> String {
        let mut taken = String::new();
        for character in self.by_ref() {
            taken.push(character);
            if !holds(&character) {
                break;
            }
        }
        taken
    }
}
