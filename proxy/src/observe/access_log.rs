//! What is written about each request, where to, and about which.
//!
//! ```
//! use std::sync::Arc;
//! use tidegate_proxy::observe::access_log::{AccessLog, Filter, Format, Sink};
//!
//! #[derive(Debug)]
//! struct Standard;
//! impl Sink for Standard {
//!     fn write(&self, line: Vec<u8>) {
//!         print!("{}", String::from_utf8_lossy(&line));
//!     }
//! }
//!
//! let format = Format::text("[%START_TIME%] %REQ(:METHOD)% %RESPONSE_CODE% %DURATION%\n")?;
//! let errors_only = Filter::StatusAtLeast(500);
//! let log = AccessLog::new(format, Arc::new(Standard)).only(errors_only);
//! # drop(log);
//! # Ok::<(), tidegate_proxy::observe::access_log::FormatError>(())
//! ```

use std::fmt;
use std::sync::Arc;

use http::header::HeaderName;

use crate::observe::record::Entry;

mod escape;
mod file;
mod filter;
mod format;
mod journal;
mod json;
mod operators;
pub(crate) mod time;

pub(crate) use time::rfc3339;

pub use file::{FileSink, Target};
pub use filter::{Filter, ValueMatch};
pub use format::{Format, FormatError};
pub use journal::{Journal, JournalEntry};

/// Envoy's default format: what a log says without one of its own.
pub const DEFAULT_FORMAT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
    %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \
    \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

/// Where finished lines go.
pub trait Sink: fmt::Debug + Send + Sync {
    /// Takes one line with its end. Called on the thread that carries the request: it must not block; what it cannot take
    /// it drops, and counts that.
    fn write(&self, line: Vec<u8>);
}

/// One access log: a line about each request that its filter lets through, when the request is over. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    format: Format,
    filter: Option<Filter>,
    sink: Arc<dyn Sink>,
    fields: Fields,
}

/// The fields that have to be kept until a request is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) request: Vec<HeaderName>,
    pub(crate) response: Vec<HeaderName>,
    pub(crate) trailers: Vec<HeaderName>,
}

impl AccessLog {
    /// A log of every request.
    #[must_use]
    pub fn new(format: Format, sink: Arc<dyn Sink>) -> Self {
        let mut fields = Fields::default();
        format.fields(&mut fields);
        Self {
            inner: Arc::new(Inner {
                format,
                filter: None,
                sink,
                fields,
            }),
        }
    }

    /// Only of the requests that `filter` lets through.
    #[must_use]
    pub fn only(self, filter: Filter) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.inner);
        filter.fields(&mut inner.fields);
        inner.filter = Some(filter);
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn write(&self, entry: &Entry<'_>) {
        if self.inner.filter.as_ref().is_none_or(|filter| filter.lets(entry)) {
            self.inner.sink.write(self.inner.format.line(entry));
        }
    }

    pub(crate) fn request_fields(&self) -> &[HeaderName] {
        &self.inner.fields.request
    }

    pub(crate) fn response_fields(&self) -> &[HeaderName] {
        &self.inner.fields.response
    }

    pub(crate) fn trailers(&self) -> &[HeaderName] {
        &self.inner.fields.trailers
    }
}
