//! What can a template work with, and how does Go print it?

use std::borrow::Cow;
use std::fmt::Write;

/// Something that has fields and methods.
pub trait Object {
    /// The field of this name, or what the method of this name returns.
    fn get(&self, name: &str, arguments: &[Value<'_>]) -> Option<Value<'_>>;

    /// What stands at this key or place, where it is a map or a list.
    fn index(&self, _key: &Value<'_>) -> Option<Value<'_>> {
        None
    }

    /// How many entries it has, where it is a map or a list.
    fn entries(&self) -> Option<usize> {
        None
    }

    /// How Go prints the whole.
    fn print(&self) -> String {
        String::new()
    }
}

/// A value.
pub enum Value<'a> {
    /// Nothing, as of a pointer.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// Something with parts.
    Object(&'a dyn Object),
    /// The same, made for who asked.
    Made(Box<dyn Object + 'a>),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl Value<'_> {
    /// Its parts, where it has some.
    pub(super) fn object(&self) -> Option<&dyn Object> {
        match self {
            Self::Object(object) => Some(*object),
            Self::Made(object) => Some(&**object),
            _ => None,
        }
    }

    /// Whether `if` takes it for true: what is not empty or zero.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Object(_) | Self::Made(_) => self
                .object()
                .and_then(Object::entries)
                .is_none_or(|entries| entries > 0),
        }
    }

    /// Writes it as Go's `%v` does.
    pub(super) fn print(&self, into: &mut String) {
        match self {
            Self::Nil => into.push_str("<nil>"),
            Self::Text(text) => into.push_str(text),
            Self::Bool(value) => drop(write!(into, "{value}")),
            Self::Int(value) => drop(write!(into, "{value}")),
            Self::Float(value) => float(*value, into),
            Self::Object(_) | Self::Made(_) => {
                into.push_str(&self.object().map(Object::print).unwrap_or_default());
            }
        }
    }

    /// The same as a text of its own.
    pub(super) fn printed(&self) -> Cow<'_, str> {
        if let Self::Text(text) = self {
            return Cow::Borrowed(text);
        }
        let mut printed = String::new();
        self.print(&mut printed);
        printed.into()
    }
}

/// The shortest digits that mean this number, with an exponent where it is very small or very large.
fn float(value: f64, into: &mut String) {
    if value.is_nan() {
        return into.push_str("NaN");
    }
    if value.is_infinite() {
        return into.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    // Writing to a string never fails.
    if value == 0.0 || (1e-4..1e20).contains(&value.abs()) {
        _ = write!(into, "{value}");
        return;
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if value != 0.0 && !(-4..21).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            _ = write!(into, "{digits}e{sign}{:02}", exponent.abs());
        }
        _ => _ = write!(into, "{value}"),
    }
}
