//! By which tag of its route did a request come (Knative `pkg/queue/routetag_handler.go`)?

use http::header::{HeaderMap, HeaderValue};
use tidegate_knative::headers::{SERVING_DEFAULT_ROUTE, SERVING_TAG, TRUE};

use crate::limits::TAG_BYTES_MAX;

/// The attribute that numbers and spans have it in.
pub const ATTRIBUTE: &str = "kn.route.tag";

/// A tag, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteTag {
    /// Routes are not chosen by tag here.
    Disabled,
    /// The client asked for none.
    Default,
    /// It asked for one that there is not.
    Undefined,
    /// It asked for this one.
    Tag(HeaderValue),
}

impl RouteTag {
    /// As the ingress has written it down; but the tag itself is its client's word. One that is longer than any tag can be is one
    /// that there is not: what is counted by tag stays.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let value = |name| headers.get(name).filter(|value| !value.is_empty());
        match (value(SERVING_TAG), value(SERVING_DEFAULT_ROUTE)) {
            (None, None) => Self::Disabled,
            (None, Some(_)) => Self::Default,
            (Some(_), Some(default)) if default == TRUE => Self::Undefined,
            (Some(tag), _) if tag.len() > TAG_BYTES_MAX => Self::Undefined,
            (Some(tag), _) => Self::Tag(tag.clone()),
        }
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Disabled => "kn:disabled",
            Self::Default => "kn:default",
            Self::Undefined => "kn:undefined",
            Self::Tag(tag) => tag.to_str().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qp_20_a_request_is_classed_by_tag_and_default() {
        let check = |tag: &str, default: &str, expected: &str| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(SERVING_TAG, tag), (SERVING_DEFAULT_ROUTE, default)] {
                if !value.is_empty() {
                    headers.insert(name, HeaderValue::from_str(value).unwrap());
                }
            }
            assert_eq!(RouteTag::of(&headers).as_str(), expected, "{tag:?} {default:?}");
        };
        check("", "", "kn:disabled");
        check("", "true", "kn:default");
        check("", "false", "kn:default");
        check("blue", "true", "kn:undefined");
        check("blue", "True", "blue");
        check("blue", "", "blue");
        let longest = "t".repeat(TAG_BYTES_MAX);
        check(&longest, "false", &longest);
        check(&format!("{longest}t"), "false", "kn:undefined");
        check(&format!("{longest}t"), "", "kn:undefined");
    }
}
