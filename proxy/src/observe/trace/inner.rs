//! How does a layer tell of its part in a request that is traced?

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;

use super::Context;
use crate::observe::record::{Record, tracked};

/// What a layer adds to the trace of a request: spans within the request's own, and attributes of that.
///
/// There is one where the request is sampled, and nowhere else; whoever has none has nothing to pay.
#[derive(Clone)]
pub struct Telling {
    record: Arc<Record>,
    context: Context,
}

/// A span that lasts until this is dropped.
pub struct InnerSpan {
    telling: Telling,
    id: NonZeroU64,
    /// Where it stands; none of one too many.
    place: Option<usize>,
}

/// A span of a layer, as it is remembered.
#[derive(Clone, Debug)]
pub(crate) struct Inner {
    pub(crate) name: &'static str,
    pub(crate) id: NonZeroU64,
    pub(crate) parent: NonZeroU64,
    pub(crate) start: Duration,
    pub(crate) end: Option<Duration>,
    pub(crate) has_failed: bool,
}

/// Spans of layers that one request may have; further ones are not told of.
const INNER_MAX: usize = 16;

impl Telling {
    /// Of the request with these extensions.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<Self> {
        let record = tracked(extensions)?;
        let context = record.context().filter(|context| context.sampled)?;
        Some(Self {
            record: Arc::clone(record),
            context,
        })
    }

    /// An attribute that the span of the request has from now on.
    pub fn attribute(&self, key: &'static str, value: impl Into<Box<str>>) {
        let mut progress = self.record.progress();
        if progress.attributes.len() < INNER_MAX {
            progress.attributes.push((key, value.into()));
        }
    }

    /// Begins a span within that of the request.
    #[must_use]
    pub fn begin(&self, name: &'static str) -> InnerSpan {
        self.within(name, self.context.span_id)
    }

    fn within(&self, name: &'static str, parent: NonZeroU64) -> InnerSpan {
        let id = self.context.child().span_id;
        let start = self.record.elapsed();
        let mut progress = self.record.progress();
        let place = (progress.inner.len() < INNER_MAX).then_some(progress.inner.len());
        if place.is_some() {
            progress.inner.push(Inner {
                name,
                id,
                parent,
                start,
                end: None,
                has_failed: false,
            });
        }
        drop(progress);
        InnerSpan {
            telling: self.clone(),
            id,
            place,
        }
    }
}

impl InnerSpan {
    /// Begins a span within this one.
    #[must_use]
    pub fn begin(&self, name: &'static str) -> Self {
        self.telling.within(name, self.id)
    }

    /// The spans of tries at an upstream that begin from now on are within this one.
    pub fn holds_tries(&self) {
        if self.place.is_some() {
            self.telling.record.progress().tries_within = Some(self.id);
        }
    }

    /// What it tells of has failed.
    pub fn fail(&self) {
        self.change(|inner| inner.has_failed = true);
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let mut progress = self.telling.record.progress();
        let place = self.place.and_then(|place| progress.inner.get_mut(place));
        if let Some(inner) = place {
            change(inner);
        }
    }
}

impl Drop for InnerSpan {
    fn drop(&mut self) {
        let end = self.telling.record.elapsed();
        self.change(|inner| inner.end = Some(end));
    }
}

impl fmt::Debug for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telling")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for InnerSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InnerSpan")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
