//! What are the version, the help, and the text below an error?

use std::fmt::Write as _;

use super::table::{FLAGS, Takes};

/// Envoy's version that this program stands in for.
const ENVOY_VERSION: &str = "1.40.0";

/// The version in Envoy's form, REVISION/VERSION/STATUS/TYPE/TLS, of which tools read the second part: the Envoy that is stood in
/// for.
#[must_use]
pub fn version() -> String {
    format!(
        "tidegate-{}/{ENVOY_VERSION}/Clean/RELEASE/rustls",
        env!("CARGO_PKG_VERSION")
    )
}

pub(super) fn version_line(program: &str) -> String {
    format!("\n{program}  version: {}\n\n", version())
}

pub(super) fn error(program: &str, argument: &str, message: &str) -> String {
    format!(
        "PARSE ERROR: Argument: {argument}\n             {message}\n\nBrief USAGE: \n   {program}{}\n\n\
         For complete USAGE and HELP type: \n   {program} --help\n",
        brief()
    )
}

pub(super) fn help(program: &str) -> String {
    let mut text = format!("\nUSAGE: \n\n   {program}{}\n\n\nWhere: \n", brief());
    for flag in FLAGS {
        let short = flag
            .short
            .map(|short| format!("-{short}{},  ", flag.takes.placeholder()));
        let again = if flag.takes == Takes::Texts {
            "  (accepted multiple times)"
        } else {
            ""
        };
        // Writing to a string cannot fail.
        _ = write!(
            text,
            "\n   {}--{}{}{again}\n     {}\n",
            short.unwrap_or_default(),
            flag.name,
            flag.takes.placeholder(),
            flag.help
        );
    }
    text + "\n"
}

fn brief() -> String {
    let mut text = String::new();
    for (index, flag) in FLAGS.iter().enumerate() {
        text.push_str(if index % 3 == 0 && index > 0 {
            "\n      "
        } else {
            " "
        });
        let again = if flag.takes == Takes::Texts { " ..." } else { "" };
        // Writing to a string cannot fail.
        _ = write!(text, "[--{}{}]{again}", flag.name, flag.takes.placeholder());
    }
    text
}
