//! Which requests does a log speak of?

use std::time::Duration;

use http::header::{HeaderName, HeaderValue};

use super::Fields;
use crate::observe::record::Entry;

/// A condition on a request that is over.
///
/// There is none for health checks, as what one is differs: `Not(RequestField(USER_AGENT, ValueMatch::Prefix(..)))`.
#[derive(Clone, Debug)]
pub enum Filter {
    /// The status is at least this; a request without a response has none and passes, as something went wrong.
    StatusAtLeast(u16),
    /// It took at least this long.
    DurationAtLeast(Duration),
    /// A field of the request.
    RequestField(HeaderName, ValueMatch),
    /// A field of the response.
    ResponseField(HeaderName, ValueMatch),
    /// Of a million such requests, about so many, chosen by chance.
    Sample(u32),
    /// One of these of Envoy's response flags; an empty list stands for any.
    Flag(Vec<Box<str>>),
    /// All of them.
    All(Vec<Self>),
    /// At least one of them.
    Any(Vec<Self>),
    /// Not this one.
    Not(Box<Self>),
}

/// What a field has to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueMatch {
    /// It is there.
    Present,
    /// It is exactly this.
    Exact(Box<str>),
    /// It begins with this.
    Prefix(Box<str>),
}

const MILLION: u32 = 1_000_000;

impl Filter {
    pub(super) fn lets(&self, entry: &Entry<'_>) -> bool {
        match self {
            Self::StatusAtLeast(least) => entry.status().is_none_or(|status| status.as_u16() >= *least),
            Self::DurationAtLeast(least) => entry.duration >= *least,
            Self::RequestField(name, wanted) => wanted.fits(entry.progress.request_fields.get(name)),
            Self::ResponseField(name, wanted) => wanted.fits(entry.progress.response_fields.get(name)),
            Self::Sample(per_million) => fastrand::u32(..MILLION) < *per_million,
            Self::Flag(wanted) => entry.flag().is_some_and(|flags| {
                let mut flags = flags.split(',');
                wanted.is_empty() || flags.any(|flag| wanted.iter().any(|wanted| **wanted == *flag))
            }),
            Self::All(all) => all.iter().all(|one| one.lets(entry)),
            Self::Any(any) => any.iter().any(|one| one.lets(entry)),
            Self::Not(other) => !other.lets(entry),
        }
    }

    pub(super) fn fields(&self, fields: &mut Fields) {
        match self {
            Self::RequestField(name, _) => fields.request.push(name.clone()),
            Self::ResponseField(name, _) => fields.response.push(name.clone()),
            Self::All(filters) | Self::Any(filters) => filters.iter().for_each(|one| one.fields(fields)),
            Self::Not(other) => other.fields(fields),
            Self::StatusAtLeast(_) | Self::DurationAtLeast(_) | Self::Sample(_) | Self::Flag(_) => {}
        }
    }
}

impl ValueMatch {
    fn fits(&self, value: Option<&HeaderValue>) -> bool {
        let Some(value) = value else { return false };
        match self {
            Self::Present => true,
            Self::Exact(wanted) => value.as_bytes() == wanted.as_bytes(),
            Self::Prefix(wanted) => value.as_bytes().starts_with(wanted.as_bytes()),
        }
    }
}
