//! What does `sample hello` answer? The same as Knative's helloworld: `Hello $TARGET!`.

use http::{Response, StatusCode};

use super::{Body, text};

/// The variable that names whom to greet.
const TARGET: &str = "TARGET";

/// Whom to greet when the variable is not set.
const TARGET_DEFAULT: &str = "World";

pub(super) fn target_from_environment() -> String {
    std::env::var(TARGET).unwrap_or_else(|_| TARGET_DEFAULT.to_owned())
}

pub(super) fn answer(target: &str) -> Response<Body> {
    text(StatusCode::OK, format!("Hello {target}!\n"))
}
