//! How are findings laid out for people, and as JSON for programs?

use tidegate_xds::text::Json;

use crate::limits::{PAGE_COLUMNS, PAGE_KEY_COLUMNS};

/// Findings in order, each under a key. Stable: what a program reads, it goes on finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    items: Vec<(&'static str, Value)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    List(Vec<String>),
    Pages(Vec<Page>),
}

impl Page {
    /// Adds a text.
    pub fn text(&mut self, key: &'static str, text: impl Into<String>) {
        self.items.push((key, Value::Text(text.into())));
    }

    /// Adds texts that stand one below the other; nothing where there is none.
    pub fn list(&mut self, key: &'static str, list: Vec<String>) {
        if !list.is_empty() {
            self.items.push((key, Value::List(list)));
        }
    }

    /// Adds pages below a key; nothing where there is none.
    pub fn pages(&mut self, key: &'static str, pages: Vec<Self>) {
        if !pages.is_empty() {
            self.items.push((key, Value::Pages(pages)));
        }
    }

    /// Adds a page below a key; nothing where it is empty.
    pub fn page(&mut self, key: &'static str, page: Self) {
        if !page.is_empty() {
            self.pages(key, vec![page]);
        }
    }

    /// Whether there is nothing on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// As plain text, each line with its end.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out
    }

    /// As JSON: texts, lists of texts, and lists of objects of the same kinds; words of keys are joined by `_`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let text = |text: &String| Json::Text(text.clone());
        let field = |(key, value): &(&'static str, Value)| {
            let value = match value {
                Value::Text(value) => text(value),
                Value::List(list) => Json::List(list.iter().map(text).collect()),
                Value::Pages(pages) => Json::List(pages.iter().map(Self::to_json).collect()),
            };
            (key.replace(' ', "_").into(), value)
        };
        Json::Map(self.items.iter().map(field).collect())
    }

    fn write(&self, out: &mut String, indent: usize) {
        for (key, value) in &self.items {
            match value {
                Value::Text(text) => line(out, indent, key, text),
                Value::List(list) => {
                    for (index, text) in list.iter().enumerate() {
                        line(out, indent, if index == 0 { key } else { "" }, text);
                    }
                }
                Value::Pages(pages) => {
                    for page in pages {
                        line(out, indent, key, "");
                        page.write(out, indent + 2);
                    }
                }
            }
        }
    }
}

/// `key  text`, the text broken at spaces where it is too long; what has none stays whole.
fn line(out: &mut String, indent: usize, key: &str, text: &str) {
    let column = (indent + PAGE_KEY_COLUMNS).max(indent + key.chars().count() + 2);
    let mut current = format!("{:indent$}{key}", "");
    let mut filled = false;
    for word in text.split(' ') {
        let width = current.chars().count();
        if filled && width + 1 + word.chars().count() > PAGE_COLUMNS {
            out.push_str(current.trim_end());
            out.push('\n');
            current = String::new();
            filled = false;
        }
        if filled {
            current.push(' ');
        } else {
            let missing = column.saturating_sub(current.chars().count());
            current.push_str(&" ".repeat(missing));
        }
        current.push_str(word);
        filled = true;
    }
    out.push_str(current.trim_end());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let mut inner = Page::default();
        inner.text("cluster", "a");
        let mut page = Page::default();
        page.text("route", "#1");
        page.list("not", vec!["first".to_owned(), "second".to_owned()]);
        page.list("nothing", Vec::new());
        page.pages("share of it", vec![inner.clone(), inner]);
        page
    }

    #[test]
    fn keys_and_what_stands_beside_them_are_aligned() {
        let expected = "route             #1\nnot               first\n                  second\n\
                        share of it\n  cluster           a\nshare of it\n  cluster           a\n";
        assert_eq!(page().to_text(), expected);
    }

    #[test]
    fn json_has_the_same() {
        let expected =
            r##"{"route":"#1","not":["first","second"],"share_of_it":[{"cluster":"a"},{"cluster":"a"}]}"##;
        assert_eq!(page().to_json().compact(), expected);
    }

    #[test]
    fn long_texts_are_broken_at_spaces() {
        let mut page = Page::default();
        page.text("key", format!("{} {}", "a".repeat(60), "b".repeat(60)));
        page.text("key", "c".repeat(200));
        let text = page.to_text();
        let lines: Vec<_> = text.lines().collect();
        let second = format!("{}{}", " ".repeat(PAGE_KEY_COLUMNS), "b".repeat(60));
        assert_eq!((lines.len(), lines[1]), (3, second.as_str()));
    }
}
