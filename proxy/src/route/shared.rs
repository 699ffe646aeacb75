//! How do many routes hold a part that is the same for all of them?

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A part of the configuration that others may have too, and that is there once for all of them. Whoever changes it gets one of
/// his own.
///
/// ```
/// use http::Method;
/// use tidegate_proxy::route::{Matcher, Shared};
///
/// let usual = Shared::<Matcher>::default();
/// let mut own = usual.clone();
/// own.methods = vec![Method::GET];
/// assert!(usual.methods.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    /// Whether nobody else has it.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Whether both are the same one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> From<T> for Shared<T> {
    fn from(part: T) -> Self {
        Self(Arc::new(part))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}
