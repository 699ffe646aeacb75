//! Which texts load as which objects, and what is said about the others.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails by panicking, as the test does"
)]

mod containers;
mod defaults;
mod digest;
mod kinds;
mod metadata;
mod robustness;
mod syntax;
mod traffic;

use tidegate_knative::{Defaults, load};

/// The problems of a file, without its name.
fn problems(text: &str) -> Vec<String> {
    match load("f", text, &Defaults::default()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .iter()
            .map(|problem| problem.to_string().trim_start_matches("f:").to_owned())
            .collect(),
    }
}

/// Checks the messages (place aside) that a Service with this spec draws.
fn check_spec(spec: &str, expected: &[&str]) {
    let text = format!(
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {{name: hello}}\nspec: {{{spec}}}\n"
    );
    check(&text, expected);
}

fn check(text: &str, expected: &[&str]) {
    let found = problems(text);
    let found: Vec<&str> = found
        .iter()
        .map(|line| line.splitn(3, ':').nth(2).unwrap_or("").trim_start())
        .collect();
    assert_eq!(found, expected, "{text}");
}

/// The same for one field of the revision's spec beside a sound container.
fn check_revision(fields: &str, expected: &[&str]) {
    let spec = format!("template: {{spec: {{containers: [{{image: a}}], {fields}}}}}");
    let expected: Vec<String> = expected
        .iter()
        .map(|line| format!("spec.template.spec.{line}"))
        .collect();
    check_spec(&spec, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

/// The same for fields of the container.
fn check_container(fields: &str, expected: &[&str]) {
    let spec = format!("template: {{spec: {{containers: [{{image: a, {fields}}}]}}}}");
    let expected: Vec<String> = expected
        .iter()
        .map(|line| format!("spec.template.spec.containers[0].{line}"))
        .collect();
    check_spec(&spec, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}
