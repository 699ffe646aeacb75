//! What does `--run IMAGE=COMMAND` mean?

use std::str::FromStr;

/// One `--run IMAGE=COMMAND`: a command that stands in for an image's entrypoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunMapping {
    image: String,
    command: Vec<String>,
}

/// Why a text is no `IMAGE=COMMAND`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRunMapping {
    /// There is no `=`.
    #[error("expected IMAGE=COMMAND, such as ghcr.io/me/app='python3 app.py'")]
    NoCommand,
    /// Nothing stands before the `=`.
    #[error("the image before = is empty: expected IMAGE=COMMAND")]
    EmptyImage,
    /// Nothing stands after the `=`.
    #[error("the command after = is empty: expected IMAGE=COMMAND")]
    EmptyCommand,
    /// A quote in the command is not closed.
    #[error("the command has a quote that is not closed: quote as in a shell")]
    OpenQuote,
}

impl RunMapping {
    /// The command's words: the program and its arguments. Never empty.
    #[must_use]
    pub fn command(&self) -> &[String] {
        &self.command
    }

    /// The mapping for an image: the one that names it exactly, else one that names it without digest or without tag.
    /// Of equal ones the last wins.
    #[must_use]
    pub fn find<'a>(mappings: &'a [Self], image: &str) -> Option<&'a Self> {
        let named = |name: &str| mappings.iter().rev().find(|mapping| mapping.image == name);
        let without_digest = image.split_once('@').map_or(image, |(name, _digest)| name);
        named(image)
            .or_else(|| named(without_digest))
            .or_else(|| named(without_tag(without_digest)))
    }
}

/// A colon after the last slash begins the tag; one before it belongs to the registry's port.
fn without_tag(image: &str) -> &str {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

impl FromStr for RunMapping {
    type Err = InvalidRunMapping;

    fn from_str(text: &str) -> Result<Self, InvalidRunMapping> {
        let (image, command) = text.split_once('=').ok_or(InvalidRunMapping::NoCommand)?;
        if image.is_empty() {
            return Err(InvalidRunMapping::EmptyImage);
        }
        let command = shell_words::split(command).map_err(|_open| InvalidRunMapping::OpenQuote)?;
        if command.first().is_none_or(String::is_empty) {
            return Err(InvalidRunMapping::EmptyCommand);
        }
        Ok(Self {
            image: image.to_owned(),
            command,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, &[&str]), InvalidRunMapping>) {
        let mapping = text.parse::<RunMapping>();
        let expected = expected.map(|(image, command)| RunMapping {
            image: image.into(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
        });
        assert_eq!(mapping, expected, "{text}");
    }

    #[test]
    fn a_mapping_is_an_image_and_words_as_in_a_shell() {
        check("app=./run", Ok(("app", &["./run"])));
        check(
            "host:5000/me/app:1=python3 -m app --x=1",
            Ok(("host:5000/me/app:1", &["python3", "-m", "app", "--x=1"])),
        );
        check(
            r#"app=sh -c 'exec a "b c"' d\ e"#,
            Ok(("app", &["sh", "-c", r#"exec a "b c""#, "d e"])),
        );
        check("app", Err(InvalidRunMapping::NoCommand));
        check("=run", Err(InvalidRunMapping::EmptyImage));
        check("app= ", Err(InvalidRunMapping::EmptyCommand));
        check("app=''", Err(InvalidRunMapping::EmptyCommand));
        check("app='open", Err(InvalidRunMapping::OpenQuote));
    }

    #[test]
    fn an_image_is_found_exactly_or_without_digest_or_tag() {
        let mappings = ["reg:5000/a=plain", "reg:5000/a:2=two", "reg:5000/a:2=second"]
            .map(|text| text.parse::<RunMapping>().expect(text));
        let find =
            |image: &str| RunMapping::find(&mappings, image).map(|mapping| mapping.command()[0].as_str());
        assert_eq!(find("reg:5000/a"), Some("plain"));
        assert_eq!(find("reg:5000/a:1"), Some("plain"));
        assert_eq!(find("reg:5000/a:2"), Some("second"));
        assert_eq!(find("reg:5000/a:2@sha256:00"), Some("second"));
        assert_eq!(find("reg:5000/a@sha256:00"), Some("plain"));
        assert_eq!(find("reg:5000/ab"), None);
        assert_eq!(find("a"), None);
    }
}
