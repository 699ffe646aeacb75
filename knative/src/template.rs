//! How is a line written by a template of Go's (`text/template`), such as the request log's?
//!
//! A part of that language, which is what such templates are made of: text, fields and methods (`.Request.Header.Get "X-A"`),
//! pipelines, parentheses, literals, `if`, `else if`, `else`, comments, trimmed blanks, and the functions of [`FUNCTIONS`].
//! Anything else is an error when the template is read.
//!
//! ```
//! use tidegate_knative::template::{Object, Template, Value};
//!
//! struct Greeting;
//! impl Object for Greeting {
//!     fn get(&self, name: &str, _arguments: &[Value<'_>]) -> Option<Value<'_>> {
//!         (name == "Name").then(|| Value::from("<Ada>"))
//!     }
//! }
//! let template = Template::parse(r#"hello {{if .Name}}"{{js .Name}}"{{end}}"#)?;
//! assert_eq!(template.render(&Greeting)?, r#"hello "\u003CAda\u003E""#);
//! # Ok::<(), tidegate_knative::template::TemplateError>(())
//! ```

mod eval;
mod functions;
mod lex;
mod parse;
mod value;

pub use functions::FUNCTIONS;
pub use value::{Object, Value};

#[cfg(test)]
mod tests;

/// A template that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    nodes: Vec<parse::Node>,
    /// The most bytes that its texts alone come to; a first guess at a line.
    text_bytes: usize,
}

/// Why a template cannot be read, or not be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is not written in the language, or in a part of it that is not known here.
    #[error("template: {0}")]
    Syntax(String),
    /// It asks for something that is not there.
    #[error("template: {0}")]
    Execution(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// One that is not in the language, or in more of it than is known here.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let nodes = parse::template(&lex::template(text)?)?;
        Ok(Self {
            nodes,
            text_bytes: text.len(),
        })
    }

    /// Whether it asks for a field or method of this name anywhere.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        parse::mention(&self.nodes, name)
    }

    /// What it says of `root`.
    ///
    /// # Errors
    /// When it asks for something that is not there.
    pub fn render(&self, root: &dyn Object) -> Result<String, TemplateError> {
        let mut into = String::with_capacity(self.text_bytes);
        eval::nodes(&self.nodes, root, &mut into)?;
        Ok(into)
    }
}
