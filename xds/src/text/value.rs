//! JSON whose fields keep their order, and how it is written.

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(Box<str>),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// Fields in order.
    Map(Vec<(Box<str>, Self)>),
}

impl Json {
    /// The field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(fields) => fields
                .iter()
                .find(|(field, _)| &**field == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// As Envoy's admin endpoints lay it out: a field a line, one space of indentation a level.
    #[must_use]
    pub fn pretty(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, Some(0));
        text
    }

    /// On one line, without spaces.
    #[must_use]
    pub fn compact(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, None);
        text
    }

    fn write(&self, text: &mut String, indentation: Option<usize>) {
        match self {
            Self::Null => text.push_str("null"),
            Self::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => text.push_str(number),
            Self::Text(string) => quote(string, text),
            Self::List(items) => {
                let item = |text: &mut String, item: &Self, inner| item.write(text, inner);
                group(text, "[]", items, indentation, item);
            }
            Self::Map(fields) => {
                let field = |text: &mut String, (name, value): &(Box<str>, Self), inner: Option<usize>| {
                    quote(name, text);
                    text.push_str(if inner.is_some() { ": " } else { ":" });
                    value.write(text, inner);
                };
                group(text, "{}", fields, indentation, field);
            }
        }
    }
}

impl From<Json> for serde_json::Value {
    /// Loses the order of fields.
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(number) => serde_json::from_str(&number).unwrap_or(Self::Null),
            Json::Text(string) => Self::String(string),
            Json::List(items) => items.into_iter().map(Self::from).collect(),
            Json::Map(fields) => fields
                .into_iter()
                .map(|(name, value)| (String::from(name), Self::from(value)))
                .collect(),
        }
    }
}

fn group<T>(
    text: &mut String,
    brackets: &str,
    items: &[T],
    indentation: Option<usize>,
    write: impl Fn(&mut String, &T, Option<usize>),
) {
    let (open, close) = brackets.split_at(1);
    text.push_str(open);
    let inner = indentation.map(|level| level + 1);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        line(text, inner);
        write(text, item, inner);
    }
    if !items.is_empty() {
        line(text, indentation);
    }
    text.push_str(close);
}

fn line(text: &mut String, indentation: Option<usize>) {
    if let Some(level) = indentation {
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', level));
    }
}

fn quote(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            // `<` and `>` would matter where a browser shows the text.
            '<' | '>' | '\0'..='\u{1f}' | '\u{7f}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}
