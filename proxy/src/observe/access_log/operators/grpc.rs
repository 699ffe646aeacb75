//! How is the status of a gRPC call written?

use http::header::HeaderName;

use super::{Value, number, shared};
use crate::observe::record::Entry;

/// The trailer, or the field of a response without a body, that says it.
pub(super) const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum GrpcStyle {
    /// `DeadlineExceeded`
    Camel,
    /// `DEADLINE_EXCEEDED`
    Snake,
    /// `4`
    Number,
}

/// gRPC core, `statuscodes.md`, by number.
const NAMES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

impl GrpcStyle {
    pub(super) fn parse(argument: Option<&str>) -> Result<Self, String> {
        Ok(match argument {
            None | Some("CAMEL_STRING") => Self::Camel,
            Some("SNAKE_STRING") => Self::Snake,
            Some("NUMBER") => Self::Number,
            Some(other) => {
                return Err(format!(
                    "'{other}' is not one of CAMEL_STRING, SNAKE_STRING, NUMBER"
                ));
            }
        })
    }

    pub(super) fn value<'a>(self, entry: &Entry<'a>) -> Value<'a> {
        let progress = entry.progress;
        let said = progress
            .trailers
            .get(STATUS)
            .or_else(|| progress.response_fields.get(STATUS));
        let code: Option<usize> = said.and_then(|said| said.to_str().ok()?.parse().ok());
        let Some(code) = code else {
            return Value::Unknown;
        };
        match (self, NAMES.get(code)) {
            (Self::Camel, Some((camel, _))) => shared(camel),
            (Self::Snake, Some((_, snake))) => shared(snake),
            _ => number(code as u64),
        }
    }
}
