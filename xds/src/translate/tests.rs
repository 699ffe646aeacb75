//! What tests of translations share.

use super::{Context, UnknownFields};

/// A context with nothing out of the ordinary.
pub(crate) fn context() -> Context {
    Context {
        internal_listeners: Vec::new(),
        unknown_fields: UnknownFields::Ignored,
        ..Context::default()
    }
}
