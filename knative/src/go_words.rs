//! How does Go say what went wrong on a connection? Clients of Knative's programs read it in the body of a 502.

use std::fmt::Display;
use std::io;

/// A connection to `address` could not be made, for what the system says.
///
/// ```
/// use tidegate_knative::go_words::not_connected;
///
/// let refused = std::io::Error::from_raw_os_error(111);
/// # #[cfg(target_os = "linux")]
/// assert_eq!(not_connected("10.0.0.1:80", &refused), "dial tcp 10.0.0.1:80: connect: connection refused");
/// ```
#[must_use]
pub fn not_connected(address: impl Display, error: &io::Error) -> String {
    format!("dial tcp {address}: connect: {}", of_system(error))
}

/// `address` did not answer in time.
#[must_use]
pub fn no_answer(address: impl Display) -> String {
    format!("dial tcp {address}: i/o timeout")
}

/// The connection to `address` ended without a response, for what the system said, if anything.
#[must_use]
pub fn no_response(address: impl Display, error: Option<&io::Error>) -> String {
    match error {
        Some(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            format!("read tcp {address}: read: connection reset by peer")
        }
        _ => "EOF".to_owned(),
    }
}

/// The system's text as Go writes it: in lower case, without the number.
fn of_system(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(&*text, |(text, _)| text);
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_stands_in_lower_case_and_without_its_number() {
        let error = io::Error::other("No route to Host (os error 113)");
        assert_eq!(
            not_connected("a:1", &error),
            "dial tcp a:1: connect: no route to host"
        );
        assert_eq!(no_answer("a:1"), "dial tcp a:1: i/o timeout");
    }

    #[test]
    fn a_reset_is_told_from_an_end() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let other = io::Error::from(io::ErrorKind::BrokenPipe);
        let read = "read tcp a:1: read: connection reset by peer";
        for (error, expected) in [(Some(&reset), read), (Some(&other), "EOF"), (None, "EOF")] {
            assert_eq!(no_response("a:1", error), expected);
        }
    }
}
