//! May a page of another site make a browser do this?

use http::header::{HeaderMap, HeaderName, ORIGIN};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a browser was told to do this by a page that is none of ours: it sends these fields then.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
        || headers
            .get(SEC_FETCH_SITE)
            .is_some_and(|site| site != "none" && site != "same-origin")
}
